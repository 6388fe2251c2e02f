"""A prediction as text for a terminal, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable

from attndsl.inspection.table import memory as in_bytes
from attndsl.inspection.table import quantity
from attndsl.planning.plan import CHOICES, ParallelPlan
from attndsl.planning.prediction import StepPrediction
from attndsl.planning.search import SearchResult
from attndsl.records import fields

SCHEMA = "attndsl.plan/1"
PARTS = {
    "products": "products of matrices",
    "attention": "attention",
    "memory": "what only reads and writes memory",
    "tensor": "waiting for tensor-parallel collectives",
    "experts": "waiting for rows on their way to experts",
    "context": "waiting for keys and values of other devices",
    "bubble": "stages that wait for others (the bubble)",
    "stages": "sending between stages",
    "data": "waiting for gradients and parameters",
    "update": "the optimizer's update",
}
HELD = {
    "weights": "weights",
    "gradients": "gradients",
    "states": "master weights and optimizer states",
    "activations": "activations kept for the backward pass",
    "working": "what is gathered or computed again at a time",
}
CONVENTION = (
    "MFU counts the products of forward and backward pass, attention whole, recomputation not, against the peak in "
    "bfloat16. What the CUDA context, NCCL and fragments take is not in the memory."
)


def render(found: StepPrediction | SearchResult, title: str, tokens: float | None = None) -> str:
    """The plan, memory, time and traffic of one step."""
    if isinstance(found, SearchResult):
        return _chosen(found, title, tokens)
    return "\n".join(_lines(found, title, tokens)) + "\n"


def _lines(p: StepPrediction, title: str, tokens: float | None) -> Iterable[str]:
    plan, on = p.plan, p.machine
    nodes = math.ceil(plan.devices / on.devices)
    yield f"{title} on {plan.devices:,} devices of {on.name}" + (f" ({nodes:,} nodes)" if nodes > 1 else "")
    if on.about:
        yield on.about
    yield ""
    sizes = _number(plan.batch, "row") + (f", {_number(p.tokens, 'token')}" if p.tokens else "")
    fewer = "up to " if plan.batch // plan.data % plan.micro_batch else ""
    sizes += f"; {_number(plan.micro_batches, 'micro-batch')} of {fewer}{plan.micro_batch:,}"
    how = [
        f"recomputation {plan.recompute}", f"parameters {_parameters(plan)}",
        *(["sequence parallelism"] if plan.sequence else []),
        *([f"schedule {plan.schedule}"] if plan.stages > 1 else []),
        *([f"dispatch {plan.dispatch}"] if plan.experts > 1 else []),
    ]  # fmt: skip
    kernels = [
        plan.precision, f"attention {plan.attention}", f"kernels {plan.kernels}",
        *(["tensor-parallel collectives beside products"] if plan.async_tensor else []),
    ]  # fmt: skip
    yield f"plan     {plan.describe()}"
    yield f"         {', '.join(how)}"
    yield f"         {', '.join(kernels)}"
    yield f"step     {sizes}"
    chosen = ", ".join(f"{size.name} = {size.value:,} ({size.reason})" for size in p.sizes if not size.given)
    yield from _wrapped(chosen, "sizes    ")
    yield ""
    rows = [(HELD[name], in_bytes(int(getattr(p.memory, name))), "") for name in HELD if getattr(p.memory, name) >= 1]
    fits = "fits" if p.fits else "does not fit"
    rows.append((f"together, of {in_bytes(int(on.memory))}", in_bytes(int(p.memory.total)), fits))
    yield from _table("memory of the fullest device", rows)
    yield ""
    rows = [(PARTS[name], _time(part), f"{part / p.seconds:.1%}") for name, part in p.parts.items()]
    yield from _table("time of a step", [*rows, ("together", _time(p.seconds), "")])
    yield ""
    if p.moved:
        yield from _table("bytes that a device sends in a step", [
            (f"{each.kind.replace('_', '-')} over {each.over} ({each.group.size:,})", in_bytes(int(each.size)),
             f"{each.times:,.0f} times") for each in p.moved
        ])  # fmt: skip
        yield ""
    flops = p.flops / p.seconds / plan.devices
    seen = f" ({p.seen_mfu:.1%} without what masks hide)" if p.hidden else ""
    yield f"{p.mfu:.1%} MFU{seen}, {_quantity(flops, 'FLOP/s')} on each device"
    what, rate = ("tokens", p.tokens_per_second) if p.tokens else ("rows", plan.batch / p.seconds)
    yield f"{_quantity(rate / plan.devices, f'{what}/s')} on each device, {_quantity(rate, f'{what}/s')} in all"
    if tokens is not None:
        yield f"{_quantity(tokens, 'tokens')} in {p.days(tokens):,.1f} days"
    yield from _wrapped(CONVENTION)


def _parameters(plan: ParallelPlan) -> str:
    if plan.parameters == "states":
        return "whole, gradients and states divided over data"
    over = [part.degree for part in plan.parts if part.parameters and part.size > 1]
    return f"divided over {over[0]}" if plan.parameters == "divided" and over else "whole on each device"


def _table(heading: str, rows: list[tuple[str, str, str]]) -> Iterable[str]:
    first = max(len(heading), *(len(row[0]) for row in rows))
    second = max(len(row[1]) for row in rows)
    third = max(len(row[2]) for row in rows)
    yield heading
    for name, value, remark in rows:
        remark = remark if remark[:1].isalpha() else remark.rjust(third)
        yield f"  {name:<{first}}  {value:>{second}}  {remark}".rstrip()


def _number(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "es" if noun.endswith("ch") else "s")


def _quantity(value: float, unit: str) -> str:
    number = quantity(value) if value >= 1e5 else f"{value:,.0f}" if value >= 10 else f"{value:.2f}"
    return number + (unit if number[-1].isalpha() else f" {unit}")


def _time(seconds: float) -> str:
    return f"{seconds:,.2f} s" if seconds >= 10 else f"{seconds:.3f} s" if seconds >= 0.1 else f"{seconds * 1e3:.2f} ms"


def _wrapped(text: str, lead: str = "", width: int = 100) -> Iterable[str]:
    import textwrap

    return textwrap.wrap(text, width, initial_indent=lead, subsequent_indent=" " * len(lead))


def _chosen(choice: SearchResult, title: str, tokens: float | None) -> str:
    lines = list(_lines(choice.best, title, tokens))
    lines.append("")
    lines.append(f"the fastest of {choice.looked_at:,} plans that were looked at")
    lines.append(f"  --layout {choice.layout!r}")
    lines.append(f"  --plan {written(choice.best.plan)}")
    other = choice.runner_up
    if other is None:
        lines.append("no other degrees of parallelism were found that fit and can be laid out")
    else:
        slower = other.seconds / choice.best.seconds - 1
        lines.append(f"the runner-up, {slower:.1%} slower: {other.plan.describe()}; {_memory_of(other)}")
        for name, difference in choice.reasons[:3]:
            if abs(difference) >= 0.001 * choice.best.seconds:
                lines.append(f"  {_time(abs(difference))} {'more' if difference > 0 else 'less'}: {PARTS[name]}")
    return "\n".join(lines) + "\n"


def written(plan: ParallelPlan) -> str:
    """What no layout says of a plan, as `--plan` reads it."""
    default = ParallelPlan()
    names = (name for name in CHOICES if name == "attention" or getattr(plan, name) != getattr(default, name))
    values = {True: "yes", False: "no"}
    chosen = ((name, getattr(plan, name)) for name in names)
    return ",".join(f"{name}={values[value] if isinstance(value, bool) else value}" for name, value in chosen)


def _memory_of(p: StepPrediction) -> str:
    return f"recomputation {p.plan.recompute}, {in_bytes(int(p.memory.total))}"


def to_json(found: StepPrediction | SearchResult, tokens: float | None = None) -> dict[str, object]:
    """The same for programs: seconds, bytes, FLOPs."""
    if isinstance(found, SearchResult):
        best = to_json(found.best, tokens)
        other = to_json(found.runner_up, tokens) if found.runner_up else None
        return {**best, "layout": found.layout, "looked_at": found.looked_at, "runner_up": other}
    return {
        "schema": SCHEMA,
        "machine": found.machine.name,
        "devices": found.plan.devices,
        "plan": {field.name: getattr(found.plan, field.name) for field in fields(found.plan)}
        | {"mesh": [{field.name: getattr(part, field.name) for field in fields(part)} for part in found.plan.parts]},
        "sizes": [{"name": size.name, "value": size.value, "reason": size.reason} for size in found.sizes],
        "seconds": found.seconds,
        "parts": dict(found.parts),
        "memory": {name: getattr(found.memory, name) for name in HELD} | {"total": found.memory.total},
        "fits": found.fits,
        "moved": [
            {"kind": it.kind, "over": it.over, "devices": it.group.size, "bytes": it.size, "times": it.times}
            for it in found.moved
        ],
        "flops": found.flops,
        "mfu": found.mfu,
        "seen_mfu": found.seen_mfu,
        "rows_per_second": found.plan.batch / found.seconds,
        **({"tokens": found.tokens, "tokens_per_second": found.tokens_per_second} if found.tokens else {}),
        **({} if tokens is None else {"days": found.days(tokens)}),
    }  # fmt: skip
