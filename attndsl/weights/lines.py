"""The lines of a `weights` section: a published name, and the expression whose value it holds.

This is the second of five stages, each of which is given what the one before it made:

1. `attndsl.weights.expanding`: what is written once and means several lines, written out.
2. `parse_line`: from the tree to a `MapLine`. Whether its expression can be undone is decided here.
3. `attndsl.weights.resolving`: which parameters the line speaks of, and in which layers.
4. `attndsl.weights.shaping`: its axes and lengths, a `Form` that computes in both directions.
5. `attndsl.weights.mapping`: whether the lines together fill each parameter, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Union

from attndsl.diagnostics import AttnError, Span, error
from attndsl.records import Frozen
from attndsl.syntax import tree
from attndsl.values import FUNCTIONS, Evaluator, Number, Plain
from attndsl.weights.axes import AxisTerm, parse_term, parse_terms
from attndsl.weights.expanding import WrittenLine
from attndsl.weights.forms import POINTWISE
from attndsl.weights.patterns import AddressPattern, NamePattern, parse_address, parse_name

# ---------------------------------------------------------------- expressions


class Literal(Frozen):
    """The same number everywhere."""

    value: float


class ConcatSide(Frozen):
    """`concat(a, b, over=[M, T] -> S)`: the parts, the axis of each that is joined, and what the joined one is called;
    `over` is where that is written."""

    parts: tuple[Side, ...]
    joined: tuple[str, ...]
    name: str
    span: Span
    over: Span


class Rearrange(Frozen):
    """`rearrange(a, [in] -> [C=channels, P=patch])`."""

    inner: Side
    source: tuple[AxisTerm, ...]
    target: tuple[AxisTerm, ...]
    span: Span
    sides: tuple[Span, Span]


class Affine(Frozen):
    """`x * factor + shift` on every element."""

    inner: Side
    factor: float
    shift: float


class FunctionSide(Frozen):
    """A function of one element."""

    inner: Side
    name: str


class Computed(Frozen):
    """An expression of no parameter at all, whose value the published tensor must have; `reason` is what is wrong with
    it as one of parameters."""

    expression: tree.Expr
    reason: Callable[[], AttnError]


Side = Union[AddressPattern, Literal, ConcatSide, Rearrange, Affine, FunctionSide, Computed]


def addresses_in(side: Side) -> Iterator[AddressPattern]:
    """Every address in an expression, in order."""
    if isinstance(side, AddressPattern):
        yield side
    elif isinstance(side, ConcatSide):
        for part in side.parts:
            yield from addresses_in(part)
    elif isinstance(side, (Rearrange, Affine, FunctionSide)):
        yield from addresses_in(side.inner)


# ---------------------------------------------------------------- lines


class MapLine(Frozen):
    """One line of the section. Several `names` are tensors that are added up; `prefix` may stand before them in a
    file. `axes` is the stated order of the published tensor's axes; `sizes` are the model's."""

    tree: tree.MapEntry
    names: tuple[NamePattern, ...]
    prefix: str
    uses: tuple[Span, ...]
    axes: tuple[AxisTerm, ...] | None
    value: Side
    addresses: tuple[AddressPattern, ...]

    @property
    def name(self) -> NamePattern:
        return self.names[0]

    @property
    def variables(self) -> frozenset[str]:
        return self.name.variables

    @property
    def takes(self) -> bool:
        return self.tree.direction in ("<->", "<-")

    @property
    def gives(self) -> bool:
        return self.tree.direction in ("<->", "->")

    @property
    def two_way(self) -> bool:
        return self.tree.direction == "<->"

    @property
    def is_fixed(self) -> bool:
        """Whether the published tensor holds what the spec computes, and no parameter."""
        return isinstance(self.value, (Literal, Computed))


def parse_line(written: WrittenLine, sizes: Mapping[str, int]) -> MapLine:
    """A line as it is written; E0624 for what is not an axis, E0625 for what has no inverse, E0626 for a published name
    that is not one."""
    line = written.entry
    assert isinstance(line, tree.MapEntry)
    names = tuple(parse_name(name) for name in line.names)
    value: Side
    try:
        value = _side(line.value, sizes)
    except AttnError as reason:
        if line.direction != "<-" or reason.diagnostics[0].code != "E0625":
            raise
        problem = reason
        value = Computed(line.value, lambda: problem)
    if isinstance(value, (Literal, Computed)):
        if len(names) > 1:
            raise error("E0625", "only tensors that make a parameter are added up", line.names[1].span)
        if line.direction != "<-" and names[0].variables:
            raise error(
                "E0626",
                f"nothing says how many `{names[0].text}` there are",
                line.name.span,
                help="use `<-`: a check on import only",
            )
    for name in names:
        if name.variables != names[0].variables:
            raise error("E0626", "names that are added up have the same indices", name.span)
    axes = None if line.axes is None else parse_terms(line.axes, sizes)
    return MapLine(line, names, written.prefix, written.uses, axes, value, tuple(addresses_in(value)))


def _side(expression: tree.Expr, sizes: Mapping[str, int]) -> Side:
    address = parse_address(expression)
    if address is not None:
        return address
    number = constant(expression)
    if number is not None:
        return Literal(number)
    if isinstance(expression, tree.Call):
        return _call(expression, (), sizes)
    if isinstance(expression, tree.Pipe):
        side = _side(expression.value, sizes)
        for stage in expression.stages:
            if not isinstance(stage, tree.Call):
                raise _no_inverse(stage)
            side = _call(stage, (side,), sizes)
        return side
    if isinstance(expression, tree.Unary) and expression.operator == "-":
        return Affine(_side(expression.operand, sizes), -1.0, 0.0)
    if isinstance(expression, tree.Chain):
        return _chain(expression, sizes)
    raise _no_inverse(expression)


class _Numbers(Evaluator):
    """Numbers beside a parameter: no name is one."""

    def find(self, node: tree.Name) -> Plain | None:
        return None

    def unknown(self, node: tree.Name) -> AttnError:
        return _no_inverse(node)


def constant(expression: tree.Expr) -> float | None:
    """The value of a number, as it is written or calculated; None for anything else."""
    if not all(isinstance(node, _OF_NUMBERS) or _is_function(node) for node in tree.walk(expression)):
        return None
    value = _Numbers().evaluate(expression)
    if isinstance(value, Number) and value.value is not None and not value.is_bool:
        return float(value.value)
    return None


_OF_NUMBERS = (tree.Number, tree.Boolean, tree.Unary, tree.Chain, tree.Conditional, tree.Argument, tree.Identifier)


def _is_function(node: tree.Tree) -> bool:
    """Whether a node is a call of a function of numbers, or its name."""
    callee = node.callee if isinstance(node, tree.Call) else node
    return isinstance(callee, tree.Name) and callee.text in FUNCTIONS


def _no_inverse(expression: tree.Expr) -> AttnError:
    return error(
        "E0625",
        f"`{expression.span.text}` has no inverse that a mapping could use",
        expression.span,
        help="a mapping is made of parameters (`h[i].ln_1.scale`), `concat(…, over=…)`, `rearrange(…, […] -> […])`, "
        "`exp`, `log`, and arithmetic between one parameter and numbers",
    )


def _call(call: tree.Call, piped: tuple[Side, ...], sizes: Mapping[str, int]) -> Side:
    name = call.callee.text if isinstance(call.callee, tree.Name) else ""
    plain = [a.value for a in call.arguments if a.name is None]
    named = {a.name.text: a.value for a in call.arguments if a.name is not None}
    if name == "concat":
        over = named.pop("over", None)
        if over is None or named or not (plain or piped):
            raise error(
                "E0625",
                "`concat` takes tensors and `over=`",
                call.span,
                help="`concat(a, b, over=out)`, `concat(a, b, over=[M, T] -> S)`",
            )
        return _concat(call, (*piped, *(_side(part, sizes) for part in plain)), over, sizes)
    if name == "rearrange" and not named and len(piped) + len(plain) == 2 and isinstance(plain[-1], tree.Arrow):
        inner, arrow = piped[0] if piped else _side(plain[0], sizes), plain[-1]
        source, target = parse_terms(arrow.source, sizes), parse_terms(arrow.target, sizes)
        return Rearrange(inner, source, target, arrow.span, (arrow.source.span, arrow.target.span))
    if name in POINTWISE and not named and len(piped) + len(plain) == 1:
        return FunctionSide(piped[0] if piped else _side(plain[0], sizes), name)
    raise _no_inverse(call)


def _concat(call: tree.Call, parts: tuple[Side, ...], over: tree.Expr, sizes: Mapping[str, int]) -> ConcatSide:
    if isinstance(over, tree.List) and len(over.axes.terms) == 1:
        term = parse_term(over.axes.terms[0], sizes)
    elif not isinstance(over, tree.Arrow):
        term = parse_term(tree.AxisTerm(over.span, None, over), sizes)
    else:
        joined = [term.name for term in parse_terms(over.source, sizes)]
        if len(joined) == 1:
            joined *= len(parts)
        targets = parse_terms(over.target, sizes)
        if len(joined) != len(parts) or len(targets) != 1:
            raise error("E0624", f"`concat` joins {len(parts)} tensors over {len(joined)} axes", over.span)
        return ConcatSide(parts, tuple(joined), targets[0].name, call.span, over.span)
    return ConcatSide(parts, (term.name,) * len(parts), term.name, call.span, over.span)


def _chain(chain: tree.Chain, sizes: Mapping[str, int]) -> Affine:
    """Arithmetic with exactly one operand that is not a number."""
    numbers = [constant(operand) for operand in chain.operands]
    operators = [o.text for o in chain.operators]
    if numbers.count(None) != 1 or not set(operators) <= {"+", "-", "*", "/"}:
        raise _no_inverse(chain)
    factor, shift = 1.0, 0.0
    for i, value in enumerate(numbers):
        operator = operators[i - 1] if i else "+" if operators[0] in "+-" else "*"
        if value is None:
            if operator == "/":
                raise _no_inverse(chain)
            factor *= -1.0 if operator == "-" else 1.0
        elif operator in "+-":
            shift += value if operator == "+" else -value
        elif value == 0:
            raise _no_inverse(chain)
        else:
            factor = factor * value if operator == "*" else factor / value
    return Affine(_side(chain.operands[numbers.index(None)], sizes), factor, shift)
