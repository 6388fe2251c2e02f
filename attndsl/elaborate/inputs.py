"""A model's inputs and outputs."""

from __future__ import annotations

from attndsl.diagnostics import Label, error
from attndsl.elaborate.frames import Frame
from attndsl.elaborate.tensors import axis_of, distinct, dtype_of, lift, size_of
from attndsl.elaborate.values import Argument, Number, describe
from attndsl.graph import Axis, InputInfo, OutputInfo, Type, Value
from attndsl.graph.core import Bound
from attndsl.sizes import Constraint, Size
from attndsl.syntax import tree

_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def declare_input(node: tree.InputDecl, frame: Frame) -> None:
    """`input tokens: int[B, T] where T <= context, tokens < vocab`: names not known yet are sizes that it binds."""
    if frame.kind != "model":
        raise error("E0114", "inputs are declared at the top of a model", node.span)
    known = [i for i in frame.run.inputs if i.name == node.name.text]
    if known:
        raise error(
            "E0107",
            f"the input `{node.name.text}` is declared twice",
            node.name.span,
            other=Label(known[0].span, "first here") if known[0].span else (),
        )
    if node.default is not None:
        raise error(
            "E0115",
            "an optional input has no default yet",
            node.default.span,
            help="leave the default out: outputs that need the input are computed only when it is given",
        )
    dtype, axes = dtype_of(node.type), []
    for term in node.type.axes.terms:
        if term.is_rest:
            raise error("E0203", "an input names all its axes", term.span)
        _introduce(term, frame)
        axes.append(axis_of(term, frame))
    distinct(axes, node.type.axes)
    value = Value(Type(dtype, tuple(axes)), (node.name.text,))
    frame.bind(node.name.text, value, node.name.span)
    bounds: list[Bound] = []
    for where in node.where:
        _where(where, node, frame, bounds)
    frame.run.inputs.append(InputInfo(node.name.text, value, node.optional, tuple(bounds), node.doc, node.name.span))


def _introduce(term: tree.AxisTerm, frame: Frame) -> None:
    """Bind the names in an input's axis that nothing has bound: they are sizes that the call's arrays decide."""
    stack = [term.size]
    while stack:
        node = stack.pop()
        if isinstance(node, tree.Name) and frame.lookup(node.text) is None:
            size = Size.symbol(node.text)
            frame.bind(node.text, Number(None, size, Axis.of(size)), node.span)
        elif isinstance(node, tree.Chain):
            stack += node.operands


def _where(where: tree.Expr, node: tree.InputDecl, frame: Frame, bounds: list[Bound]) -> None:
    comparable = isinstance(where, tree.Chain) and len(where.operators) == 1 and where.operators[0].text in _FLIPPED
    if not isinstance(where, tree.Chain) or not comparable:
        raise error(
            "E0210",
            "after `where` stand comparisons of sizes and of the input's values",
            where.span,
            help="for example `where T <= context, tokens < vocab`",
        )
    (left, right), relation = where.operands, where.operators[0].text
    for mine, other, word in ((left, right, relation), (right, left, _FLIPPED[relation])):
        if isinstance(mine, tree.Name) and mine.text == node.name.text:
            limit = size_of(frame.run.evaluate(other, frame), other.span, frame, smallest=-(2**63))
            bounds.append(Bound(word, limit, where.span))
            return
    sizes = []
    for side in (left, right):
        value = frame.run.evaluate(side, frame)
        if not isinstance(value, Number) or value.size is None:
            raise error(
                "E0210",
                f"sizes are compared here, but this is {describe(value)}",
                side.span,
                help=f"the values of an input are bounded where it is declared; this is `{node.name.text}`",
            )
        sizes.append(value.size)
    frame.run.require(Constraint(relation, sizes[0], sizes[1], where.span, "E0211"))


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
    known = [o for o in frame.run.outputs if o.name == node.name.text]
    if known:
        raise error(
            "E0107",
            f"the output `{node.name.text}` is declared twice",
            node.name.span,
            other=Label(known[0].span, "first here") if known[0].span else (),
        )
    result = lift(Argument(frame.run.evaluate(node.value, frame), node.value.span, node.value), frame).value
    assert isinstance(result, Value)
    frame.name(result, node.name.text)
    frame.bind(node.name.text, result, node.name.span)
    frame.run.outputs.append(OutputInfo(node.name.text, result, frozenset(), node.doc, node.name.span))
