"""Attention: dot(dropout(softmax(dot(q, k) * scale + bias, where=mask, sink=sink)), v), the score perhaps capped.

Anchored at the softmax. Forward from it, through at most a dropout, renames and transpositions, there is one weighted
sum over the very axis; back from it there is a sum of terms, one of which is a dot product that leaves that axis, times
what is the same for all keys (`attention_score`). Nothing else may read what lies between. Projections are not part of
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attndsl.graph import BOOL, Axis, Node, Value
from attndsl.graph.builder import Builder
from attndsl.masks import words
from attndsl.masks.index import Formula
from attndsl.ops import (
    Add,
    And,
    Attention,
    Cast,
    Constant,
    Div,
    Dot,
    Dropout,
    MaskFacts,
    Mul,
    Not,
    Rename,
    Softmax,
    Transpose,
    Where,
)
from attndsl.ops.base import Mismatch
from attndsl.passes.algebra import Algebra
from attndsl.passes.attention_score import (
    CURVES,
    WALKED,
    Piece,
    Score,
    Term,
    facts_of,
    read_score,
    scored_by_dot,
    snapped,
    unscaled,
)
from attndsl.passes.base import Refusal
from attndsl.passes.matching import axis_names
from attndsl.passes.rules import Match, Rule, RulePass
from attndsl.records import dataclass, field


@dataclass(slots=True)
class _Use:
    """The way from the softmax to the weighted sum. `renames` are those of the weights' axes on the way."""

    nodes: list[Node] = field(default_factory=list)
    dropout: Dropout | None = None
    renames: list[tuple[Axis, Axis]] = field(default_factory=list)


def _softmaxes(algebra: Algebra, root: Node) -> Iterator[Node]:
    """The softmax that a dot may be the weighted sum of, if it is of scores."""
    for value in root.inputs:
        softmax = _softmax_behind(algebra, value)
        if softmax is not None and scored_by_dot(algebra, softmax.inputs[0], (*WALKED, *CURVES)):
            yield softmax
            return


def _check(algebra: Algebra, root: Node, softmax: Node) -> Match:
    try:
        return _group(algebra, root, softmax)
    except Mismatch as mismatch:
        raise Refusal(mismatch.message, softmax, 1) from None


def _softmax_behind(algebra: Algebra, value: Value) -> Node | None:
    """The nearest softmax that a value is computed from, element by element."""
    found = (algebra.made_by(near, Softmax) for near in algebra.nearby(value, 6, (*WALKED, *CURVES)))
    return next((node for node in found if node is not None), None)


def _group(algebra: Algebra, root: Node, softmax: Node) -> Match:
    over = softmax.op.goes_over
    use = _use(algebra, root, softmax)
    final = set(over)
    for old, new in use.renames:
        final = {new if axis == old else axis for axis in final}
    if set(root.op.goes_over) != final:
        summed = axis_names(root.op.goes_over)
        raise Refusal(f"the softmax is over {axis_names(over)}, and the weighted sum over {summed}", softmax, 2)
    score = read_score(algebra, softmax)
    dot, term = score.main()
    nodes = (root, *use.nodes, softmax, *score.nodes, dot)
    _check_uses(algebra, nodes, softmax, root, use)
    weights = use.nodes[0].output if use.nodes else softmax.output
    (v,) = (value for value in root.inputs if value is not weights)
    biases = score.biases + [t for node, t in score.dots if node is not dot]
    formula, facts = facts_of(algebra, score, score.masks) if score.masks else (None, MaskFacts())
    assert isinstance(softmax.op, Softmax)
    _, sink = softmax.op.parts(*softmax.inputs[1:])
    parts = _Parts(algebra, score, dot, term, use, v, biases, formula, facts, sink)
    rehearsed = parts.build(Builder())
    if set(rehearsed.type.axes) != set(root.output.type.axes):
        raise Refusal("what is summed has other axes than an attention gives", root, 1)
    return Match(parts.detail(), parts.build, nodes)


def _use(algebra: Algebra, root: Node, softmax: Node) -> _Use:
    """The way forward; refuses where something stands on it that an attention does not have."""
    use = _Use()
    value = softmax.output
    while True:
        readers = algebra.rewriter.uses(value)
        if len(readers) != 1:
            other = next((r for r in readers if r is not None and r is not root), None)
            raise Refusal(_elsewhere("weights", readers), other or algebra.producers[value], 3)
        (node,) = readers
        if node is None or node is root:
            return use
        if isinstance(node.op, Dropout) and node.op.p is None:
            raise Refusal("the rate of the dropout is a tensor, not a number", node, 3)
        if isinstance(node.op, Dropout) and node.op.shared:
            along = ", ".join(axis.name for axis in node.op.shared)
            raise Refusal(f"the dropout has one draw for all elements along [{along}]", node, 3)
        if isinstance(node.op, Dropout) and use.dropout is None:
            use.dropout = node.op
        elif isinstance(node.op, Rename):
            use.renames.append((node.op.old, node.op.new))
        elif not isinstance(node.op, Transpose) and not (isinstance(node.op, Cast) and node.output.type == value.type):
            if _masks(algebra, node, value):
                reason = "a mask after the softmax: the weights that are left do not add up to one"
            else:
                reason = f"`{node.op.name}` comes between the softmax and the weighted sum"
            raise Refusal(reason, node, 3)
        use.nodes.insert(0, node)
        value = node.output


def _masks(algebra: Algebra, node: Node, weights: Value) -> bool:
    if isinstance(node.op, Where):
        return True
    for value in node.inputs if isinstance(node.op, Mul) else ():
        cast = algebra.made_by(value, Cast)
        if value is not weights and (
            value.type.dtype == BOOL or (cast is not None and cast.inputs[0].type.dtype == BOOL)
        ):
            return True
    return False


def _elsewhere(what: str, readers: Iterable[Node | None]) -> str:
    if None in readers:
        return f"the {what} are an output as well, and a fused attention does not give them"
    return f"the {what} are used elsewhere as well, and a fused attention does not give them"


def _check_uses(algebra: Algebra, nodes: tuple[Node, ...], softmax: Node, root: Node, use: _Use) -> None:
    found = algebra.rewriter.elsewhere(nodes, (root.output,))
    if found is not None:
        value, reader = found
        late = {softmax.output, *(node.output for node in use.nodes)}
        what = "weights" if value in late else "scores"
        raise Refusal(_elsewhere(what, [reader]), reader or algebra.producers[value], 5)


@dataclass(slots=True)
class _Parts:
    """What an attention is built from."""

    algebra: Algebra
    score: Score
    dot: Node
    term: Term
    use: _Use
    v: Value
    biases: list[Term]
    formula: Formula | None  # of all masks together
    facts: MaskFacts
    sink: Value | None

    def build(self, out: Builder) -> Value:
        over, contract = self.score.over, self.dot.op.goes_over
        inside = self.score_axis
        left, right = self.dot.inputs
        q, k = (left, right) if inside in right.type.axes else (right, left)
        scale = self.term.coefficient
        operands = []
        for operand in (q, k):
            factor, base, moves = unscaled(self.algebra, operand)
            scale *= factor
            value = base
            for node in reversed(moves):
                value = out.emit(node.op, value)
            operands.append(_renamed(out, value, self.term.piece.renames))
        for piece, power in self.term.factors:
            outside = [axis for axis in piece.axes if axis not in operands[0].type.axes]
            if outside:
                raise Refusal(
                    f"the score is scaled by something with {axis_names(outside)}, which q lacks", self.dot, 4
                )
            operands[0] = out.emit(Mul() if power > 0 else Div(), operands[0], _piece(out, piece))
        v = self.v
        for old, new in reversed(self.use.renames):
            if new in v.type.axes:
                v = out.emit(Rename(new, old), v)
        operands.append(v)
        mask, bias = self.mask(out), self.bias(out)
        dropout = self.use.dropout
        op = Attention(
            contract,
            over,
            snapped(scale, contract, self.algebra.sizes),
            mask is not None,
            bias is not None,
            (dropout.p or 0.0) if dropout else 0.0,
            dropout.site if dropout else "",
            self.facts,
            self.cap,
            self.sink is not None,
        )
        result = out.emit(op, *operands, *(value for value in (mask, bias, self.sink) if value is not None))
        return _renamed(out, result, self.use.renames)

    @property
    def cap(self) -> float:
        return self.score.caps.get(self.dot, 0.0)

    @property
    def score_axis(self) -> Axis:
        """The axis of the keys, under its name in the dot product."""
        axis = self.score.over
        for old, new in reversed(self.term.piece.renames):
            axis = old if axis == new else axis
        return axis

    def mask(self, out: Builder) -> Value | None:
        total: Value | None = None
        for mask in self.score.masks:
            value = _renamed(out, mask.value, mask.renames)
            value = out.emit(Not(), value) if mask.inverted else value
            total = value if total is None else out.emit(And(), total, value)
        return total

    def bias(self, out: Builder) -> Value | None:
        total: Value | None = None
        for term in self.biases:
            value = _piece(out, term.piece)
            for piece, power in term.factors:
                value = out.emit(Mul() if power > 0 else Div(), value, _piece(out, piece))
            if term.coefficient != 1.0:
                value = out.emit(Mul(), value, out.emit(Constant(term.coefficient)))
            total = value if total is None else out.emit(Add(), total, value)
        return total

    def detail(self) -> str:
        """In words, for the report."""
        parts = [f"`attention` over {axis_names([self.score.over])}"]
        if self.formula is not None:
            parts.append(f"mask `{self.formula}` ({', '.join(words(self.facts))})")
        parts += [f"soft cap {self.cap:g}"] if self.cap else []
        parts += ["bias"] * bool(self.biases)
        parts += ["which is not a mask, since a row may be empty"] * self.score.hidden
        parts += ["sink"] * (self.sink is not None)
        parts += ["dropout"] * bool(self.use.dropout)
        return ", ".join(parts)


def _piece(out: Builder, piece: Piece) -> Value:
    return _renamed(out, piece.value, piece.renames)


def _renamed(out: Builder, value: Value, renames: Iterable[tuple[Axis, Axis]]) -> Value:
    for old, new in renames:
        if old in value.type.axes:
            value = out.emit(Rename(old, new), value)
    return value


class FuseAttention(RulePass):
    """Groups that compute softmax(q k) v, with mask, bias, scale and dropout, become one `attention`."""

    name = "fuse-attention"
    after = ("constant-folding", "common-subexpressions", "canonicalise")
    rules = (Rule("attention", (Dot,), _softmaxes, _check, core=lambda softmax: softmax),)
    backward = True
