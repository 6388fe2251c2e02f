"""Attention in blocks of queries, each with those keys alone that it can see: when, and how its mask is written.

A mask that allows a query only some neighbourhood (a window, a chunk, every n-th key, a document) leaves most blocks of
the scores empty. What it allows is known as a formula of positions (`masks.ranges`), which is written as two functions:
`seen`, the mask itself, and `near`, the ranges of keys that a block of queries may see. From them the helper
`block_mask` makes the mask of each block, once for all layers, and nothing as long as queries times keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attndsl import ops
from attndsl.backends.pytorch.block_helpers import BLOCK
from attndsl.backends.pytorch.expressions import (
    ATOM,
    BIT_AND,
    BIT_OR,
    COMPARE,
    PRODUCT,
    SUM,
    Expr,
    binary,
    function,
)
from attndsl.backends.pytorch.names import identifier
from attndsl.backends.pytorch.site import Site, WrittenFunction, inverted, negated
from attndsl.graph import Axis, Node, Value
from attndsl.masks import mask_formula
from attndsl.masks.formulas import index_of
from attndsl.masks.index import (
    Atom,
    Compare,
    Every,
    Formula,
    Function,
    Holds,
    Index,
    LinearSum,
    Negated,
    Read,
    Some,
    Truth,
    negative,
)
from attndsl.masks.ranges import FIRST, LAST, KeyRange, KeyRanges, key_ranges, seen_keys
from attndsl.masks.reading import atoms, replaced
from attndsl.ops.base import Op
from attndsl.records import Frozen
from attndsl.sizes import ONE, ZERO, Size

MASK_FUNCTIONS = SEEN, NEAR = "attends", "keys_near"  # what hardly an input is called
LENGTH = 8192  # for which it is said how much is computed, where the spec leaves the length open


class BlockMask(Op):
    """A mask by blocks of queries along `queries`, given the tensors that its formula reads (`tensors`). `batch` and
    `heads` are the axes, if any, along which it differs besides. Its value is no tensor, so its type has no axes."""

    name = "torch.block_mask"
    noun = "mask"
    operands = ("data?",)
    formula: Formula
    ranges: KeyRanges
    queries: Axis
    keys: Axis
    batch: Axis | None
    heads: Axis | None
    flex: bool = False  # whether it is one of FlexAttention's
    size: int = BLOCK  # queries in a block


def block_mask(
    where: Value,
    producers: Mapping[Value, Node],
    op: ops.Attention,
    queries: Axis | None,
    batch: tuple[Axis, ...],
    heads: tuple[Axis, ...],
    sizes: Mapping[str, int],
) -> BlockMask | str:
    """`where` by blocks of queries, or why it is taken whole: torch's first two axes stand for `batch` and `heads`."""
    if queries is None or op.mask.keys_only or op.mask.queries != queries:
        return "all queries see the same keys"
    query, key = (Index(name, ZERO, axis.size - 1) for name, axis in (("q", queries), ("k", op.over)))
    formula = replaced(
        mask_formula(where, producers, queries, op.over),
        {
            index_of(index.name, axis, {}): LinearSum.of(index) + LinearSum.of(axis.origin)
            for index, axis in ((query, queries), (key, op.over))
        },
    )  # of places along the axes: positions may begin elsewhere
    ranges = key_ranges(formula, query, key, sizes)
    if isinstance(formula, Truth) or ranges.everything:
        return f"`{formula}` does not bound the keys of a query"
    others = {atom.name for atom in atoms(formula) if isinstance(atom, Index)} - {"q", "k"}
    first, second = ({axis.name for axis in axes} & others for axes in (batch, heads))
    if others - first - second or (first and len(batch) > 1) or (second and len(heads) > 1):
        return "the mask differs along more axes than the batch and the heads"
    if not symbols(formula, ranges) <= sizes.keys():
        return "the mask depends on the length of an input"
    if any(isinstance(atom, Function) and atom.name == "if" for atom in atoms(formula)):
        return "the mask counts with truth values"
    return BlockMask(
        formula, ranges, queries, op.over, batch[0] if first else None, heads[0] if second else None
    )  # fmt: skip


def tensors(formula: Formula) -> dict[Value, str]:
    """What a formula reads, in the order of the text, and what each is called."""
    found: dict[Value, str] = {}
    for read in sorted((atom for atom in atoms(formula) if isinstance(atom, Read)), key=str):
        if read.value not in found:
            name = identifier(read.name)
            taken = {"b", "h", "q", "k", *found.values()}
            found[read.value] = name if name not in taken else f"{name}_{len(found) + 2}"
    return found


def symbols(formula: Formula, ranges: KeyRanges) -> frozenset[str]:
    """The sizes that the functions of a mask mention."""
    sums = [*_sums(formula), LinearSum((), ranges.stride)]
    for each in ranges.ranges:
        sums += [*each.low, *each.high, *each.where]
    found: set[str] = set()
    while sums:
        total = sums.pop()
        found |= total.constant.symbols
        for atom, coefficient in total.terms:
            found |= coefficient.symbols
            if isinstance(atom, Function):
                sums += [part for each in atom.arguments for part in _sums(each)]
            elif isinstance(atom, Read):
                sums += atom.indices
    return frozenset(found)


def _sums(item: Formula | LinearSum) -> Iterator[LinearSum]:
    """The numbers that a formula compares."""
    if isinstance(item, LinearSum):
        yield item
    elif isinstance(item, (Every, Some)):
        for part in item.parts:
            yield from _sums(part)
    elif isinstance(item, Negated):
        yield from _sums(item.part)
    elif isinstance(item, Holds):
        yield from item.read.indices
    elif not isinstance(item, Truth):
        yield item.difference


def share(mask: BlockMask, length: int, sizes: Mapping[str, int]) -> float:
    """Of `length` queries times as many keys, the part that is computed; 1 where it is up to the data."""
    stride = mask.ranges.stride.value(sizes)
    total = 0
    for start in range(min(stride, length)):
        rows = range(start, length, stride)
        for at in range(0, len(rows), BLOCK):
            block = rows[at : at + BLOCK]
            seen = seen_keys(mask.ranges, block[0], block[-1], length, sizes)
            total += len(block) * sum(len(span) for span in seen) // stride
    return total / length**2


def in_words(mask: BlockMask, sizes: Mapping[str, int]) -> str:
    """How an attention with this mask is computed, and how much of it that is."""
    length = mask.queries.size.known(sizes) or LENGTH
    part = f"{100 * share(mask, length, sizes):.2g}% of {length:,} x {length:,} scores"
    least = " at most, and none between blocks without a document in common" if mask.ranges.same else ""
    return f"in blocks of {BLOCK} queries, each with the keys that the mask lets it see: {part}{least}"


# ---------------------------------------------------------------------------------------------------------- as source


def lower_block_mask(site: Site) -> Expr:
    op, write = site.op, site.function
    names = tensors(op.formula)
    axes = {axis.name: name for axis, name in ((op.batch, "b"), (op.heads, "h")) if axis is not None}
    text = _Text(write, {"q": "q", "k": "k", **axes}, names)
    given = "".join(f"{name}: Tensor, " for name in names.values())
    seen = write.define(
        SEEN,
        f"({given}b: Tensor, h: Tensor, q: Tensor, k: Tensor) -> Tensor",
        f"Whether query q attends to key k: {op.formula}.",
        f"return {text.formula(op.formula)}",
    )
    shape = [("1" if axis is None else write.size(axis.size).text) for axis in (op.batch, op.heads)]
    shape += [write.size(axis.size).text for axis in (op.queries, op.keys)]
    arguments = [f"({', '.join(shape)})"]
    arguments += [site.tensor(x, t.dtype).text for x, t in zip(site.arguments, site.types, strict=True)]
    device = f"device={write.device()}"
    if op.flex:
        return function(write.helper("flex_mask"), seen, *arguments, device)
    ranges = ", ".join(map(text.range, op.ranges.ranges))
    near = write.define(
        NEAR,
        "(first: int, last: int, keys: int) -> list[range]",
        "Ranges of keys that hold all those to which queries `first` to `last` attend.",
        f"return [{ranges}]",
    )
    keywords = [f"stride={write.size(op.ranges.stride)}"] if op.ranges.stride != ONE else []
    keywords += ["by_data=True"] if op.ranges.same else []
    keywords += [f"size={op.size}"] if op.size != BLOCK else []
    return function(write.helper("block_mask"), seen, near, *arguments, *keywords, device)


class _Text(Frozen):
    """Formulas as Python, of tensors or of numbers."""

    write: WrittenFunction
    indices: Mapping[str, str]
    names: Mapping[Value, str]

    def formula(self, formula: Formula) -> Expr:
        if isinstance(formula, Every):
            return self.joined("&", BIT_AND, formula.parts)
        if isinstance(formula, Some):
            return self.joined("|", BIT_OR, formula.parts)
        if isinstance(formula, Negated):
            return inverted(self.formula(formula.part))
        if isinstance(formula, Holds):
            return self.read(formula.read)
        assert not isinstance(formula, Truth)
        left, relation, right = formula.sides()
        other = self.number(right if isinstance(right, LinearSum) else LinearSum((), right))
        return binary(self.number(left), relation, other, COMPARE)

    def joined(self, sign: str, level: int, parts: tuple[Formula, ...]) -> Expr:
        total, *rest = map(self.formula, parts)
        for part in rest:
            total = binary(total, sign, part, level)
        return total

    def number(self, total: LinearSum) -> Expr:
        """What is added first, then what is subtracted, the constant last."""
        signed = sorted(((negative(c), self.times(a, -c if negative(c) else c)) for a, c in total.terms), key=_first)
        if total.constant != ZERO or not signed:
            minus = negative(total.constant) and bool(signed)
            signed.append((minus, self.write.size(-total.constant if minus else total.constant)))
        (minus, found), *rest = signed
        found = negated(found) if minus else found
        for minus, term in rest:
            found = binary(found, "-" if minus else "+", term, SUM)
        return found

    def times(self, atom: Atom, coefficient: Size) -> Expr:
        said = self.atom(atom)
        return said if coefficient == ONE else binary(self.write.size(coefficient), "*", said, PRODUCT)

    def atom(self, atom: Atom) -> Expr:
        if isinstance(atom, Index):
            whole = {FIRST: "first", LAST: "last"}
            return Expr(whole.get(atom) or self.indices[atom.name], ATOM)
        if isinstance(atom, Read):
            return self.read(atom)
        parts = [self.number(each) for each in atom.arguments if isinstance(each, LinearSum)]
        if atom.name in ("//", "%", "*"):
            return binary(parts[0], atom.name, parts[1], PRODUCT)
        if atom.name == "abs":
            return parts[0].call("abs")
        fixed = [not each.terms for each in atom.arguments if isinstance(each, LinearSum)]
        if any(fixed):
            free, bound = parts if fixed[1] else parts[::-1]
            return free.call("clamp", f"{'max' if atom.name == 'min' else 'min'}={bound}")
        return function(f"torch.{atom.name}imum", *(part.text for part in parts))

    def read(self, read: Read) -> Expr:
        name = self.names[read.value]
        return Expr(f"{name}[{', '.join(self.number(each).text for each in read.indices)}]" if read.indices else name)

    def range(self, found: KeyRange) -> str:
        low = [self.number(bound).text for bound in found.low]
        high = [self.number(bound + LinearSum.of(1)).text for bound in found.high] or ["keys"]
        start, stop = (texts[0] if len(texts) == 1 else f"{name}({', '.join(texts)})" for texts, name in
                       ((low or ["0"], "max"), (high, "min")))  # fmt: skip
        text = f"range({stop})" if start == "0" else f"range({start}, {stop})"
        if not found.where:
            return text
        conditions = " and ".join(self.formula(Compare("<=", bound)).text for bound in found.where)
        return f"{text} if {conditions} else range(0)"


def _first(pair: tuple[bool, Expr]) -> bool:
    return pair[0]
