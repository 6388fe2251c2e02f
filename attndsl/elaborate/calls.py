"""Applying blocks: arguments sorted into hyperparameters and tensors, signatures matched, results named back."""

from __future__ import annotations

from collections.abc import Sequence

from attndsl.diagnostics import AttnError, Label, Span, error, shortened
from attndsl.elaborate.arguments import given_at, require_all
from attndsl.elaborate.frames import HERE, Frame, Labels
from attndsl.elaborate.kinds import require_kinds
from attndsl.elaborate.signatures import BoundAxes, bind, named_back
from attndsl.elaborate.sizes_and_axes import axis_of, dtype_of
from attndsl.elaborate.tensors import arrange, lift
from attndsl.elaborate.values import (
    Arguments,
    BlockValue,
    CompileTimeValue,
    Evaluated,
    LayerValue,
    Several,
    describe,
    has_tensors,
    parts_of,
)
from attndsl.graph import Axis, Initializer, ScopeInfo, Value
from attndsl.records import replace
from attndsl.syntax import tree
from attndsl.types import FLOAT
from attndsl.values import List, Number, Text


def make_layer(callee: CompileTimeValue, name: tree.Identifier, frame: Frame, span: Span) -> LayerValue:
    """`layer wte = embedding(vocab, width)`. A layer that is made already is the same one under another name."""
    if isinstance(callee, LayerValue):
        return callee
    if not isinstance(callee, BlockValue):
        raise error(
            "E0105",
            f"a layer is made of a block, but this is {describe(callee)}",
            span,
            help="to apply it at once write `x = … as name`" if isinstance(callee, Value) else (),
        )
    place = frame.label(name.text, name.span).chosen(callee.choices)
    frame.elaborator.scopes[place.path] = ScopeInfo(place.path, callee.block.name.text, span, True, callee.block.doc)
    return frame.elaborator.declare_layer(LayerValue(callee, place, name.span))


def apply_layer(
    layer: LayerValue, positional: Sequence[Evaluated], keywords: dict[str, Evaluated], frame: Frame, span: Span,
    label: tree.Identifier | None,
) -> CompileTimeValue:  # fmt: skip
    """A labelled layer called again: its body, with the parameters that it has."""
    if label is not None:
        raise error(
            "E0106",
            f"the layer `{layer.path}` already has a label",
            label.span,
            "a second label",
            other=Label(layer.span, "made here"),
            help="leave the label out: the layer is applied again",
        )
    given = [a for a in positional if not has_tensors(a.value)]
    if given:
        raise error(
            "E0104",
            f"the layer `{layer.path}` already has its hyperparameters",
            given[0].span,
            other=Label(layer.span, "made here"),
            help="give it tensors only",
        )
    callee = layer.callee
    return _run(layer, given_at(callee.block, callee.given, positional, keywords, frame, span), frame, span)


def apply_block(
    callee: BlockValue, positional: Sequence[Evaluated], keywords: dict[str, Evaluated], frame: Frame, span: Span,
    label: tree.Identifier | None,
) -> CompileTimeValue:  # fmt: skip
    """A call of a block. Without its tensors it is a block value; with them, what its body returns."""
    block = callee.block
    given = given_at(block, callee.given, positional, keywords, frame, span)
    require_kinds(block, callee.scope, given.settings, frame)
    made = BlockValue(block, callee.scope, given, parts_of(given.values(), span), callee.choices)
    if block.tensors and (made.lacks or not given.has_tensors):
        if label is not None:
            lacks = " and ".join(f"`{name}`" for name in made.lacks)
            what = "takes more tensors" if given.has_tensors else "is labelled but not applied"
            ways = [f"write `layer {label.text} = …` to make a layer without applying it"] if label.text != HERE else []
            if given.has_tensors:
                ways = [f"give it what it needs: `{block.name.text}(…, {made.lacks[0]}=…)`", *ways]
            raise error(
                "E0103",
                f"`{block.name.text}` {what}",
                span,
                f"no tensor is given for {lacks}" if lacks else "no tensor is given",
                help=ways,
            )
        return made
    if any(isinstance(tensor.value, Initializer) for tensor in given.named(block).values()):
        return _on_initialisers(callee, given, frame, span)
    kept = replace(callee.given, settings=given.settings)  # applied again, it takes other tensors
    if label is not None and label.text == HERE:
        here = LayerValue(replace(made, given=kept), frame.place.chosen(made.choices), label.span)
        return _run(here, given, frame, span, frame.labels)
    kind = block.name.text
    place = (frame.label(label.text, label.span) if label else frame.number(kind)).chosen(made.choices)
    frame.elaborator.scopes[place.path] = ScopeInfo(place.path, kind, span, label is not None, block.doc)
    applied = LayerValue(replace(made, given=kept), place, label.span if label else span)
    layer = frame.elaborator.declare_layer(applied)
    result = _run(layer, given, frame, span)
    if label is not None:
        frame.bind(label.text, layer, label.span)
    return result


def _on_initialisers(callee: BlockValue, given: Arguments, frame: Frame, span: Span) -> CompileTimeValue:
    """What a block gives that is applied to initialisers: its body in a frame of its own, without axes to match."""
    block, standard = callee.block, callee.scope.is_standard
    inner = frame.entered("block", block.name.text, callee.scope, frame.place, span)
    for name, value in {**given.settings, **given.named(block)}.items():
        inner.bind(name, value.value, value.span)
    try:
        require_all(block, given, span, frame)
        for parameter in block.parameters:
            if parameter.name.text not in inner.names and parameter.default is not None:
                inner.bind(parameter.name.text, inner.evaluate(parameter.default), parameter.span)
        with frame.elaborator.budget.entered(block.name.span, frame.at(span)):
            inner.execute(block.body)
    except AttnError as problem:
        raise _called_from(problem, block, span, standard, frame, given) from None
    values = inner.returned.values if inner.returned is not None else ()
    if len(values) != 1 or not isinstance(values[0], (Initializer, Number)):
        raise error("E0113", f"`{block.name.text}` does not give one initialiser for an initialiser", span)
    return values[0]


def _run(
    layer: LayerValue, given: Arguments, frame: Frame, span: Span, labels: Labels | None = None
) -> CompileTimeValue:
    """Elaborate the layer's body in a frame of its own, where the layer was declared. With the `labels` of the caller's
    body it has no place of its own: what it declares is declared among what that body declares. An error inside a
    standard block is said at the user's call."""
    callee, block = layer.callee, layer.callee.block
    standard = callee.scope.is_standard
    inner = frame.entered("block", block.name.text, callee.scope, layer.place, span)
    inner.labels = labels or inner.labels
    try:
        with frame.elaborator.budget.entered(block.name.span, frame.at(span)):
            bound = bind(block, given, callee.given, inner, frame, span)
            if layer.place.choices:
                from attndsl.elaborate.choosing import require_aligned  # most models have none

                require_aligned(layer, given, inner, span)
            inner.execute(block.body)
        if inner.returned is None:
            raise error(
                "E0112", f"`{block.name.text}` returns nothing", block.name.span, help="end the block with `return …`"
            )
        values = _results(block, inner, bound)
    except AttnError as problem:
        raise _called_from(problem, block, span, standard, frame, given) from None
    layer.applied.append(True)
    for value in values:
        if isinstance(value, Value) and labels is None:
            frame.name(value, layer.path)
    return values[0] if len(values) == 1 else Several(values)


def _called_from(
    problem: AttnError, block: tree.Block, span: Span, standard: bool, frame: Frame, given: Arguments
) -> AttnError:
    """The same mistakes, with the call in view. What goes wrong in a standard block is the caller's mistake: the call
    becomes the place, and the block's line a note."""
    moved = []
    for d in problem.diagnostics:
        inside = d.primary is not None and d.primary.span.beside(span)
        if d.primary is None or (inside and (standard or span.start <= d.primary.span.start < span.end)):
            moved.append(d)
        elif standard and frame.viewpoint.in_user_file:
            where = f"in `{block.name.text}` ({d.primary.span}): `{shortened(d.primary.span.text)}`"
            labels = tuple(s for s in d.secondary if s.span.beside(span))
            helps = d.helps or tuple(
                f"write it without quotes: `{name}={value.value.text}`"
                for name, value in given.settings.items()
                if isinstance(value.value, Text) and d.code == "E0210" and frame.scope.find(value.value.text)
            )
            primary, notes = Label(span, d.primary.text), (where, *d.notes)
            moved.append(replace(d, primary=primary, secondary=labels, notes=notes, helps=helps))
        elif not standard and not any(s.text.endswith("is called here") for s in d.secondary):
            moved.append(replace(d, secondary=(*d.secondary, Label(span, f"`{block.name.text}` is called here"))))
        else:
            moved.append(d)
    return AttnError(*moved)


# ---------------------------------------------------------------- results


def _results(block: tree.Block, inner: Frame, bound: BoundAxes) -> tuple[CompileTimeValue, ...]:
    assert inner.returned is not None
    values, place = list(inner.returned.values), inner.returned.span
    if block.results and len(block.results) != len(values):
        raise error(
            "E0113",
            f"`{block.name.text}` returns {len(values)} results but declares {len(block.results)}",
            place,
            other=Label(block.results[0].span, "declared here"),
        )
    for i, declared in enumerate(block.results):
        value = lift(Evaluated(values[i], place), inner).value
        assert isinstance(value, Value)
        values[i] = _declared(declared, value, block, inner, place)
    for i, value in enumerate(values):
        if isinstance(value, Value):
            values[i] = named_back(value, block, inner, bound, place)
        elif isinstance(value, List) and has_tensors(value):
            values[i] = List.of(tuple(named_back(each, block, inner, bound, place) for each in value.values))
        elif isinstance(value, (Text, Initializer)):
            raise error("E0113", f"a block returns tensors, but this is {describe(value)}", place)
    return tuple(values)


def _declared(declared: tree.TypeTree, value: Value, block: tree.Block, inner: Frame, place: Span) -> Value:
    axes: list[Axis] = []
    for term in declared.axes.terms:
        axes += (inner.enclosing.rest or ()) if term.is_rest else [axis_of(term, inner, (value.type,))]
    dtype = dtype_of(declared)
    extra = [a for a in value.type.axes if a not in axes]
    lacking = [a for a in axes if a not in value.type.axes]
    right = value.type.dtype == dtype or (dtype == FLOAT and value.type.is_float)
    if extra or lacking or not right:
        raise error(
            "E0208",
            f"`{block.name.text}` declares {declared.span.text} but returns {value.type}",
            place,
            str(value.type),
            other=Label(declared.span, "declared here"),
        )
    return arrange(value, tuple(axes), inner, place)
