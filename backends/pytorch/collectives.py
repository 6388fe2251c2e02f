"""What devices do together, written in torch: calls of the functions in `collective_helpers.py`."""

from __future__ import annotations

from collections.abc import Callable

from attndsl.backends.pytorch.expressions import Expr, dim, function
from attndsl.backends.pytorch.site import Site
from attndsl.ops import AllToAll
from attndsl.types import Axis


def lower_rank(site: Site) -> Expr:
    return function(site.function.helper("rank_along"), f'"{site.op.on}"', host=True)


def lower_all_reduce(site: Site) -> Expr:
    if site.op.kind == "sum":
        return _call(site)
    return function(site.function.helper("reduced_by_all"), _operand(site), f'"{site.op.on}"', f'"{site.op.kind}"')


def along(axis: Callable[[Site], Axis]) -> Callable[[Site], Expr]:
    """One that cuts or joins its operand along that axis of it."""
    return lambda site: _call(site, dim(site.types[0].axes, axis(site)))


def lower_all_gather(site: Site) -> Expr:
    varying = ("varying=True",) if site.op.varying else ()
    return _call(site, dim(site.types[0].axes, site.op.local), *varying)


def lower_all_to_all(site: Site) -> Expr:
    op, axes = site.op, site.types[0].axes
    assert isinstance(op, AllToAll)
    return _call(site, dim(axes, op.local), dim(axes, op.divided))


def lower_vary(site: Site) -> Expr:
    return _call(site) if site.output.is_float else site.arguments[0]


def lower_shift(site: Site) -> Expr:
    return (
        _call(site)
        if site.output.is_float
        else function(site.function.helper("handed_on"), _operand(site), f'"{site.op.on}"')
    )


def _call(site: Site, *more: str) -> Expr:
    return function(site.function.helper(site.op.name), _operand(site), f'"{site.op.on}"', *more)


def _operand(site: Site) -> str:
    return site.tensor(site.arguments[0], site.types[0].dtype).text
