"""What a command line asks for: a layout and a plan's choices as text, a machine and its nodes; and what it is told."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import AttnError, did_you_mean, error, listed, warn
from attndsl.graph import Graph
from attndsl.inspection.report import SizeChoice
from attndsl.inspection.sizes import choose_sizes
from attndsl.layouts import Layout, choose_layout, default_layout
from attndsl.layouts.laid_out import lay_out
from attndsl.planning.finding_work import work_of
from attndsl.planning.laid_out import microbatches, plan_of
from attndsl.planning.machines import MachineModel, machine
from attndsl.planning.plan import CHOICES, COUNTS, WORDS, ParallelPlan
from attndsl.planning.prediction import StepPrediction, predict
from attndsl.planning.search import SearchResult, search
from attndsl.planning.work import Workload, batch_axis, has_other_rows
from attndsl.records import replace

if TYPE_CHECKING:
    from attndsl.elaborate import Spec

ROWS = 4
"""Without a size of the batch: so many rows for each device that computes rows of its own, or for each stage."""


def plan_on_paper(
    spec: Spec,
    graph: Graph,
    *,
    machine_name: str,
    nodes: int | None,
    layout: str | None,
    choices: str,
    sizes: Mapping[str, int],
    searching: bool = False,
) -> StepPrediction | SearchResult:
    """The prediction for a layout, or with `searching` the fastest plan that fits.

    Raises E0951 and E0952 (the machine), E0953 (the plan), E0954 (nothing fits), and what `choose_layout`,
    `choose_sizes` and, of a plan that a layout trains, `lay_out` raise.
    """
    on = machine(machine_name)
    plan, given_choices = read_choices(choices, on)
    if searching:
        if plan.loss == "chunked":
            raise error(
                "E0953", "`loss=chunked` needs words whole on each device, and `--search` divides them, too",
                help="leave it out, or give the layout that the search proposes without it",
            )  # fmt: skip
        if plan.virtual > 1 and plan.schedule == "gpipe":
            raise error("E0953", f"`virtual={plan.virtual}`: virtual stages need `schedule=1f1b`", help="say that, too")
        return _searched(spec, graph, plan, on, nodes or 1, sizes, given_choices)
    devices = (nodes or 1) * on.devices
    found = choose_layout(layout, spec, graph) if layout is not None else default_layout(graph, devices)
    work = _work(graph, plan, found)
    if found.parameters is None and "parameters" in given_choices and plan.parameters != "whole":
        raise error(
            "E0953", f"`parameters={plan.parameters}`: the layout leaves parameters whole",
            help="say it in one place: leave it out, or let the layout say `parameters on` a dimension of its mesh",
        )  # fmt: skip
    plan = plan_of(found, work, plan)
    if nodes is not None and plan.devices != nodes * on.devices:
        raise error(
            "E0953", f"the plan takes {plan.devices:,} devices, and {nodes:,} nodes have {nodes * on.devices:,}",
            help="give the mesh other sizes, or another number of `--nodes`",
        )  # fmt: skip
    batch = batch_axis(work)
    if plan.laid_out:
        divided = found if plan.parameters == "divided" else replace(found, parameters=None)
        warn(*lay_out(graph, divided).warnings)
    parts = microbatches(found)
    chosen = _sizes(graph, sizes, batch, plan.data * max(plan.micro_batch, 1) * (parts or 1))
    lengths = {size.name: size.value for size in chosen}
    rows = lengths.pop(batch)
    if parts is not None:
        if rows % (plan.data * parts):
            raise error(
                "E0953", f"{rows:,} rows cannot be divided over data {plan.data} and {parts} microbatches",
                help=f"give a multiple of {plan.data * parts}: `--size {batch}=…`, or say `in … microbatches`",
            )  # fmt: skip
        each = rows // (plan.data * parts)
        if each != plan.micro_batch and "micro_batch" in given_choices:
            raise error(
                "E0953", f"`micro_batch={plan.micro_batch}`: the layout takes {rows:,} rows in {parts} microbatches of "
                f"{each} on each device", help="say it in one place: leave out `micro_batch`, or give another `--size`",
            )  # fmt: skip
        plan = replace(plan, micro_batch=each)
    elif "micro_batch" not in given_choices and has_other_rows(work):
        plan = replace(plan, micro_batch=max(rows // plan.data, 1))
    return replace(predict(work, replace(plan, batch=rows), on, lengths), sizes=chosen)


def _searched(
    spec: Spec,
    graph: Graph,
    plan: ParallelPlan,
    on: MachineModel,
    nodes: int,
    sizes: Mapping[str, int],
    choices: Collection[str],
) -> SearchResult:
    def by(layout: str) -> Workload:
        return _work(graph, plan, choose_layout(layout, spec, graph))

    def refusal(layout: str) -> AttnError | None:
        try:
            lay_out(graph, choose_layout(layout, spec, graph))
        except AttnError as found:
            return found
        return None

    work = _work(graph, plan)
    batch, devices = batch_axis(work), nodes * on.devices
    chosen = _sizes(graph, sizes, batch, ROWS * devices)
    lengths = {size.name: size.value for size in chosen}
    found = search(work, replace(plan, batch=lengths.pop(batch)), on, devices, lengths, by, refusal, choices)
    other = replace(found.runner_up, sizes=chosen) if found.runner_up else None
    return replace(found, best=replace(found.best, sizes=chosen), runner_up=other)


def _work(graph: Graph, plan: ParallelPlan, layout: Layout | None = None) -> Workload:
    materialised, chunked = plan.attention == "materialised", plan.loss == "chunked"
    return work_of(graph, materialised=materialised, chunked=chunked, layout=layout)


def _sizes(graph: Graph, given: Mapping[str, int], batch: str, rows: int) -> tuple[SizeChoice, ...]:
    """A value for each size of the inputs: without another one, so many rows."""
    chosen = choose_sizes(graph, {batch: rows, **given})
    return tuple(size if size.name in given else replace(size, reason=size.reason or "default") for size in chosen)


def read_choices(text: str, on: MachineModel) -> tuple[ParallelPlan, frozenset[str]]:
    """`virtual=3, recompute=full`: a plan's choices that no layout says, and the names of those that are there. The
    best attention kernel of the machine is taken where none is named.

    Raises E0953 for what is no such choice.
    """
    plan = replace(
        ParallelPlan(), attention=max(on.attention, key=lambda kernel: on.attention[kernel], default="materialised")
    )
    chosen: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = (piece.strip() for piece in part.partition("="))
        if name not in CHOICES:
            raise error(
                "E0953", f"a plan has no `{name}`", note=f"it has {listed(CHOICES)}", help=did_you_mean(name, CHOICES)
            )  # fmt: skip
        if name in chosen:
            raise error("E0953", f"`{name}` is said twice", help="leave one of them out")
        chosen[name] = _choice(name, value, on)
    return replace(plan, **chosen), frozenset(chosen)


def _choice(name: str, value: str, on: MachineModel) -> int | str | bool:
    if name in COUNTS:
        if value.isdecimal() and value.isascii() and 0 < int(value) < 10**9:
            return int(value)
        raise error("E0953", f"`{name}={value}`: `{name}` is a whole number of at least 1")
    words = WORDS.get(name) or (("no", "yes") if name == "async_tensor" else (*on.attention, "materialised"))
    if value not in words:
        raise error("E0953", f"`{name}={value}`: `{name}` is {listed(words, 'or')}", help=did_you_mean(value, words))
    return value == "yes" if name == "async_tensor" else value


def read_tokens(text: str) -> float:
    """`300G` or `15T`: a number of tokens. Raises `ValueError`."""
    factors = {"k": 1e3, "M": 1e6, "G": 1e9, "B": 1e9, "T": 1e12}
    factor = factors.get(text[-1:], 1.0)
    value = float(text[:-1] if text[-1:] in factors else text) * factor
    if not 0 < value < math.inf:
        raise ValueError(text)
    return value
