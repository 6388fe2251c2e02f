"""What a training will do with its learning rate, said before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attndsl.recipe.recipe import Recipe

_BARS, _WIDE = "▁▂▃▄▅▆▇█", 24


def outlook(recipe: Recipe, addresses: Iterable[str]) -> Iterator[str]:
    """The learning rate over the steps, drawn and in numbers, and the groups of parameters that have another one."""
    steps = recipe.steps
    rise = min(int(recipe.schedule.values.get("warmup") or 0), steps)  # type: ignore[arg-type]
    rates = [recipe.rate(step) for step in range(0, steps, max(1, steps // 1000))]
    places = [rates[number * (len(rates) - 1) // (_WIDE - 1)] for number in range(_WIDE)] if steps > 1 else rates
    highest = max(*rates, recipe.rate(max(rise - 1, 0)))
    drawn = "".join(_BARS[round((len(_BARS) - 1) * rate / highest)] if highest else _BARS[0] for rate in places)
    said = [f"{recipe.rate(0):.3g} in the first"]
    if 1 < rise < steps:
        said.append(f"{recipe.rate(rise - 1):.3g} after a warm-up of {rise:,}")
    if steps > 1:
        said.append(f"{recipe.rate(steps - 1):.3g} in the last")
    kinds = f"{recipe.optimizer.name}, {recipe.schedule.name}"
    yield f"learning rate {drawn} over {steps:,} steps ({kinds}): {', '.join(said)}"
    if not recipe.rates:
        return
    groups: dict[float, list[str]] = {}
    for address, factor in recipe.factors(addresses).items():
        groups.setdefault(factor, []).append(address)
    for factor, members in groups.items():
        more = f" and {len(members) - 1} more" if len(members) > 1 else ""
        yield f"  times {factor:g} for {members[0]}{more}"


def cautions(before: Recipe, now: Recipe) -> Iterator[str]:
    """What became of a recipe that was made for another number of steps; and a training that ends in its warm-up."""
    warmup = now.schedule.values.get("warmup")
    if now.steps != before.steps and now.schedule != before.schedule:
        was = before.schedule.values.get("warmup")
        changes = [f"the warm-up of {was:,} steps became {warmup:,}"] if was != warmup else []
        changes += [f"the learning rate falls until step {now.steps:,}"] if before.schedule.length else []
        said = f"the recipe is for {before.steps:,} steps, and this training has {now.steps:,}"
        yield f"{said}: {', '.join(changes)}"
    if isinstance(warmup, int) and warmup >= now.steps > 1:
        yield f"the training ends in its warm-up, which has {warmup:,} steps: lower it with `--set warmup=…`"
