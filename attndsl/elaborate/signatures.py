"""Matching a block's signature: arguments bound to names, axes to axes, unknown sizes solved for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attndsl import ops
from attndsl.diagnostics import Label, Span, error
from attndsl.elaborate.arguments import given_at, require_all
from attndsl.elaborate.frames import Frame, Poison
from attndsl.elaborate.sizes_and_axes import axes_text, dtype_of, size_of, type_of
from attndsl.elaborate.tensors import as_precise, emit, lift
from attndsl.elaborate.values import Arguments, BlockValue, Evaluated, as_axes
from attndsl.graph import Axis, Node, Value
from attndsl.graph.builder import Builder
from attndsl.records import dataclass, field, replace
from attndsl.sizes import Size, solve
from attndsl.syntax import tree
from attndsl.types import FLOAT, Type
from attndsl.values import CONSTANTS, Number


@dataclass(eq=False)
class BoundAxes:
    """How axes inside a block stand for axes outside it (`back`), only where they differ. `captured` are the tensors
    that were given before this call, elsewhere: their axes may have other names there."""

    captured: frozenset[Evaluated] = frozenset()
    distinct: bool = True  # two names are two axes inside, also where they are one outside
    back: dict[Axis, Axis] = field(default_factory=dict)
    taken: dict[Axis, str] = field(default_factory=dict)  # outer axis → the signature's name that has it


def bind(
    block: tree.Declared, given: Arguments, captured: Arguments, inner: Frame, frame: Frame, span: Span
) -> BoundAxes:
    """Bind what is given, and the defaults of what is not, to the names that a block, a mask or a bias has for them;
    `captured` is what was given before this call. The tensors of the call say what the axes are."""
    require_all(block, given, span, frame)
    kept = frozenset((*captured.tensors.values(), *captured.waiting))
    bound = BoundAxes(kept, distinct=isinstance(block, tree.Block))  # what a mask reads runs over its variables' axes
    for name, value in given.settings.items():
        inner.bind(name, value.value, value.span)
    waiting = [p for p in block.hyperparameters if p.name.text not in inner.names]
    tensors = given.named(block)
    _star(block, tensors, inner)
    _early_defaults(waiting, inner)
    _keepers(block, tensors, inner, bound)
    for parameter in sorted(block.tensors, key=lambda p: tensors.get(p.name.text) in bound.captured):
        name = parameter.name.text
        if name not in tensors:
            assert parameter.default is not None
            if parameter.is_optional:
                inner.bind(name, CONSTANTS["none"], parameter.span)
                continue
            if isinstance(parameter.default, tree.Name) and parameter.default.text in tensors:
                tensors[name] = tensors[parameter.default.text]
            else:
                tensors[name] = _filled(parameter, inner, span)
        inner.bind(name, _match(parameter, tensors[name], block, inner, bound, frame), parameter.span)
    for parameter in waiting:
        if parameter.name.text not in inner.names:
            assert parameter.default is not None
            inner.bind(parameter.name.text, inner.evaluate(parameter.default), parameter.span)
    return bound


def _filled(parameter: tree.Parameter, inner: Frame, span: Span) -> Evaluated:
    """The default of a tensor parameter, broadcast along the axes of its type that it lacks: `h: [*, H] = 0.0`."""
    assert parameter.default is not None
    assert parameter.type is not None
    value = lift(Evaluated(inner.evaluate(parameter.default), span), inner)
    if inner.enclosing.rest is None and any(term.is_rest for term in parameter.type.axes.terms):
        return value
    wanted = type_of(parameter.type, inner, (value.type,)).axes
    if value.type.rank == len(wanted) or not set(value.type.axes) <= set(wanted):
        return value
    return Evaluated(emit(inner, ops.Broadcast(wanted), parameter.span, value), span)


def defaults(callee: BlockValue, axes: tuple[Axis, ...], frame: Frame, span: Span) -> tuple[Value, ...]:
    """What the tensors of a block are that a call leaves out which gives it one tensor with these axes, in order; those
    that are optional (`= none`) are left out. Raises E0103 where one has no default, E0104 where a default is computed
    from the tensor that would be given."""
    block, given = callee.block, Evaluated(Value(Type(FLOAT, axes)), span)
    inner = frame.entered("block", block.name.text, callee.scope, frame.place, span)
    inner.builder = Builder(outer=frame.builder)
    arguments = given_at(block, callee.given, (given,), {}, frame, span)
    bound = bind(block, arguments, callee.given, inner, frame, span)
    there = arguments.named(block)
    left_out = [inner.names[p.name.text].value for p in block.tensors if p.name.text not in there]
    found = tuple(named_back(v, block, inner, bound, span) for v in left_out if isinstance(v, Value))
    needed: list[Node] = []
    wanted = set(found)
    for node in reversed(inner.builder.nodes):
        if wanted.intersection(node.outputs):
            needed.append(node)
            wanted.update(node.inputs)
    if given.value in wanted:
        raise error("E0104", f"a default of `{block.name.text}` is computed from its first tensor", span)
    frame.builder.adopt(reversed(needed))
    return found


def _early_defaults(waiting: Sequence[tree.Parameter], inner: Frame) -> None:
    """Literals and other hyperparameters as defaults are known before the tensors, whose types may mention them."""
    for parameter in waiting:
        default = parameter.default
        known = isinstance(default, tree.Name) and default.text in inner.names
        if known or isinstance(default, (tree.Number, tree.Boolean, tree.String)):
            assert default is not None
            inner.bind(parameter.name.text, inner.evaluate(default), parameter.span)


def _split(
    parameter: tree.Parameter, axes: Sequence[Axis]
) -> tuple[list[tuple[tree.AxisTerm, Axis]], list[Axis]] | None:
    """Terms paired with axes by position, and what `*` takes; None where the rank does not fit."""
    assert parameter.type is not None
    terms = parameter.type.axes.terms
    rest = next((i for i, t in enumerate(terms) if t.is_rest), None)
    if rest is None:
        return (list(zip(terms, axes, strict=True)), []) if len(terms) == len(axes) else None
    behind = len(terms) - rest - 1
    if len(axes) < rest + behind:
        return None
    end = len(axes) - behind
    pairs = [*zip(terms[:rest], axes[:rest], strict=True), *zip(terms[rest + 1 :], axes[end:], strict=True)]
    return pairs, list(axes[rest:end])


def _star(block: tree.Declared, tensors: Mapping[str, Evaluated], inner: Frame) -> None:
    """`*` has one meaning in a signature: the largest of what the tensors have for it, which contains the others."""
    largest: list[Axis] | None = None
    for parameter in block.tensors:
        assert parameter.type is not None
        if parameter.name.text in tensors and any(t.is_rest for t in parameter.type.axes.terms):
            split = _split(parameter, tensors[parameter.name.text].type.axes)
            if split is not None and (largest is None or len(split[1]) > len(largest)):
                largest = split[1]
    inner.enclosing.rest = tuple(largest) if largest is not None else None


def _keepers(block: tree.Declared, tensors: Mapping[str, Evaluated], inner: Frame, bound: BoundAxes) -> None:
    """Where several names of a signature are one axis of the caller's, the first that a result has keeps it, else the
    first: in `cell(hidden)(x: [*, D], h: [*, H]) -> [*, H]`, `H` is the caller's `hidden`, and so what the block makes
    with `hidden` goes with `h`."""
    names: dict[Axis, list[str]] = {}
    for parameter in sorted(block.tensors, key=lambda p: tensors.get(p.name.text) in bound.captured):
        split = _split(parameter, tensors[parameter.name.text].type.axes) if parameter.name.text in tensors else None
        for term, outer in split[0] if split else ():
            if term.name is None and isinstance(term.size, tree.Name) and term.size.text not in inner.names:
                names.setdefault(outer, []).append(term.size.text)
    returned = {t.size.text for result in block.results for t in result.axes.terms if isinstance(t.size, tree.Name)}
    for outer, those in names.items():
        bound.taken[outer] = next((name for name in those if name in returned), those[0])


def _match(
    parameter: tree.Parameter, given: Evaluated, block: tree.Declared, inner: Frame, bound: BoundAxes, frame: Frame
) -> Value:
    """A tensor bound to a parameter: its dtype and rank checked, its axes named as the signature says."""
    assert parameter.type is not None
    declared = Label(parameter.span, f"`{parameter.name.text}` of `{block.name.text}` is declared here")
    dtype = dtype_of(parameter.type)
    value = as_precise(given, Type(dtype), inner, given.span).tensor
    if value.type.dtype != dtype and not (dtype == FLOAT and value.type.is_float):
        fix = {"float": "convert it with `float(…)`", "int": "convert it with `int(…)`"}.get(dtype, "compare it first")
        raise error(
            "E0204",
            f"`{block.name.text}` takes {dtype} for `{parameter.name.text}`, but this is {value.type}",
            given.span,
            str(value.type),
            other=declared,
            help=fix,
        )
    split = _split(parameter, value.type.axes)
    if split is None:
        written = [term for term in parameter.type.axes.terms if not term.is_rest]
        most = "at least " if len(written) < len(parameter.type.axes.terms) else ""
        raise error(
            "E0201",
            f"`{block.name.text}` takes {parameter.type.span.text} for `{parameter.name.text}`, but this is "
            f"{value.type}",
            given.span,
            axes_text(value.type.axes),
            other=declared,
            note=f"{most}{len(written)} {'axis is' if len(written) == 1 else 'axes are'} needed, and this has "
            f"{value.type.rank}",
            help=() if inner.scope.is_standard else _any_more(parameter, value.type.rank),
        )
    pairs, rest = split
    if given in bound.captured:
        value = _among(inner.enclosing.rest or (), rest, value, inner, parameter.span)
    missing = [a for a in rest if inner.enclosing.rest is not None and a not in inner.enclosing.rest]
    if missing:
        raise error(
            "E0201",
            f"`*` is {axes_text(inner.enclosing.rest or ())} in this call, but `{parameter.name.text}` has "
            f"{axes_text(missing)} too",
            given.span,
            axes_text(value.type.axes),
            other=declared,
            help=_in_groups(missing, [a for a in inner.enclosing.rest or () if a not in rest], inner),
        )
    names = [t.size.text for t, _ in pairs if isinstance(t.size, tree.Name)]
    for term, outer in pairs:
        own = term.size.text if isinstance(term.size, tree.Name) else None
        swapped = outer.name in names and own in [axis.name for _, axis in pairs]
        if frame.viewpoint.in_user_file and swapped and outer.name != own:
            raise error(
                "E0202",
                f"the axis `{outer.name}` is where `{block.name.text}` expects `{own}`",
                given.span,
                axes_text(value.type.axes),
                other=Label(parameter.type.span, "the order expected"),
                help="reorder the axes with `rearrange(…)`",
            )
        inside = _match_axis(term, outer, block, inner, bound, given, declared)
        if inside != outer:
            value = emit(inner, ops.Rename(outer, inside), parameter.span, Evaluated(value, given.span))
    return value


def _among(known: Sequence[Axis], rest: list[Axis], value: Value, inner: Frame, span: Span) -> Value:
    """A tensor that was given elsewhere, with what `*` takes of its axes under the names that they have here: an axis
    with another name is the only one of its size."""
    for i, axis in enumerate(rest):
        alike = [a for a in known if a.size == axis.size and a not in value.type.axes]
        if axis not in known and len(alike) == 1:
            value = emit(inner, ops.Rename(axis, alike[0]), span, Evaluated(value, span))
            rest[i] = alike[0]
    return value


def _match_axis(
    term: tree.AxisTerm,
    outer: Axis,
    block: tree.Declared,
    inner: Frame,
    bound: BoundAxes,
    given: Evaluated,
    declared: Label,
) -> Axis:
    """The axis that `outer` is inside the block."""
    assert term.size is not None
    if term.name is not None:
        _match_size(term.size, outer, block, inner, given, declared)
        return Axis(term.name.text, outer.size, outer.origin)
    if isinstance(term.size, tree.Name):
        name = term.size.text
        known = inner.names.get(name)
        if known is None:
            inside = outer
            if bound.distinct and outer in bound.taken and bound.taken[outer] != name:
                used = {a.name for a in (*bound.taken, *bound.back, *(inner.enclosing.rest or ()))}
                fresh = name
                while fresh in used:
                    fresh += "'"
                inside = outer.named(fresh)
                bound.back[inside] = outer
            bound.taken.setdefault(outer, name)
            return inner.bind_axis(name, inside, term.span)
        axes = None if isinstance(known.value, Poison) else as_axes(known.value)
        if axes is not None and [t.span.text for t in axes.terms] == [outer.name]:
            return inner.bind_axis(name, outer, known.span)
        if isinstance(known.value, Number) and known.value.size is not None:
            expected = known.value.axis or Axis.of(known.value.size)
            if bound.back.get(expected, expected) == outer:
                return expected
            if expected.size == outer.size and given in bound.captured:
                return expected
            if expected.size == outer.size and known.value.axis is None:
                inner.bind(name, replace(known.value, axis=outer), known.span)
                return outer
            before = bound.back.get(expected, expected)
            raise error(
                "E0201",
                f"`{name}` is `{before}` in this call of `{block.name.text}`, but here it would be `{outer}`",
                given.span,
                axes_text(given.type.axes),
                other=declared,
                note=_now(inner, expected.size, outer.size),
                help=f"write `{name}={outer.name}`"
                if name in (p.name.text for p in block.hyperparameters) and declared.span == _first(block, name)
                else (*_one_size(expected.size, outer.size, inner), *_handed_on(given, outer, before, bound, inner)),
            )
    _match_size(term.size, outer, block, inner, given, declared)
    return outer


def _first(block: tree.Declared, name: str) -> Span | None:
    """The first of the tensors that have an axis of this name."""
    types = ((parameter.span, parameter.type) for parameter in block.tensors if parameter.type is not None)
    return next(
        (at for at, type in types if name in [term.size.span.text for term in type.axes.terms if term.size]), None
    )


def _in_groups(missing: Sequence[Axis], lacking: Sequence[Axis], frame: Frame) -> tuple[str, ...]:
    """What to write where a tensor has fewer of something than another one, as keys have fewer heads than queries."""
    sizes = frame.elaborator.sizes
    for few, many in ((few, many) for few in missing for many in lacking):
        groups = (many.size / few.size).known(sizes)
        if groups is not None and groups == groups // 1 and groups > 1:
            way = f"rearrange(…, [{many}] -> [{few}, group={many.size} / {few.size}])"
            return (f"where groups of `{many.name}` share one `{few.name}`, write `{way}` for the other tensor",)
    return ()


def _any_more(parameter: tree.Parameter, rank: int) -> str | tuple[()]:
    """The type that takes more axes than the one that is written, which has no `*`."""
    assert parameter.type is not None
    terms = parameter.type.axes.terms
    if rank < len(terms) or any(term.is_rest for term in terms):
        return ()
    axes = ", ".join(("*", *(term.span.text for term in terms)))
    return f"where there may be more axes in front, declare `{parameter.name.text}: [{axes}]`"


def _one_size(a: Size, b: Size, frame: Frame) -> tuple[str, ...]:
    """What makes one size of two that are the same number now."""
    now = a.known(frame.elaborator.sizes)
    if a == b or now is None or now != b.known(frame.elaborator.sizes):
        return ()
    return (f"both are {now} now; if they are the same whatever they are set to, say so: `require {b} == {a}`",)


def _handed_on(given: Evaluated, own: Axis, other: Axis, bound: BoundAxes, inner: Frame) -> tuple[str, ...]:
    """How the axis that the library's attention made gets the size that a tensor has which is captured for it."""
    if given not in bound.captured or own.name != str(own.size) or inner.viewpoint.in_user_file:
        return ()
    return (f"or have `{other.name}` made with this size, as by `attention(…, head={own.name})`",)


def _now(frame: Frame, *sizes: Size) -> tuple[str, ...]:
    symbols = sorted({s for size in sizes for s in size.symbols if s in frame.elaborator.sizes})
    return (", ".join(f"{s} = {frame.elaborator.sizes[s]}" for s in symbols),) if symbols else ()


def _match_size(
    node: tree.Expr, outer: Axis, block: tree.Declared, inner: Frame, given: Evaluated, declared: Label
) -> None:
    """An expression in a signature equals the axis's size; one unknown name in it is solved for."""
    unknown = [n for n in dict.fromkeys(tree.names(node)) if inner.lookup(n.text) is None]
    unknown_names = list(dict.fromkeys(n.text for n in unknown))
    if len(unknown_names) > 1:
        raise error(
            "E0213",
            f"`{node.span.text}` has {len(unknown_names)} unknowns, {' and '.join(f'`{n}`' for n in unknown_names)}",
            declared.span,
            help="give all but one of them as hyperparameters",
        )
    placeholder = Size.symbol("?")
    for name in unknown_names:
        inner.bind(name, Number(None, placeholder), node.span)
    written = size_or_none(node, inner)
    if written is None:
        raise error("E0209", f"`{node.span.text}` is not a size", node.span)
    if not unknown_names:
        if written != outer.size:
            raise error(
                "E0201",
                f"`{block.name.text}` needs an axis of size `{written}` here, but this has `{outer.name}`",
                given.span,
                axes_text(given.type.axes),
                other=declared,
                note=_now(inner, written, outer.size),
            )
        return
    solution = solve(written, outer.size, "?")
    if solution is None:
        raise error(
            "E0213",
            f"`{node.span.text}` = `{outer.size}` cannot be solved for `{unknown_names[0]}`",
            given.span,
            other=declared,
        )
    inner.bind(unknown_names[0], Number(solution.known(inner.elaborator.sizes), solution), node.span)
    size_of(inner.names[unknown_names[0]].value, given.span, inner)  # type: ignore[arg-type]


def size_or_none(node: tree.Expr, frame: Frame) -> Size | None:
    value = frame.evaluate(node)
    return value.size if isinstance(value, Number) else None


def named_back(value: Value, block: tree.Declared, inner: Frame, bound: BoundAxes, place: Span) -> Value:
    """A result under the names that its axes have outside. Raises E0205 where two of them are one there."""
    for axis in value.type.axes:
        outer = bound.back.get(axis)
        if outer is None:
            continue
        if outer in value.type.axes:
            other = bound.taken[outer]
            raise error(
                "E0205",
                f"`{block.name.text}` returns both `{other}` and `{axis.name}`, which are the same axis "
                f"`{outer.name}` in this call",
                inner.site or place,
                help="rename one of them in the block: `rearrange(y, [S] -> [other=S])`",
            )
        value = emit(inner, ops.Rename(axis, outer), place, Evaluated(value, place))
    return value
