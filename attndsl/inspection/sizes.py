"""Values for the sizes that the inputs bind: those given, and defaults that the constraints allow."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from attndsl.diagnostics import AttnError, did_you_mean, error
from attndsl.graph import Graph
from attndsl.inspection.report import SizeChoice
from attndsl.sizes import Constraint, Size

UNBOUNDED = 128  # the default length of an axis that nothing limits, other than the batch
SEARCH = 4096  # how far to look for a length that the constraints allow


def choose_sizes(graph: Graph, given: Mapping[str, int]) -> tuple[SizeChoice, ...]:
    """A value for each size that the inputs of `graph` bind: as given, else 1 for `B`, else the largest one that the
    constraints allow, else `UNBOUNDED`.

    Raises E0803 for a name that is no such size, E0911 for one that is not positive, E0912 where no default is found,
    and the constraint's own code where the values break it.
    """
    free = graph.free_sizes
    for name, value in given.items():
        if name not in free:
            raise _unknown(graph, name, value)
        if value < 1:
            message = f"size `{name}` must be at least 1, not {value}"
            raise error("E0911", message, help=f"give one: `--size {name}=2`")
    values = dict(graph.sizes) | dict(given)
    chosen: dict[str, SizeChoice] = {}
    for name in free:
        if name in given:
            chosen[name] = SizeChoice(name, given[name])
            _require(graph.constraints, values)
    for name in free:
        if name not in given:
            chosen[name] = _default(graph, name, values)
            values[name] = chosen[name].value
    _require(graph.constraints, values)
    return tuple(chosen[name] for name in free)


def _unknown(graph: Graph, name: str, value: int) -> AttnError:
    free = ", ".join(f"`{size}`" for size in graph.free_sizes) or "none"
    if name in graph.hyperparameters:
        way: tuple[str, ...] = (f"`{name}` is a hyperparameter: use `--set {name}={value}`",)
    else:
        way = did_you_mean(name, graph.free_sizes)
    message = f"`{name}` is not a size that the inputs of {graph.name} bind"
    return error("E0803", message, note=f"these are: {free}", help=way)


def _require(constraints: tuple[Constraint, ...], values: Mapping[str, int]) -> None:
    failures = [constraint.failure(values) for constraint in constraints if constraint.holds(values) is False]
    if failures:
        raise AttnError(*failures)


def _default(graph: Graph, name: str, values: Mapping[str, int]) -> SizeChoice:
    relevant = [c for c in graph.constraints if name in c.symbols and c.symbols <= values.keys() | {name}]

    def allowed(value: int) -> bool:
        return all(constraint.holds({**values, name: value}) is not False for constraint in relevant)

    if name == "B" and allowed(1):
        return SizeChoice(name, 1, "default")
    limits = [(bound, c) for c in relevant if (bound := _upper(c, name, values)) is not None]
    if limits:
        limit, constraint = min(limits, key=lambda pair: pair[0])
        for value in range(limit, max(limit - SEARCH, 0), -1):
            if allowed(value):
                text = f"{constraint.left} {constraint.relation} {constraint.right}"
                return SizeChoice(name, value, f"default: the largest that `{text}` allows")
    else:
        for value in (*range(UNBOUNDED, UNBOUNDED + SEARCH), *range(1, UNBOUNDED)):
            if allowed(value):
                return SizeChoice(name, value, "default")
    where = relevant[0].span if relevant else None
    raise error(
        "E0912", f"no length for `{name}` was found that every constraint allows", where, "this must hold",
        help=f"give one: `--size {name}=…`",
    )  # fmt: skip


def _upper(constraint: Constraint, name: str, values: Mapping[str, int]) -> int | None:
    """The largest value of `name` that one constraint allows, where it is a bound on `name` alone (or fixes it)."""
    symbol = Size.symbol(name)
    for own, limit, relations in (
        (constraint.left, constraint.right, {"<=": 0, "<": 1, "==": 0}),
        (constraint.right, constraint.left, {">=": 0, ">": 1, "==": 0}),
    ):
        if own == symbol and constraint.relation in relations and name not in limit.symbols:
            try:
                value: Fraction = limit.exact(values)
            except (KeyError, ZeroDivisionError):
                return None
            below = relations[constraint.relation]
            return -(-value.numerator // value.denominator) - 1 if below else value.numerator // value.denominator
    return None
