"""A model's inputs and outputs."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from attndsl import ops
from attndsl.diagnostics import Label, error
from attndsl.elaborate.elaboration import Elaboration
from attndsl.elaborate.equalities import assume
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.sizes_and_axes import axis_of, distinct, dtype_of, size_of
from attndsl.elaborate.tensors import as_written, emit, lift, typed
from attndsl.elaborate.values import CompileTimeValue, Evaluated, describe
from attndsl.graph import Axis, Graph, InputInfo, Node, OutputInfo, Region, Type, Value
from attndsl.graph.core import Bound
from attndsl.ops import Given
from attndsl.records import fields, replace
from attndsl.sizes import Constraint, Size, solve
from attndsl.sizes.constraints import RELATIONS
from attndsl.syntax import tree
from attndsl.values import Number

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def declare_input(node: tree.InputDecl, frame: Frame) -> None:
    """`input tokens: int[B, T] where T <= context, tokens < vocab`: names not known yet are sizes that it binds."""
    if frame.kind != "model":
        raise error("E0114", "inputs are declared at the top of a model", node.span)
    _first("input", node.name, frame.elaborator.inputs)
    if node.default is not None and not node.optional:
        raise error(
            "E0116",
            f"`{node.name.text}` has a default and is not optional",
            node.default.span,
            help=f"write `input {node.name.text}: {node.type.span.text} optional = {node.default.span.text}`",
        )
    dtype, axes = dtype_of(node.type), []
    for term in node.type.axes.terms:
        if term.is_rest:
            raise error("E0203", "an input must name all its axes", term.span)
        _introduce(term, frame)
        axes.append(axis_of(term, frame))
    distinct(axes, node.type.axes)
    type = Type(dtype, tuple(axes))
    value = frame.builder.parameter(Value(type, (node.name.text,) if node.default is None else ()))
    used, default, number = value, None, None
    if node.default is not None:
        from attndsl.syntax.printer import to_text  # few inputs have one

        default = to_text(node.default)
        used, number = _or_default(value, node, node.default, frame)
    frame.bind(node.name.text, used, node.name.span)
    bounds: list[Bound] = []
    for where in node.where:
        _where(where, node, frame, bounds)
    if node.default is not None and isinstance(number, Number):
        _within_bounds(number, node.default, bounds, frame)
    frame.elaborator.inputs[node.name.text] = InputInfo(
        node.name.text, value, node.optional, tuple(bounds), node.doc, node.name.span, default
    )


def _first(kind: str, name: tree.Identifier, known: Mapping[str, InputInfo | OutputInfo]) -> None:
    """Raises E0107 where an input or output of that name is declared already."""
    if name.text in known:
        first = known[name.text].span
        raise error(
            "E0107",
            f"the {kind} `{name.text}` is declared twice",
            name.span,
            other=Label(first, "first here") if first else (),
            help="give one of them another name",
        )


def _or_default(value: Value, node: tree.InputDecl, default: tree.Expr, frame: Frame) -> tuple[Value, CompileTimeValue]:
    """The input where the call gives it, else its default brought to the input's type; and the default as it is. As
    the type is written, every operator of the default may combine any axes."""
    meant = frame.licensing().evaluate(default)
    argument = lift(Evaluated(meant, default.span, default), frame)
    made = as_written(argument, value.type, node.type.span, frame, default.span)
    result = emit(frame, ops.Given(), node.span, Evaluated(value, node.name.span), Evaluated(made, default.span))
    return frame.builder.rename(result, (node.name.text,)), meant


def _within_bounds(number: Number, default: tree.Expr, bounds: list[Bound], frame: Frame) -> None:
    """A default that is a number must be one that the call could give, as far as that is known now."""
    if number.value is None:
        return
    from_zero = not any(bound.relation in (">", ">=", "==") for bound in bounds)
    for bound in bounds:
        limit = bound.limit.known(frame.elaborator.sizes)
        if limit is None:
            continue
        if not RELATIONS[bound.relation](number.value, limit) or (from_zero and number.value < 0):
            now = "" if str(limit) == str(bound.limit) else f" ({limit})"
            raise error(
                "E0118",
                f"the default is {number.value}, and must be {bound.relation} `{bound.limit}`{now}"
                + (" and not negative" if number.value < 0 and from_zero else ""),
                default.span,
                other=Label(bound.span, "required here"),
                help="give a default that the bounds allow, or write other bounds",
            )


def sizes_from(inputs: Iterable[InputInfo], known: Collection[str]) -> frozenset[str]:
    """The sizes that are known where these inputs are given and `known` are known already."""
    lengths = ((info.name, axis.size) for info in inputs for axis in info.value.type.axes)
    return frozenset({*known, *(symbol for symbol, _, _ in solved(lengths, known))})


def solved(lengths: Iterable[tuple[str, Size]], known: Collection[str]) -> Iterator[tuple[str, str, Size]]:
    """The sizes that lengths of axes say where `known` are known, in an order in which each can be solved for: the
    size, and the input and the formula that say it. Takes as long as the formulas are together."""
    bound = set(known)
    mentioning: dict[str, list[tuple[str, Size]]] = {}
    for name, size in lengths:
        for symbol in size.symbols - bound:
            mentioning.setdefault(symbol, []).append((name, size))
    waiting = deque(length for lengths in mentioning.values() for length in lengths)
    while waiting:
        name, size = waiting.popleft()
        unknown = size.symbols - bound
        if len(unknown) == 1 and solve(size, Size.symbol("?"), *unknown) is not None:
            (symbol,) = unknown
            bound.add(symbol)
            yield symbol, name, size
            waiting.extend(mentioning[symbol])


def check_defaults(elaborator: Elaboration) -> None:
    """Report E0117 for each input whose default has sizes that no input without a default says."""
    bound = sizes_from((info for info in elaborator.inputs.values() if info.default is None), elaborator.sizes)
    mentioning: dict[str, list[InputInfo]] = {}
    for info in elaborator.inputs.values():
        for symbol in {symbol for axis in info.value.type.axes for symbol in axis.size.symbols}:
            mentioning.setdefault(symbol, []).append(info)
    for info in elaborator.inputs.values():
        axes = () if info.default is None else info.value.type.axes
        unknown = sorted({symbol for axis in axes for symbol in axis.size.symbols} - bound)
        if not unknown:
            continue
        names = " and ".join(f"`{name}`" for name in unknown)
        others = [other for symbol in unknown for other in mentioning[symbol][:2] if other is not info]
        elaborator.report(
            error(
                "E0117",
                f"without `{info.name}` nothing says what {names} {'is' if len(unknown) == 1 else 'are'}",
                info.span,
                f"{info.value.type}, and so is its default",
                other=Label(others[0].span, "has a default as well") if others and others[0].span else (),
                help=(
                    f"leave the default out: what needs `{info.name}` is then computed only where it is given",
                    f"or declare an input without a default that has {names} among its sizes",
                ),
            )
        )


def _introduce(term: tree.AxisTerm, frame: Frame) -> None:
    """Bind the names in an input's axis that nothing has bound: they are sizes that the call's arrays decide."""
    for node in tree.names(term):
        if frame.lookup(node.text) is None:
            size = Size.symbol(node.text)
            frame.bind(node.text, Number(None, size, Axis.of(size)), node.span)


def _where(where: tree.Expr, node: tree.InputDecl, frame: Frame, bounds: list[Bound]) -> None:
    comparable = isinstance(where, tree.Chain) and len(where.operators) == 1 and where.operators[0].text in _FLIPPED
    if not isinstance(where, tree.Chain) or not comparable:
        raise error(
            "E0210",
            "after `where` come comparisons of sizes and of the input's values",
            where.span,
            help="for example `where T <= context, tokens < vocab`",
        )
    (left, right), relation = where.operands, where.operators[0].text
    for mine, other, word in ((left, right, relation), (right, left, _FLIPPED[relation])):
        if isinstance(mine, tree.Name) and mine.text == node.name.text:
            limit = size_of(frame.evaluate(other), other.span, frame, smallest=-(2**63))
            bounds.append(Bound(word, limit, where.span))
            return
    sides: list[Number] = []
    for side in (left, right):
        value = frame.evaluate(side)
        if not isinstance(value, Number) or value.size is None:
            raise error(
                "E0210",
                f"sizes are compared here, but this is {describe(value)}",
                side.span,
                help=f"the values of an input are bounded where it is declared; this is `{node.name.text}`",
            )
        sides.append(value)
    sizes = [side.size for side in sides if side.size is not None]
    frame.elaborator.require(Constraint(relation, sizes[0], sizes[1], where.span, "E0211"))
    if relation == "==":
        assume(sides[0], sides[1], frame)


def declare_output(node: tree.OutputDecl, frame: Frame) -> None:
    if frame.kind not in ("model", "scope"):
        raise error(
            "E0114",
            "outputs are declared at the top of a model",
            node.span,
            help="return the value from the block, and declare the output in the model"
            if frame.kind == "block"
            else "assign it to a name, and declare the output after the body",
        )
    _first("output", node.name, frame.elaborator.outputs)
    state = next((s for s in frame.elaborator.states.values() if s.name == node.name.text), None)
    if state is not None:
        raise error(
            "E0107",
            f"there is a state `{state.name}` already, and its next value is given under that name",
            node.name.span,
            other=Label(state.span, "declared here"),
            help="call the output otherwise",
        )
    given = (frame if node.type is None else frame.licensing()).evaluated(node.value)
    result = lift(given, frame).tensor if node.type is None else typed(given, node.type, frame, node.span)
    frame.name(result, node.name.text)
    frame.bind(node.name.text, result, node.name.span)
    frame.elaborator.outputs[node.name.text] = OutputInfo(node.name.text, result, frozenset(), node.doc, node.name.span)


# ---------------------------------------------------------------- which inputs an output cannot do without

NOTHING: frozenset[str] = frozenset()


def inputs_needed(body: Region, inputs: Sequence[InputInfo], sizes: Collection[str]) -> list[frozenset[str]]:
    """For each result of a model's body, the optional inputs without a default that it is computed from. A result with
    a size that only such inputs say needs the first of them. `sizes` are the hyperparameters in sizes."""
    reach = {info.value: frozenset((info.name,)) for info in inputs if info.optional and info.default is None}
    sources = _sources(inputs, sizes)

    def walk(region: Region) -> None:
        for node in region.nodes:
            for inner in node.regions:
                for parameter, given in zip(inner.parameters[1:], node.starts, strict=True):
                    reach[parameter] = reach.get(given, NOTHING)
                walk(inner)
            read = node.inputs[1:] if isinstance(node.op, Given) else node.inputs
            used = NOTHING.union(*(reach.get(value, NOTHING) for value in read))
            used = used.union(*(reach.get(value, NOTHING) for inner in node.regions for value in inner.results))
            if sources:
                used = used.union(*(sources.get(symbol, NOTHING) for symbol in _new_symbols(node)))
            for value in node.outputs:
                reach[value] = used

    walk(body)
    return [reach.get(value, NOTHING) for value in body.results]


def with_optional(graph: Graph, names: Collection[str]) -> Graph:
    """The graph whose inputs of these names may be left out, together with the outputs that are computed from them. A
    state whose next value is computed from them stays as it is."""
    given = tuple(replace(info, optional=True) if info.name in names else info for info in graph.inputs)
    needed = inputs_needed(graph.body, given, graph.sizes)
    outputs = [replace(info, needs=those) for info, those in zip(graph.outputs, needed, strict=True)]
    stacks = {info.name: info.value for info in given if info.name in graph.state_names}
    reads = {node.inputs[0]: node.output for node in graph.body.nodes if isinstance(node.op, Given)}
    for at, info in enumerate(outputs):
        if info.needs and info.name in stacks:
            outputs[at] = replace(info, value=reads[stacks[info.name]], needs=NOTHING)
    body = replace(graph.body, results=tuple(info.value for info in outputs))
    return replace(graph, inputs=given, outputs=tuple(outputs), body=body)


def _sources(inputs: Sequence[InputInfo], sizes: Collection[str]) -> dict[str, frozenset[str]]:
    """For each size that no input says that is always given, the inputs that do: the first of them, and what else it
    takes to solve for the size."""
    bound = sizes_from((info for info in inputs if not info.optional), sizes)
    found: dict[str, frozenset[str]] = {}
    optional = [info for info in inputs if info.optional and info.default is None]
    lengths = ((info.name, axis.size) for info in optional for axis in info.value.type.axes)
    for symbol, name, size in solved(lengths, bound):
        found[symbol] = frozenset((name,)).union(*(found.get(other, NOTHING) for other in size.symbols))
    return found


def _new_symbols(node: Node) -> set[str]:
    """The sizes that a node mentions and none of its operands has."""
    had = {symbol for value in node.inputs for axis in value.type.axes for symbol in axis.size.symbols}
    made = (getattr(node.op, field.name) for field in fields(node.op))
    return {symbol for attribute in made for size in _sizes(attribute) for symbol in size.symbols} - had


def _sizes(attribute: object) -> Iterator[Size]:
    if isinstance(attribute, Size):
        yield attribute
    elif isinstance(attribute, Axis):
        yield from (attribute.size, attribute.origin)
    elif isinstance(attribute, Type):
        yield from _sizes(attribute.axes)
    elif isinstance(attribute, tuple):
        for part in attribute:
            yield from _sizes(part)
