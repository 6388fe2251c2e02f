"""Operations on what they hardly fit: scores that pair each place with itself (W0103), a norm with a large eps, a
softmax over one element, a softmax of a softmax (W0106 to W0108)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attndsl.diagnostics import Diagnostic, Label, Span, warning
from attndsl.ops import Add, Constant, Dot, LogSoftmax, Mean, Mul, Rsqrt, Softmax, Sqrt, Sum
from attndsl.syntax import tree

if TYPE_CHECKING:
    from attndsl.elaborate import Spec
    from attndsl.graph import Node, Value
    from attndsl.lints.flow import Flow
    from attndsl.types import Axis

LARGE_EPS = 1e-2


def unfit_operations(flow: Flow) -> Iterator[Diagnostic]:
    for node in flow.nodes:
        if isinstance(node.op, (Rsqrt, Sqrt)):
            yield from _large_eps(flow, node)
        elif isinstance(node.op, (Softmax, LogSoftmax)):
            yield from _of_one(node)
            yield from _of_softmax(flow, node)


def _large_eps(flow: Flow, root: Node) -> Iterator[Diagnostic]:
    """A root of a mean and a constant that is neither small nor a term of its own, as in `1 / sqrt(1 + v)`."""
    total = flow.made_by(root.inputs[0], Add)
    if total is None or not any(flow.made_by(value, Mean) for value in total.inputs):
        return
    for value in total.inputs:
        constant = flow.made_by(value, Constant)
        if constant is not None and LARGE_EPS < (eps := getattr(constant.op, "value", 0)) < 1:
            yield warning(
                "W0106",
                f"the eps of this norm is {eps}",
                root.at,
                f"what is normalised hardly counts where its variance is below {eps}",
                help="an eps keeps the division from failing, 1e-5 or so",
            )


def _of_one(node: Node) -> Iterator[Diagnostic]:
    for axis in node.op.goes_over:
        if axis.size.constant == 1:
            always = 0 if isinstance(node.op, LogSoftmax) else 1
            yield warning(
                "W0107",
                f"`{node.op.name}` over an axis of one element is always {always}",
                node.at,
                f"over {axis}",
                help="for one answer, yes or no, take `sigmoid`; for a class of two, two elements",
            )


def _of_softmax(flow: Flow, node: Node) -> Iterator[Diagnostic]:
    """Through what only moves elements; scaled between the two, it may be meant."""
    inner = flow.makers.get(node.inputs[0])
    while inner is not None and inner.op.view:
        inner = flow.makers.get(inner.inputs[0])
    if inner is None or not isinstance(inner.op, (Softmax, LogSoftmax)) or inner.op.goes_over != node.op.goes_over:
        return
    yield warning(
        "W0108",
        f"this is the `{node.op.name}` of what is a `{inner.op.name}` already",
        node.at,
        other=Label(inner.at, "made here") if inner.at is not None else (),
        help="give it the scores as they are: `cross_entropy` takes the softmax itself",
    )


# ---------------------------------------------------------------- attention that is a diagonal


def diagonal_attention(spec: Spec, flow: Flow) -> Iterator[Diagnostic]:
    """A softmax over an axis that both sides of its scores have, by whose weights values are then summed.

    Scores of which one side is made of parameters alone pool (every place is scored by what is learned), and what is
    written with its type is meant so.
    """
    for node in flow.nodes:
        for axis in node.op.goes_over if isinstance(node.op, Softmax) else ():
            if axis.size.symbols <= flow.graph.sizes.keys():
                continue  # heads, experts and the like, not places
            score = _score(flow, node.inputs[0], axis)
            if score is not None and _weighs(flow, node.output, axis) and not _is_typed(spec, score.at):
                yield _told(score, node, axis)


def _score(flow: Flow, value: Value, axis: Axis) -> Node | None:
    """The product behind a softmax over `axis` whose two sides both have that axis and are computed from an input; on
    the way stand only operations that treat each place along it alone."""
    waiting, seen = [value], {value}
    while waiting:
        node = flow.makers.get(waiting.pop())
        sides = _sides(flow, node) if node is not None else None
        if node is None:
            continue
        if sides is not None and axis not in node.op.goes_over:
            if all(axis in side.type.axes and side in flow.given for side in sides):
                return node
            continue
        more = [it for it in node.inputs if _keeps(node, axis) and axis in it.type.axes and it not in seen]
        seen.update(more)
        waiting += more
    return None


def _sides(flow: Flow, node: Node) -> tuple[Value, ...] | None:
    """The two sides of a sum of products: `dot(a, b, over=K)`, `sum(a * b, over=K)`."""
    if isinstance(node.op, Dot):
        return node.inputs
    product = flow.made_by(node.inputs[0], Mul) if isinstance(node.op, Sum) else None
    return product.inputs if product is not None else None


def _weighs(flow: Flow, value: Value, axis: Axis) -> bool:
    """Whether values are summed over `axis`, weighed by `value`."""
    waiting, seen = [value], {value}
    while waiting:
        for node in flow.readers.get(waiting.pop(), ()):
            if isinstance(node.op, (Dot, Sum)) and axis in node.op.goes_over:
                return True
            more = [it for it in node.outputs if _keeps(node, axis) and it not in seen]
            seen.update(more)
            waiting += more
    return False


def _keeps(node: Node, axis: Axis) -> bool:
    """Whether a node treats each place along an axis alone, and leaves the axis as it is."""
    alone = node.op.pointwise or node.op.view or node.op.moves or node.op.draws
    return alone and not node.regions and axis in node.output.type.axes


def _is_typed(spec: Spec, place: Span | None) -> bool:
    """Whether the statement at a place says the type of its result."""
    return place is not None and any(
        isinstance(node, tree.Assign) and node.type is not None and node.span.start <= place.start < node.span.end
        for scope in spec.scope.library.user_files()
        for declaration in scope.file.declarations
        if declaration.span.source is place.source
        for node in tree.walk(declaration)
    )


def _told(score: Node, softmax: Node, axis: Axis) -> Diagnostic:
    type_ = str(score.output.type).removeprefix("float")
    return warning(
        "W0103",
        f"these scores pair each position along `{axis.name}` with itself only, since both sides have that axis",
        score.at,
        f"the scores are {type_}",
        other=Label(softmax.at, f"here they are weighed along `{axis.name}`") if softmax.at else (),
        help=(
            f"to pair all places, rename the axis of the keys and values, `rearrange([{axis.name}] -> "
            f"[S={axis.name}])`, and go over `S` from there on",
            f"if each position is to have one score, write the type: `score: {type_} = …`",
        ),
    )
