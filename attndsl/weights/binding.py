"""From an expression of a mapping to its form: which parameters, which axes, which shape. No array is touched.

The expressions are the language's own as far as they have inverses: parameters, `concat`, `rearrange`, arithmetic
between one tensor and numbers, and functions of one element. Everything else is refused with E0625.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attndsl.diagnostics import AttnError, did_you_mean, error
from attndsl.graph import Axis, ParameterInfo
from attndsl.sizes import Size
from attndsl.syntax import tree
from attndsl.weights.axes import axis_name, name_of, place_of, shown_axes, size_of
from attndsl.weights.forms import POINTWISE, Form, Joined, Leaf, Pointwise, Rearranged, Scaled
from attndsl.weights.patterns import AddressPattern, parse_address
from attndsl.weights.rearranging import rearranged


class Scope:
    """What names mean while a mapping is bound: the parameters by pattern, the sizes, the variables of the name."""

    def __init__(self, parameters: Mapping[str, list[ParameterInfo]], sizes: Mapping[str, int]) -> None:
        self.parameters = parameters
        self.sizes = sizes
        self.values: Mapping[str, int] = {}

    def infos(self, address: AddressPattern) -> list[ParameterInfo]:
        """The parameters that an address speaks of (one for each group of layers); E0620 where there are none."""
        infos = self.parameters.get(address.pattern)
        if infos:
            return infos
        written = address.span.text
        helps = [h.replace(".*", "[i]") for h in did_you_mean(address.pattern, self.parameters)]
        inside = sorted(p for p in self.parameters if p.startswith(address.pattern + "."))
        if inside:
            helps = [
                f"`{written}` is a layer; its parameters are "
                + ", ".join(f"`{p.replace('.*', '[i]')}`" for p in inside[:6])
            ]
        raise error("E0620", f"the model has no parameter `{written}`", address.span, help=helps)

    def leaf(self, address: AddressPattern) -> Leaf:
        layers = address.layers(self.values)
        for info in self.infos(address):
            if all(layer in indices for layer, indices in zip(layers, info.layers, strict=True)):
                axes = info.type.axes
                return Leaf(axes, self.lengths(axes), address.render(self.values), info)
        raise error(
            "E0620",
            f"the model has no parameter `{address.render(self.values)}`",
            address.span,
            "there is no such layer",
        )

    def lengths(self, axes: tuple[Axis, ...]) -> tuple[int, ...]:
        return tuple(axis.size.value(self.sizes) for axis in axes)


def addresses(expression: tree.Expr) -> Iterator[AddressPattern]:
    """Every address in an expression, in order."""
    address = parse_address(expression)
    if address is not None:
        yield address
    elif isinstance(expression, tree.Call):
        for argument in expression.arguments:
            if argument.name is None and not isinstance(argument.value, (tree.Arrow, tree.AxesValue)):
                yield from addresses(argument.value)
    elif isinstance(expression, tree.Chain):
        for operand in expression.operands:
            yield from addresses(operand)
    elif isinstance(expression, tree.Unary):
        yield from addresses(expression.operand)
    elif isinstance(expression, tree.Pipe):
        yield from addresses(expression.value)
        for stage in expression.stages:
            yield from addresses(stage)


def bind(expression: tree.Expr, scope: Scope) -> Form:
    """The form of an expression; E0620 for an unknown parameter, E0624 for axes that do not fit, E0625 for what has
    no inverse."""
    address = parse_address(expression)
    if address is not None:
        return scope.leaf(address)
    if isinstance(expression, tree.Call):
        return _call(expression, (), scope)
    if isinstance(expression, tree.Pipe):
        form = bind(expression.value, scope)
        for stage in expression.stages:
            if not isinstance(stage, tree.Call):
                raise _no_inverse(stage)
            form = _call(stage, (form,), scope)
        return form
    if isinstance(expression, tree.Unary) and expression.operator == "-":
        inner = bind(expression.operand, scope)
        return Scaled(inner.axes, inner.shape, inner, -1.0, 0.0)
    if isinstance(expression, tree.Chain):
        return _chain(expression, scope)
    raise _no_inverse(expression)


def constant(expression: tree.Expr) -> float | None:
    """The value of a number as written, with its sign; None for anything else."""
    if isinstance(expression, tree.Number):
        return float(expression.value)
    if isinstance(expression, tree.Unary) and expression.operator == "-":
        value = constant(expression.operand)
        return None if value is None else -value
    return None


def _no_inverse(expression: tree.Expr) -> AttnError:
    return error(
        "E0625",
        f"`{expression.span.text}` has no inverse that a mapping could use",
        expression.span,
        help="a mapping is made of parameters (`h[i].ln_1.scale`), `concat(…, over=…)`, `rearrange(…, […] -> […])`, "
        "`exp`, `log`, and arithmetic between one parameter and numbers",
    )


def _call(call: tree.Call, piped: tuple[Form, ...], scope: Scope) -> Form:
    name = call.callee.text if isinstance(call.callee, tree.Name) else ""
    plain = [a.value for a in call.arguments if a.name is None]
    named = {a.name.text: a for a in call.arguments if a.name is not None}
    if name == "concat":
        over = named.pop("over", None)
        if over is None or named or not (plain or piped):
            raise error(
                "E0625",
                "`concat` takes tensors and `over=`",
                call.span,
                help="`concat(a, b, over=out)`, `concat(a, b, over=[M, T] -> S)`",
            )
        return _concat(call, [*piped, *(bind(p, scope) for p in plain)], over.value, scope)
    if name == "rearrange" and not named and len(piped) + len(plain) == 2 and isinstance(plain[-1], tree.Arrow):
        inner = piped[0] if piped else bind(plain[0], scope)
        return rearranged(inner, plain[-1], scope.sizes)
    if name in POINTWISE and not named and len(piped) + len(plain) == 1:
        inner = piped[0] if piped else bind(plain[0], scope)
        return Pointwise(inner.axes, inner.shape, inner, name)
    raise _no_inverse(call)


def _chain(chain: tree.Chain, scope: Scope) -> Form:
    """Arithmetic with exactly one operand that is no number."""
    tensors = [i for i, operand in enumerate(chain.operands) if constant(operand) is None]
    operators = [o.text for o in chain.operators]
    if len(tensors) != 1 or not set(operators) <= {"+", "-", "*", "/"}:
        raise _no_inverse(chain)
    inner = bind(chain.operands[tensors[0]], scope)
    factor, shift = 1.0, 0.0
    for i, operand in enumerate(chain.operands):
        operator = operators[i - 1] if i else "+" if operators[0] in "+-" else "*"
        value = constant(operand)
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
    return Scaled(inner.axes, inner.shape, inner, factor, shift)


def _concat(call: tree.Call, parts: list[Form], over: tree.Expr, scope: Scope) -> Form:
    if isinstance(over, tree.Arrow):
        joined = [axis_name(term, scope.sizes) for term in over.source.terms]
        if len(joined) == 1:
            joined *= len(parts)
        targets = over.target.terms
        if len(joined) != len(parts) or len(targets) != 1:
            raise error("E0624", f"`concat` joins {len(parts)} tensors over {len(joined)} axes", over.span)
        name = axis_name(targets[0], scope.sizes)
    else:
        name = name_of(over, scope.sizes)
        joined = [name] * len(parts)
    lacking = all(n not in [a.name for a in part.axes] for n, part in zip(joined, parts, strict=True))
    places = [-1 if lacking else place_of(part.axes, n, over.span) for n, part in zip(joined, parts, strict=True)]
    place = 0 if lacking else places[0]
    rest = tuple(axis for i, axis in enumerate(parts[0].axes) if i != places[0])
    orders, lengths, total = [], [], Size.of(0)
    for part, own in zip(parts, places, strict=True):
        others = {axis: i for i, axis in enumerate(part.axes) if i != own}
        if set(others) != set(rest):
            raise error(
                "E0624",
                "the tensors that are joined differ in more than the joined axis",
                call.span,
                note=f"{shown_axes(parts[0].axes)} and {shown_axes(part.axes)}, over `{over.span.text}`",
            )
        order = [others[axis] for axis in rest]
        if not lacking:
            order.insert(place, own)
            total = total + part.axes[own].size
        orders.append(tuple(order))
        lengths.append(1 if lacking else part.shape[own])
    axis = Axis(name, Size.of(len(parts)) if lacking else total)
    axes = (*rest[:place], axis, *rest[place:])
    return Joined(axes, scope.lengths(axes), tuple(parts), tuple(orders), place, tuple(lengths), lacking)


# ---------------------------------------------------------------- axes


def arranged(form: Form, stated: tree.AxisList, scope: Scope) -> Form:
    """`form` with its axes in the order in which the published tensor has them; a `1` that it has not is an axis of one
    element more, as in `[1, context, width]`."""
    places: list[int] = []
    axes: list[Axis] = []
    own = {axis.name for axis in form.axes} | {str(axis.size) for axis in form.axes}
    for term in stated.terms:
        name = axis_name(term, scope.sizes)
        if name == "1" and name not in own:
            axes.append(Axis(name, Size.of(1)))
            continue
        place = place_of(form.axes, name, term.span)
        if place in places:
            raise error("E0624", f"the axis `{term.span.text}` is stated twice", term.span)
        places.append(place)
        axes.append(form.axes[place])
    left = [axis for i, axis in enumerate(form.axes) if i not in places]
    if left:
        raise error(
            "E0624",
            f"the axis `{left[0].name}` is not stated",
            stated.span,
            f"the tensor has the axes {shown_axes(form.axes)}",
        )
    if tuple(axes) == form.axes:
        return form
    return Rearranged(tuple(axes), scope.lengths(tuple(axes)), form, form.shape, tuple(places))


def stated_axes(stated: tree.AxisList, scope: Scope) -> tuple[Axis, ...]:
    """Axes that stand on their own, with sizes that the model knows (those of a constant)."""
    axes = tuple(
        Axis(axis_name(term, scope.sizes), size_of(term.size, scope.sizes))
        for term in stated.terms
        if term.size is not None
    )
    for axis, term in zip(axes, stated.terms, strict=False):
        if axis.size.known(scope.sizes) is None:
            raise error(
                "E0624",
                f"`{term.span.text}` is no size of the model",
                term.span,
                help=did_you_mean(str(axis.size), scope.sizes),
            )
    return axes
