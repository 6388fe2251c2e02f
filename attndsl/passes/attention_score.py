"""Reads the score of an attention back from its softmax: which dot product, times what, plus what, where."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from attndsl.graph import BOOL, Axis, Node, Value
from attndsl.masks import Mask, mask_facts
from attndsl.masks.index import Formula
from attndsl.ops import (
    OPS,
    Add,
    Cast,
    Div,
    Dot,
    Dropout,
    Flatten,
    MaskFacts,
    Mul,
    Neg,
    Op,
    Rename,
    Softmax,
    Sub,
    Tanh,
    Transpose,
    Unflatten,
    Where,
)
from attndsl.passes.algebra import ONE, Algebra
from attndsl.passes.base import Refusal
from attndsl.records import Frozen, dataclass, field, replace

MASK = -1e4  # what is added to a score to mask it is this low at least; e to that is 0 in every precision
WALKED: tuple[type[Op], ...] = (Add, Sub, Neg, Mul, Div, Where, Dropout, Tanh, Transpose, Cast, Rename)
CURVES: tuple[type[Op], ...] = tuple(
    op for op in OPS.values() if op.pointwise and op.differentiable and not issubclass(op, WALKED)
)
MOVED: tuple[type[Op], ...] = (Transpose, Rename, Unflatten, Flatten)

Renames = tuple[tuple[Axis, Axis], ...]  # (old, new), in the order in which they happen


class Piece(Frozen):
    """A value that takes part in a score. `renames` happen to its axes on the way to the softmax."""

    value: Value
    renames: Renames = ()

    @property
    def axes(self) -> set[Axis]:
        axes = set(self.value.type.axes)
        for old, new in self.renames:
            if old in axes:
                axes = axes - {old} | {new}
        return axes


class Term(Frozen):
    """`coefficient` * piece * the factors (to the power 1 or -1)."""

    piece: Piece
    coefficient: float = 1.0
    factors: tuple[tuple[Piece, int], ...] = ()


@dataclass(slots=True)
class Score:
    over: Axis
    nodes: list[Node] = field(default_factory=list)
    dots: list[tuple[Node, Term]] = field(default_factory=list)
    biases: list[Term] = field(default_factory=list)
    masks: list[Mask] = field(default_factory=list)
    soft: list[Node] = field(default_factory=list)  # what puts a finite number in the place of masked scores
    curves: list[Node] = field(default_factory=list)  # what is not linear in a dot product, and so a bias if anything
    hidden: bool = False  # whether a bias is a mask in disguise, of which a row may be empty
    caps: dict[Node, float] = field(default_factory=dict)  # the dot products that are capped, and how high

    def main(self) -> tuple[Node, Term]:
        """The dot product of queries and keys: the one that is capped, or the first."""
        return next(((node, term) for node, term in self.dots if node in self.caps), self.dots[0])


def scored_by_dot(algebra: Algebra, value: Value, through: tuple[type[Op], ...] = WALKED) -> bool:
    """Whether a value comes from a dot product by ops of the kinds `through`: by default, what may stand in a score."""
    return any(algebra.made_by(near, Dot) for near in algebra.nearby(value, 8, through))


def read_score(algebra: Algebra, softmax: Node) -> Score:
    """The score under `softmax`; raises `Refusal` where it cannot be fused."""
    if len(softmax.op.goes_over) > 1:
        names = ", ".join(axis.name for axis in softmax.op.goes_over)
        raise Refusal(f"the softmax is over several axes, [{names}]: an attention's keys have one", softmax, 1)
    (over,) = softmax.op.goes_over
    assert isinstance(softmax.op, Softmax)
    where, _ = softmax.op.parts(*softmax.inputs[1:])
    score = Score(over)
    score.masks += [Mask(where)] if where is not None else []
    _Reader(algebra, score).read(softmax.inputs[0], Term(Piece(softmax.inputs[0])))
    if not score.dots and score.curves:
        curve = score.curves[0]
        raise Refusal(f"`{curve.op.name}` comes between the dot product and the softmax", curve, 2)
    if not score.dots:
        raise Refusal("the axis of the softmax is in no dot product of the score", softmax, 1)
    score.biases = [term for bias in score.biases for term in _bias_or_mask(algebra, score, bias)]
    if len(score.caps) > 1:
        raise Refusal("two dot products are capped, each by itself", next(iter(score.caps)), 3)
    _check_rows(algebra, score)
    return score


class _Reader:
    """Walks a score from the softmax down; `term` carries what the value read will be multiplied by and renamed to."""

    def __init__(self, algebra: Algebra, score: Score, *, shifts: bool = True) -> None:
        self.algebra, self.score = algebra, score
        self.shifts = (
            shifts  # whether the score may be shifted by a constant: that is the same for all keys, and cancels
        )

    def read(self, value: Value, term: Term) -> None:
        node = self.algebra.producers.get(value)
        if not scored_by_dot(self.algebra, value) or node is None:
            if node is not None and scored_by_dot(self.algebra, value, (*WALKED, *CURVES)):
                self.score.curves.append(next(self._curves(value)))
            if not self.shifts or self.algebra.constant(value) is None:
                self.score.biases.append(replace(term, piece=replace(term.piece, value=value)))
            return
        handler = HANDLERS[type(node.op)]
        if handler is not _Reader.dot:
            self.score.nodes.append(node)
        handler(self, node, term)

    def _curves(self, value: Value) -> Iterator[Node]:
        for near in self.algebra.nearby(value, 8, WALKED):
            node = self.algebra.made_by(near, *CURVES)
            if node is not None and scored_by_dot(self.algebra, near, (*WALKED, *CURVES)):
                yield node

    def sum(self, node: Node, term: Term) -> None:
        left, right = node.inputs
        self.read(left, term)
        self.read(right, replace(term, coefficient=-term.coefficient) if isinstance(node.op, Sub) else term)

    def negative(self, node: Node, term: Term) -> None:
        self.read(node.inputs[0], replace(term, coefficient=-term.coefficient))

    def product(self, node: Node, term: Term) -> None:
        for scored, other in (node.inputs, node.inputs[::-1]):
            if scored_by_dot(self.algebra, scored) and self.over(term) not in other.type.axes:
                self.read(scored, self.scaled(node, term, other, 1))
                return
        self._is_mask(node)
        raise Refusal("the score is multiplied by something that differs from key to key", node, 2)

    def quotient(self, node: Node, term: Term) -> None:
        above, below = node.inputs
        if self.over(term) in below.type.axes:
            raise Refusal("the score is divided by something that differs from key to key", node, 2)
        self.read(above, self.scaled(node, term, below, -1))

    def scaled(self, node: Node, term: Term, factor: Value, power: int) -> Term:
        number = self.algebra.constant(factor)
        if number is not None:
            if number == 0.0:
                raise Refusal("the score is multiplied or divided by zero", node, 2)
            return replace(term, coefficient=term.coefficient * number**power)
        return replace(term, factors=(*term.factors, (Piece(factor, term.piece.renames), power)))

    def choice(self, node: Node, term: Term) -> None:
        condition, left, right = node.inputs
        for chosen, other, inverted in ((left, right, False), (right, left, True)):
            fill = self.algebra.constant(other)
            if fill is None or not scored_by_dot(self.algebra, chosen):
                continue
            if self.algebra.rewriter.exact:
                raise Refusal("a NaN among the values of hidden keys has a gradient here, and none under a mask", node)
            if term.factors or not fill * term.coefficient <= MASK:
                raise Refusal(f"{fill:g} instead of a score is not low enough for a mask", node, 3)
            self.score.masks.append(Mask(condition, inverted, term.piece.renames))
            if fill != -math.inf:
                self.score.soft.append(node)
            self.read(chosen, term)
            return
        raise Refusal("the score is chosen from two tensors: that is not a mask", node, 2)

    def dropped(self, node: Node, term: Term) -> None:
        raise Refusal("dropout is applied between the score and the softmax, not after it", node, 3)

    def capped(self, node: Node, term: Term) -> None:
        """cap * tanh(x * something): what x is multiplied by may be anything that a score may be scaled by."""
        if term.factors:
            raise Refusal("what `tanh` gives is multiplied by more than a number: that is not a soft cap", node, 3)
        inner = _Reader(self.algebra, Score(self.score.over), shifts=False)
        inner.read(node.inputs[0], term)
        found = inner.score
        if found.biases or found.masks or len(found.dots) != 1 or found.caps:
            raise Refusal(
                "the soft cap is applied to more than a scaled dot product: add biases and masks after it", node, 3
            )
        self.score.nodes += found.nodes
        self.score.dots += found.dots
        self.score.caps[found.dots[0][0]] = abs(term.coefficient)

    def same(self, node: Node, term: Term) -> None:
        self.read(node.inputs[0], term)

    def renamed(self, node: Node, term: Term) -> None:
        op = node.op
        assert isinstance(op, Rename)
        self.read(
            node.inputs[0], replace(term, piece=replace(term.piece, renames=((op.old, op.new), *term.piece.renames)))
        )

    def dot(self, node: Node, term: Term) -> None:
        over = self.over(term)
        sides = [over in value.type.axes for value in node.inputs]
        term = replace(term, piece=replace(term.piece, value=node.output))
        if sum(sides) == 1:
            self.score.dots.append((node, term))
        else:
            self.score.biases.append(term)

    def over(self, term: Term) -> Axis:
        """The softmax's axis, under the name that it has here."""
        axis = self.score.over
        for old, new in reversed(term.piece.renames):
            axis = old if axis == new else axis
        return axis

    def _is_mask(self, node: Node) -> None:
        for value in node.inputs:
            inner = self.algebra.made_by(value, Cast)
            if value.type.dtype == BOOL or (inner is not None and inner.inputs[0].type.dtype == BOOL):
                raise Refusal("the score is multiplied by a mask: that makes scores 0, which still count", node, 3)


HANDLERS: dict[type[Op], Callable[[_Reader, Node, Term], None]] = {
    Add: _Reader.sum,
    Sub: _Reader.sum,
    Neg: _Reader.negative,
    Mul: _Reader.product,
    Div: _Reader.quotient,
    Where: _Reader.choice,
    Dropout: _Reader.dropped,
    Tanh: _Reader.capped,
    Transpose: _Reader.same,
    Cast: _Reader.same,
    Rename: _Reader.renamed,
    Dot: _Reader.dot,
}


def _bias_or_mask(algebra: Algebra, score: Score, bias: Term) -> Iterable[Term]:
    """The bias itself; or nothing, if it is a mask in disguise (0 where to attend, very low elsewhere) under which no
    row can be empty, and so a mask in truth."""
    mask = None if algebra.rewriter.exact else _disguised(algebra, bias)
    if mask is None:
        return (bias,)
    if facts_of(algebra, score, [*score.masks, mask])[1].may_be_empty:
        score.hidden = True
        return (bias,)
    score.masks.append(mask)
    return ()


def _disguised(algebra: Algebra, bias: Term) -> Mask | None:
    node = algebra.producers.get(bias.piece.value)
    if node is None or bias.factors:
        return None
    if isinstance(node.op, Where):
        left, right = (algebra.constant(value) for value in node.inputs[1:])
        condition, renames = node.inputs[0], bias.piece.renames
        if left == 0.0 and right is not None and right * bias.coefficient <= MASK:
            return Mask(condition, False, renames)
        if right == 0.0 and left is not None and left * bias.coefficient <= MASK:
            return Mask(condition, True, renames)
        return None
    terms = algebra.polynomial(bias.piece.value)
    floor = terms.pop(ONE, 0.0)
    if len(terms) != 1:
        return None
    ((monomial, slope),) = terms.items()
    cast = algebra.made_by(monomial[0][0], Cast) if len(monomial) == 1 and monomial[0][1] == 1 else None
    if cast is None or cast.inputs[0].type.dtype != BOOL:
        return None
    if floor + slope == 0.0 and floor * bias.coefficient <= MASK:
        return Mask(cast.inputs[0], False, bias.piece.renames)
    low = floor == 0.0 and slope * bias.coefficient <= MASK
    return Mask(cast.inputs[0], True, bias.piece.renames) if low else None


def _check_rows(algebra: Algebra, score: Score) -> None:
    if score.soft and facts_of(algebra, score, score.masks)[1].may_be_empty:
        raise Refusal(
            "a finite constant as mask gives a uniform row, not zeros, where nothing may be attended to, and this mask "
            "may leave a row empty",
            score.soft[0],
            4,
        )


def facts_of(algebra: Algebra, score: Score, masks: Sequence[Mask]) -> tuple[Formula, MaskFacts]:
    """What is known of all of `masks` together: queries are along axes of the score that only one side of the dot
    product has."""
    dot, term = score.main()
    left, right = (Piece(value, term.piece.renames).axes for value in dot.inputs)
    axes = [_renamed(axis, term.piece.renames) for axis in dot.output.type.axes]
    queries = [axis for axis in axes if axis != score.over and (axis in left) != (axis in right)]
    key = tuple(masks), tuple(queries), score.over
    if key not in algebra.remembered:
        algebra.remembered[key] = mask_facts(masks, algebra.producers, queries, score.over, algebra.sizes)
    found: tuple[Formula, MaskFacts] = algebra.remembered[key]
    return found


def _renamed(axis: Axis, renames: Renames) -> Axis:
    for old, new in renames:
        axis = new if axis == old else axis
    return axis


def unscaled(algebra: Algebra, value: Value) -> tuple[float, Value, tuple[Node, ...]]:
    """A scalar that multiplies an operand, what it multiplies, and the movement that follows (the last node first).
    Only what nothing else reads is taken apart."""
    moves: list[Node] = []
    scale, at = 1.0, value
    found: tuple[float, Value, tuple[Node, ...]] = (1.0, value, ())
    while (node := algebra.made_by(at, *MOVED, Mul, Div, Neg)) is not None and algebra.rewriter.used_once(at):
        if isinstance(node.op, MOVED):
            moves.append(node)
            at = node.inputs[0]
            continue
        number, base = _times(algebra, node)
        if not number or base.type != node.output.type:
            break
        scale, at = scale * number, base
        found = (scale, at, tuple(moves))
    return found


def _times(algebra: Algebra, node: Node) -> tuple[float | None, Value]:
    """The number by which a node multiplies its operand, and the operand."""
    if isinstance(node.op, Neg):
        return -1.0, node.inputs[0]
    left, right = node.inputs
    number = algebra.constant(right)
    if isinstance(node.op, Div):
        return (1 / number if number else None), left
    return (number, left) if number is not None else (algebra.constant(left), right)


def snapped(scale: float, contract: tuple[Axis, ...], sizes: Mapping[str, int]) -> float:
    """A scale that is 1 / sqrt(size) but for rounding is exactly that, in whichever way it was computed."""
    total = 1
    for axis in contract:
        known = axis.size.known(sizes)
        if known is None:
            return scale
        total *= known
    default = 1 / math.sqrt(total)
    return default if abs(scale - default) <= 1e-14 * default else scale
