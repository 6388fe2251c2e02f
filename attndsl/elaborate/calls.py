"""Applying blocks: arguments sorted into hyperparameters and tensors, signatures matched, results named back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from attndsl import ops
from attndsl.diagnostics import AttnError, Label, Span, did_you_mean, error
from attndsl.elaborate import index_functions, primitives
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.tensors import arrange, axes_text, axis_of, dtype_of, emit, lift, size_of
from attndsl.elaborate.values import (
    Argument,
    BlockValue,
    Compile,
    IndexFunctionValue,
    Layer,
    Nothing,
    Number,
    Primitive,
    Several,
    Text,
    describe,
)
from attndsl.graph import Axis, Initializer, ScopeInfo, Value
from attndsl.sizes import Size, solve
from attndsl.syntax import tree

MAX_DEPTH = 48


def apply(
    callee: Compile,
    positional: Sequence[Argument],
    keywords: dict[str, Argument],
    frame: Frame,
    span: Span,
    label: tree.Identifier | None,
) -> Compile:
    """What a call means. A block without its tensors is a block value; with them, its body's results."""
    if isinstance(callee, BlockValue):
        return _block(callee, positional, keywords, frame, span, label)
    if isinstance(callee, Layer):
        return _layer(callee, positional, keywords, frame, span)
    if isinstance(callee, IndexFunctionValue):
        bound = index_functions.bind_captures(callee, list(positional), keywords, frame, span)
        assert bound.declaration is not None
        if index_functions.owns_parameters(bound.declaration) or label is not None:
            kind = bound.declaration.name.text
            path = frame.label(label.text, label.span) if label else frame.number(kind)
            frame.run.scopes[path] = ScopeInfo(path, kind, span, label is not None, bound.declaration.doc)
            bound = replace(bound, path=path)
        return bound
    if isinstance(callee, Primitive):
        value = primitives.apply(callee, positional, keywords, frame, span)
        if label is not None and isinstance(value, Value):
            frame.name(value, frame.label(label.text, label.span))
        return value
    if isinstance(callee, Nothing) and len(positional) == 1:
        return positional[0].value
    raise error("E0105", f"{describe(callee)} cannot be applied", span)


def make_layer(callee: Compile, name: tree.Identifier, frame: Frame, span: Span) -> Layer:
    """`layer wte = embedding(vocab, width)`."""
    if not isinstance(callee, BlockValue):
        raise error(
            "E0105",
            f"a layer is made of a block, but this is {describe(callee)}",
            span,
            help="to apply it at once write `x = … as name`" if isinstance(callee, Value) else (),
        )
    path = frame.label(name.text, name.span)
    frame.run.scopes[path] = ScopeInfo(path, callee.block.name.text, span, True, callee.block.doc)
    return Layer(callee, path, name.span, owner=frame)


def _layer(
    layer: Layer, positional: Sequence[Argument], keywords: dict[str, Argument], frame: Frame, span: Span
) -> Compile:
    given = [a for a in positional if not isinstance(a.value, Value)]
    if given:
        raise error(
            "E0104",
            f"the layer `{layer.path}` has its hyperparameters already",
            given[0].span,
            other=Label(layer.span, "made here"),
            help="give it tensors only",
        )
    owner = layer.owner
    assert isinstance(owner, Frame)
    return _enter(layer.callee, positional, keywords, frame, span, layer.path, owner, layer)


@dataclass(eq=False)
class _Sorted:
    settings: dict[str, Argument] = field(default_factory=dict)
    tensors: dict[str, Argument] = field(default_factory=dict)


def _sort(
    callee: BlockValue, positional: Sequence[Argument], keywords: Mapping[str, Argument], span: Span, frame: Frame
) -> _Sorted:
    """Compile-time values go to the hyperparameters and tensors to the tensors, each in order."""
    block, given = callee.block, _Sorted()
    hyper = {p.name.text: p for p in block.hyperparameters}
    tensors = {p.name.text: p for p in block.tensors}
    here = Label(block.name.span, "declared here")
    for name, value in keywords.items():
        if name in hyper:
            if isinstance(value.value, Value):
                raise error(
                    "E0104",
                    f"`{name}` of `{block.name.text}` must be known at compile time, but this is "
                    f"{describe(value.value)}",
                    value.span,
                    other=here,
                )
            given.settings[name] = value
        elif name in tensors:
            given.tensors[name] = lift(value, frame)
        else:
            raise error(
                "E0102",
                f"`{block.name.text}` has no argument `{name}`",
                value.span,
                other=here,
                help=did_you_mean(name, [*hyper, *tensors]) or (f"it takes {', '.join([*hyper, *tensors])}",),
            )
    free = [n for n in hyper if n not in given.settings and n not in callee.settings]
    unfilled = [n for n in tensors if n not in given.tensors]
    for value in positional:
        if isinstance(value.value, Several):
            raise error("E0113", f"this gives {len(value.value.values)} results where one is needed", value.span)
        queue, what = (unfilled, "tensor") if isinstance(value.value, Value) else (free, "hyperparameter")
        if not queue:
            total = len(tensors) if what == "tensor" else len(hyper)
            raise error(
                "E0104",
                f"`{block.name.text}` takes {total or 'no'} {what}{'s' if total != 1 else ''}",
                value.span,
                f"one too many: {describe(value.value)}",
                other=here,
            )
        (given.tensors if what == "tensor" else given.settings)[queue.pop(0)] = value
    return given


def _block(
    callee: BlockValue, positional: Sequence[Argument], keywords: dict[str, Argument], frame: Frame, span: Span,
    label: tree.Identifier | None,
) -> Compile:  # fmt: skip
    block = callee.block
    given = _sort(callee, positional, keywords, span, frame)
    if block.tensors and not given.tensors:
        if label is not None:
            raise error(
                "E0103",
                f"`{block.name.text}` is labelled but not applied",
                span,
                "no tensor is given",
                help=f"write `layer {label.text} = …` to make a layer without applying it",
            )
        settings = {name: a.value for name, a in given.settings.items()}
        return BlockValue(block, callee.scope, {**callee.settings, **settings})
    kind = block.name.text
    path = frame.label(label.text, label.span) if label else frame.number(kind)
    frame.run.scopes[path] = ScopeInfo(path, kind, span, label is not None, block.doc)
    layer = Layer(callee, path, label.span if label else span, owner=frame)
    result = _run(callee, given, frame, span, path, frame, layer)
    if label is not None:
        settings = {name: a.value for name, a in given.settings.items()}
        again = BlockValue(block, callee.scope, {**callee.settings, **settings})
        frame.bind(label.text, Layer(again, path, label.span, [True], frame), label.span)
    return result


def _enter(
    callee: BlockValue, positional: Sequence[Argument], keywords: dict[str, Argument], frame: Frame, span: Span,
    path: str, owner: Frame, layer: Layer,
) -> Compile:  # fmt: skip
    given = _sort(callee, positional, keywords, span, frame)
    return _run(callee, given, frame, span, path, owner, layer)


def _run(
    callee: BlockValue, given: _Sorted, frame: Frame, span: Span, path: str, owner: Frame, layer: Layer
) -> Compile:
    """Elaborate the body in a frame of its own. An error inside a standard block is said at the user's call."""
    run, block = frame.run, callee.block
    if run.depth >= MAX_DEPTH:
        raise error(
            "E0111",
            f"`{block.name.text}` calls itself, or blocks nest deeper than {MAX_DEPTH}",
            frame.site or span,
            other=Label(block.name.span, "declared here"),
        )
    standard = callee.scope.is_standard
    inner = Frame(
        run, callee.scope, frame.builder, path, layers=owner.layers, kind="block", owner=block.name.text,
        in_user_file=frame.in_user_file and not standard,
        site=frame.site or (span if standard and frame.in_user_file else None),
    )  # fmt: skip
    run.depth += 1
    try:
        bound = _bind(callee, given, inner, frame, span)
        run.execute(block.body, inner)
        if inner.results is None:
            raise error(
                "E0112", f"`{block.name.text}` returns nothing", block.name.span, help="end the block with `return …`"
            )
        values = _results(block, inner, bound, frame, span)
    except AttnError as problem:
        raise _called_from(problem, block, span, standard, frame) from None
    finally:
        run.depth -= 1
    layer.applied.append(True)
    for value in values:
        if isinstance(value, Value):
            frame.name(value, path)
    return values[0] if len(values) == 1 else Several(values)


def _called_from(problem: AttnError, block: tree.Block, span: Span, standard: bool, frame: Frame) -> AttnError:
    """The same mistakes, with the call in view. What goes wrong in a standard block is the caller's mistake: the call
    becomes the place, and the block's line a note."""
    moved = []
    for d in problem.diagnostics:
        inside = d.primary is not None and d.primary.span.source is span.source
        if d.primary is None or (inside and (standard or span.start <= d.primary.span.start < span.end)):
            moved.append(d)
        elif standard and frame.in_user_file:
            where = f"in `{block.name.text}` ({d.primary.span}): `{_short(d.primary.span.text)}`"
            labels = tuple(s for s in d.secondary if s.span.source is span.source)
            moved.append(replace(d, primary=Label(span, d.primary.text), secondary=labels, notes=(where, *d.notes)))
        elif not standard and not any(s.text.endswith("is called here") for s in d.secondary):
            moved.append(replace(d, secondary=(*d.secondary, Label(span, f"`{block.name.text}` is called here"))))
        else:
            moved.append(d)
    return AttnError(*moved)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "…"


# ---------------------------------------------------------------- matching signatures


@dataclass(eq=False)
class _Bound:
    """How axes inside a block stand for axes outside it (`back`), only where they differ."""

    back: dict[Axis, Axis] = field(default_factory=dict)
    taken: dict[Axis, str] = field(default_factory=dict)  # outer axis → the signature's name that has it


def _bind(callee: BlockValue, given: _Sorted, inner: Frame, frame: Frame, span: Span) -> _Bound:
    block, bound = callee.block, _Bound()
    for parameter in block.hyperparameters:
        name = parameter.name.text
        if name in given.settings:
            inner.bind(name, given.settings[name].value, given.settings[name].span)
        elif name in callee.settings:
            inner.bind(name, callee.settings[name], parameter.span)
    waiting = [p for p in block.hyperparameters if p.name.text not in inner.names]
    for parameter in waiting:
        if parameter.default is None:
            raise error(
                "E0103",
                f"`{block.name.text}` needs `{parameter.name.text}`",
                span,
                other=Label(parameter.span, "declared here"),
            )
    tensors: dict[str, Argument] = {}
    for parameter in block.tensors:
        name = parameter.name.text
        if name in given.tensors:
            tensors[name] = given.tensors[name]
        elif parameter.default is None:
            raise error(
                "E0103",
                f"`{block.name.text}` needs the tensor `{name}`",
                span,
                other=Label(parameter.span, "declared here"),
            )
    _star(block, tensors, inner)
    _early_defaults(waiting, block, inner)
    for parameter in block.tensors:
        name = parameter.name.text
        if name not in tensors:
            assert parameter.default is not None
            if isinstance(parameter.default, tree.Name) and parameter.default.text in tensors:
                tensors[name] = tensors[parameter.default.text]
            else:
                tensors[name] = lift(Argument(inner.run.evaluate(parameter.default, inner), span), inner)
        inner.bind(name, _match(parameter, tensors[name], block, inner, bound, frame), parameter.span)
    for parameter in waiting:
        if parameter.name.text not in inner.names:
            assert parameter.default is not None
            inner.bind(parameter.name.text, inner.run.evaluate(parameter.default, inner), parameter.span)
    return bound


def _early_defaults(waiting: Sequence[tree.Parameter], block: tree.Block, inner: Frame) -> None:
    """Literal defaults are known before the tensors, whose types may mention them."""
    for parameter in waiting:
        if isinstance(parameter.default, (tree.Number, tree.Boolean, tree.String)):
            inner.bind(parameter.name.text, inner.run.evaluate(parameter.default, inner), parameter.span)


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


def _star(block: tree.Block, tensors: Mapping[str, Argument], inner: Frame) -> None:
    """`*` has one meaning in a signature: the largest of what the tensors have for it, which contains the others."""
    largest: list[Axis] | None = None
    for parameter in block.tensors:
        assert parameter.type is not None
        if parameter.name.text in tensors and any(t.is_rest for t in parameter.type.axes.terms):
            split = _split(parameter, tensors[parameter.name.text].type.axes)
            if split is not None and (largest is None or len(split[1]) > len(largest)):
                largest = split[1]
    inner.rest = tuple(largest) if largest is not None else None


def _match(
    parameter: tree.Parameter, given: Argument, block: tree.Block, inner: Frame, bound: _Bound, frame: Frame
) -> Value:
    """A tensor bound to a parameter: its dtype and rank checked, its axes named as the signature says."""
    value = given.tensor
    assert parameter.type is not None
    declared = Label(parameter.span, f"`{parameter.name.text}` of `{block.name.text}` is declared here")
    dtype = dtype_of(parameter.type)
    if value.type.dtype != dtype:
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
        raise error(
            "E0201",
            f"`{block.name.text}` takes {parameter.type.span.text} for `{parameter.name.text}`, but this is "
            f"{value.type}",
            given.span,
            axes_text(value.type.axes),
            other=declared,
            note=f"{len(parameter.type.axes.terms)} axes are written there, and this has {value.type.rank}",
        )
    pairs, rest = split
    missing = [a for a in rest if inner.rest is not None and a not in inner.rest]
    if missing:
        raise error(
            "E0201",
            f"`*` is {axes_text(inner.rest or ())} in this call, but `{parameter.name.text}` has "
            f"{axes_text(missing)} too",
            given.span,
            axes_text(value.type.axes),
            other=declared,
        )
    names = [t.size.text for t, _ in pairs if isinstance(t.size, tree.Name)]
    for term, outer in pairs:
        own = term.size.text if isinstance(term.size, tree.Name) else None
        if frame.in_user_file and outer.name in names and own is not None and outer.name != own:
            raise error(
                "E0202",
                f"the axis `{outer.name}` stands where `{block.name.text}` expects `{own}`",
                given.span,
                axes_text(value.type.axes),
                other=Label(parameter.type.span, "the order expected"),
                help="bring the axes into order with `rearrange(…)`",
            )
        inside = _match_axis(term, outer, block, inner, bound, given, declared)
        if inside != outer:
            value = emit(inner, ops.Rename(outer, inside), parameter.span, Argument(value, given.span))
    return value


def _match_axis(
    term: tree.AxisTerm, outer: Axis, block: tree.Block, inner: Frame, bound: _Bound, given: Argument, declared: Label
) -> Axis:
    """The axis that `outer` is inside the block."""
    assert term.size is not None
    run = inner.run
    if term.name is not None:
        _match_size(term.size, outer, block, inner, given, declared)
        return Axis(term.name.text, outer.size, outer.origin)
    if isinstance(term.size, tree.Name):
        name = term.size.text
        known = inner.names.get(name)
        if known is None:
            inside = outer
            if outer in bound.taken and bound.taken[outer] != name:
                used = {a.name for a in (*bound.taken, *bound.back, *(inner.rest or ()))}
                fresh = name
                while fresh in used:
                    fresh += "'"
                inside = outer.named(fresh)
                bound.back[inside] = outer
            bound.taken.setdefault(outer, name)
            inner.bind(name, Number(outer.size.known(run.sizes), outer.size, inside), term.span)
            return inside
        if isinstance(known.value, Number) and known.value.size is not None:
            expected = known.value.axis or Axis.of(known.value.size)
            if bound.back.get(expected, expected) == outer:
                return expected
            if expected.size == outer.size and known.value.axis is None:
                inner.bind(name, replace(known.value, axis=outer), known.span)
                return outer
            raise error(
                "E0201",
                f"`{name}` is `{bound.back.get(expected, expected).name}` in this call of "
                f"`{block.name.text}`, but here it would be `{outer.name}`",
                given.span,
                axes_text(given.type.axes),
                other=declared,
                note=_now(inner, expected.size, outer.size),
            )
    _match_size(term.size, outer, block, inner, given, declared)
    return outer


def _now(frame: Frame, *sizes: Size) -> tuple[str, ...]:
    symbols = sorted({s for size in sizes for s in size.symbols if s in frame.run.sizes})
    return (", ".join(f"{s} = {frame.run.sizes[s]}" for s in symbols),) if symbols else ()


def _match_size(
    node: tree.Expr, outer: Axis, block: tree.Block, inner: Frame, given: Argument, declared: Label
) -> None:
    """An expression in a signature equals the axis's size; one unknown name in it is solved for."""
    unknown = [n for n in dict.fromkeys(_names(node)) if inner.lookup(n.text) is None]
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
    inner.bind(unknown_names[0], Number(solution.known(inner.run.sizes), solution), node.span)
    size_of(inner.names[unknown_names[0]].value, given.span, inner)  # type: ignore[arg-type]


def size_or_none(node: tree.Expr, frame: Frame) -> Size | None:
    value = frame.run.evaluate(node, frame)
    return value.size if isinstance(value, Number) else None


def _names(node: tree.Expr) -> list[tree.Name]:
    if isinstance(node, tree.Name):
        return [node]
    if isinstance(node, tree.Chain):
        return [n for o in node.operands for n in _names(o)]
    return _names(node.operand) if isinstance(node, tree.Unary) else []


# ---------------------------------------------------------------- results


def _results(block: tree.Block, inner: Frame, bound: _Bound, frame: Frame, span: Span) -> tuple[Compile, ...]:
    assert inner.results is not None
    values, place = list(inner.results), inner.returned or span
    if block.results and len(block.results) != len(values):
        raise error(
            "E0113",
            f"`{block.name.text}` returns {len(values)} results and declares {len(block.results)}",
            place,
            other=Label(block.results[0].span, "declared here"),
        )
    for i, declared in enumerate(block.results):
        value = lift(Argument(values[i], place), inner).value
        assert isinstance(value, Value)
        values[i] = _declared(declared, value, block, inner, place)
    for i, value in enumerate(values):
        if isinstance(value, Value):
            values[i] = _named_back(value, block, inner, bound, place)
        elif isinstance(value, (Text, Initializer)):
            raise error("E0113", f"a block returns tensors, but this is {describe(value)}", place)
    return tuple(values)


def _declared(declared: tree.TypeTree, value: Value, block: tree.Block, inner: Frame, place: Span) -> Value:
    axes: list[Axis] = []
    for term in declared.axes.terms:
        axes += (inner.rest or ()) if term.is_rest else [axis_of(term, inner, (value.type,))]
    dtype = dtype_of(declared)
    extra = [a for a in value.type.axes if a not in axes]
    lacking = [a for a in axes if a not in value.type.axes]
    if extra or lacking or value.type.dtype != dtype:
        raise error(
            "E0208",
            f"`{block.name.text}` declares {declared.span.text} but returns {value.type}",
            place,
            str(value.type),
            other=Label(declared.span, "declared here"),
        )
    return arrange(value, tuple(axes), inner, place)


def _named_back(value: Value, block: tree.Block, inner: Frame, bound: _Bound, place: Span) -> Value:
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
        value = emit(inner, ops.Rename(axis, outer), place, Argument(value, place))
    return value


__all__ = ["apply", "make_layer"]
