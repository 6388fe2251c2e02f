"""How values of a scan's body depend on what it carries: as sums of products, or not linearly.

A *form* is a sum of terms; a term is a product of an atom (a value that is carried, before a step or after it; none in
what is only added) with factors, summed over some labels. A label is an axis; one that is summed over gets another name
where the axis is needed again, as that of k in `S - (S k) k`. Which op is linear in which operand, the op itself says.
"""

from __future__ import annotations

from collections.abc import Collection

from attndsl.graph import Axis, Node, Value
from attndsl.ops import Add, Broadcast, Constant, Div, Dot, Mul, Neg, Rename, Sub, Sum, Transpose, Where
from attndsl.passes.base import Refusal
from attndsl.records import Frozen, replace

MOST_TERMS = 16
ARRANGED = (Add, Broadcast, Div, Dot, Mul, Neg, Rename, Sub, Sum, Transpose, Where)
"""The linear ops whose results can be written as sums of products."""


class Factor(Frozen):
    """A value, with the label of each of its axes: itself, or 1 where a condition holds ("where") or does not ("not"),
    or one over it ("over")."""

    value: Value
    labels: tuple[Axis, ...]
    kind: str = ""


class ProductTerm(Frozen):
    """`sign` times the product of an atom and factors, summed over `sums`."""

    atom: Value | None
    labels: tuple[Axis, ...]
    factors: tuple[Factor, ...]
    sums: frozenset[Axis] = frozenset()
    sign: int = 1

    def relabelled(self, old: Axis, new: Axis) -> ProductTerm:
        def moved(labels: tuple[Axis, ...]) -> tuple[Axis, ...]:
            return tuple(new if label == old else label for label in labels)

        factors = tuple(replace(factor, labels=moved(factor.labels)) for factor in self.factors)
        return replace(self, labels=moved(self.labels), factors=factors)

    def negated(self) -> ProductTerm:
        return replace(self, sign=-self.sign)

    def every(self) -> set[Axis]:
        """All of its labels."""
        return {*self.labels, *(label for factor in self.factors for label in factor.labels)}


Form = tuple[ProductTerm, ...]


class Forms:
    """The forms of the values of a body in `atoms`. `moving` are the values that depend on what is carried; `mark`
    tells the labels that one of several such tables sums over from those of another."""

    def __init__(self, scan: Node, atoms: Collection[Value], mark: str) -> None:
        (self.region,) = scan.regions
        self.makers = {value: node for node in self.region.nodes for value in node.outputs}
        self.atoms = frozenset(atoms)
        self.moving = moving(scan)
        self.known: dict[Value, Form] = {}
        self.mark, self.renamed = mark, 0

    def of(self, value: Value) -> Form:
        """The form of a value. Raises `Refusal` where it is not linear."""
        if value not in self.known:
            self.known[value] = self._form(value)
        return self.known[value]

    def _form(self, value: Value) -> Form:
        axes = value.type.axes
        if value in self.atoms:
            return (ProductTerm(value, axes, ()),)
        if value not in self.moving and not self.is_spread(value):
            return (ProductTerm(None, (), (Factor(value, axes),)),)
        node = self.makers.get(value)
        if node is None:
            raise Refusal("another carried value takes part in what is carried")
        found = tuple(term for term in self._of_node(node) if not any(map(self._is_zero, term.factors)))
        if len(found) > MOST_TERMS:
            raise Refusal(f"it is a sum of more than {MOST_TERMS} products of what is carried", node)
        return found

    def is_spread(self, value: Value) -> bool:
        """Whether a value that does not depend on what is carried is a product of smaller ones with other axes, such as
        an outer product: it is kept as a product, and never made for all steps at once."""
        node = self.makers.get(value)
        if node is None or value in self.moving or node.regions or not isinstance(node.op, ARRANGED):
            return False
        if isinstance(node.op, Mul) and all(len(v.type.axes) < value.type.rank for v in node.inputs):
            return all(operand in self.makers for operand in node.inputs)
        return any(map(self.is_spread, node.inputs))

    def _is_zero(self, factor: Factor) -> bool:
        node = self.makers.get(factor.value)
        return not factor.kind and node is not None and isinstance(node.op, Constant) and node.op.value == 0

    def _of_node(self, node: Node) -> Form:
        op, inputs = node.op, node.inputs
        moved = [i for i, value in enumerate(inputs) if value in self.moving]
        if node.regions or not op.is_linear(moved):
            both = " of two values that depend on it" if len(moved) > 1 else ""
            raise Refusal(f"its steps run one after another, not in chunks: `{op.name}`{both} is not linear", node)
        if not isinstance(op, ARRANGED):
            raise Refusal(f"what it carries is taken apart by `{op.name}`", node)
        if isinstance(op, Add | Sub):
            left, right = map(self.of, inputs)
            sign = -1 if isinstance(op, Sub) else 1
            return (*left, *(replace(term, sign=sign * term.sign) for term in right))
        if isinstance(op, Neg):
            return tuple(term.negated() for term in self.of(inputs[0]))
        if isinstance(op, Rename):
            return tuple(self.apart(t, {op.new}).relabelled(op.old, op.new) for t in self.of(inputs[0]))
        if isinstance(op, Transpose | Broadcast):
            return self.of(inputs[0])
        if isinstance(op, Where):
            condition, *branches = inputs
            kinds = zip(("where", "not"), branches, strict=True)
            return tuple(self._with(term, condition, kind) for kind, branch in kinds for term in self.of(branch))
        if isinstance(op, Div):
            return tuple(self._with(term, inputs[1], "over") for term in self.of(inputs[0]))
        if isinstance(op, Sum):
            return self._summed(self.of(inputs[0]), op.over, node)
        product = tuple(self._times(left, right) for left in self.of(inputs[0]) for right in self.of(inputs[1]))
        return self._summed(product, op.over, node) if isinstance(op, Dot) else product

    def _summed(self, form: Form, over: tuple[Axis, ...], node: Node) -> Form:
        if any(axis in term.sums or axis not in term.every() for term in form for axis in over):
            raise Refusal(f"`{node.op.name}` is over an axis that not all of its terms have", node)
        return tuple(replace(term, sums=term.sums | {*over}) for term in form)

    def apart(self, term: ProductTerm, labels: Collection[Axis]) -> ProductTerm:
        """The same term, summed over no label that has the name of one of `labels`."""
        for label in sorted(term.sums & {*labels}, key=str):
            self.renamed += 1
            new = label.named(f"{label.name}'{self.mark}{self.renamed}")
            term = replace(term.relabelled(label, new), sums=term.sums - {label} | {new})
        return term

    def _with(self, term: ProductTerm, value: Value, kind: str) -> ProductTerm:
        term = self.apart(term, value.type.axes)
        return replace(term, factors=(*term.factors, Factor(value, value.type.axes, kind)))

    def _times(self, left: ProductTerm, right: ProductTerm) -> ProductTerm:
        """The product of two terms, of which at most one has an atom."""
        left = self.apart(left, right.every())
        right = self.apart(right, left.every())
        holder = left if left.atom is not None else right
        factors, sums = (*left.factors, *right.factors), left.sums | right.sums
        return ProductTerm(holder.atom, holder.labels, factors, sums, left.sign * right.sign)


def moving(scan: Node) -> set[Value]:
    """The values of a scan's body that depend on what it carries."""
    (region,) = scan.regions
    found = set(region.parameters[1:])
    for node in region.nodes:
        read = {*node.inputs, *(value for inner in node.regions for each in inner.walk() for value in each.inputs)}
        if not found.isdisjoint(read):
            found.update(node.outputs)
    return found
