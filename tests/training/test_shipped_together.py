"""Shipped models, small, and random programs, trained in processes that meet over gloo: losses, gradients and weights
are those of one process. `ATTNDSL_LAYOUTS=all` tries all layouts on each; `python scripts/processes.py` does so, too,
and says what it has tried."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from attndsl.elaborate import elaborate, open_spec
from attndsl.layouts import choose_layout
from attndsl.layouts.laid_out import lay_out
from attndsl.running.inputs import example_inputs
from tests.programs.reading import REFUSED
from tests.programs.together import together_differences
from tests.programs.writer import Program
from tests.samples.shipped import EXPERTS, rows, small, trained, written
from tests.training.as_one import FOUR, LAYOUTS, NEAR, TWO, AsOne
from tests.training.as_one import trained as train
from tests.training.crew import Crew, Failed
from tests.training.several import LONGEST

pytestmark = [pytest.mark.torch, pytest.mark.skipif(os.name != "posix", reason="needs fork")]

FAST = (("gpt_nano", "both"), ("gpt_nano", "replicas"), ("gpt_nano", "stages"), ("t5:nano", "model of two"))


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Crew(4) as crew:
        yield crew


@pytest.fixture(scope="module")
def as_one(crew: Crew) -> AsOne:
    return AsOne(crew)


def chosen() -> list[Any]:
    """All layouts of each model; or one, for most of them over two devices."""
    found = []
    for number, name in enumerate(trained()):
        has_experts = name.partition(":")[0] in EXPERTS
        some = LAYOUTS if os.environ.get("ATTNDSL_LAYOUTS") == "all" else FOUR if number % 8 == 0 else TWO
        kinds = [kind for kind in some if has_experts or "experts" not in kind]
        at = number % len(kinds)
        found += [(name, kind) for kind in (kinds if some is LAYOUTS else kinds[at : at + 1])]
    return [*FAST, *(pytest.param(*each, marks=pytest.mark.slow) for each in found if each not in FAST)]


@pytest.mark.parametrize(("name", "layout"), chosen())
def test_a_shipped_model_is_trained_as_in_one_process(as_one: AsOne, name: str, layout: str) -> None:
    text = written(LAYOUTS[layout], name)
    if text is None:
        pytest.skip(f"{name} has no such axes")
    furthest = as_one.furthest(name, text)
    assert not isinstance(furthest, str), furthest
    assert furthest < NEAR["float64"]


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "t5:nano" else pytest.mark.slow) for n in trained()])
def test_what_can_drop_does(name: str) -> None:
    """What is not drawn cannot be drawn otherwise than in one process."""
    graph = small(name)[1]
    shares = {key: value for key, value in graph.hyperparameters.items() if "p" in key.split("_")}
    assert all(shares.values()), shares
    assert any(node.op.name == "dropout" for node in graph.body.walk()) == ("dropout" in small(name)[0].source.text)


@pytest.mark.slow
def test_in_single_precision(as_one: AsOne) -> None:
    furthest = as_one.furthest("gpt_nano", written(TWO["model of two"], "gpt_nano"), "float32")
    assert isinstance(furthest, float)
    assert NEAR["float64"] < furthest < NEAR["float32"]


def test_no_process_has_a_whole_model_for_what_cannot_be_divided(crew: Crew) -> None:
    layout = written(FOUR["both"], "gpt_nano")
    for here, in_training, whole in crew.run(parameters_of, layout):
        assert here == in_training
        assert here < whole / 3  # what lies over both dimensions is a quarter of it


REFUSED_IF_FREED = ("vit", "data=2; B, channels on data"), ("bert:nano", "data=2; B on data; attn_value on data")
"""A later axis of a rule, or a later rule, takes a dimension only where the rows of a batch do not have it."""


@pytest.mark.parametrize(("name", "layout"), REFUSED_IF_FREED)
def test_a_layout_that_trains_takes_any_batch(name: str, layout: str) -> None:
    spec, graph = small(name) if ":" in name else (open_spec(name), elaborate(open_spec(name), {}))
    chosen = choose_layout(layout, spec, graph)
    trained, opened = lay_out(graph, chosen), lay_out(graph, chosen.opened())
    assert opened.parameters == trained.parameters
    assert not any(axis.size.known(graph.sizes) is None for it in opened.inputs.values() for axis in it.divided)
    for placement, _ in opened.values.values():
        assert not any(axis.size.known(graph.sizes) is None for axis in placement.divided)


def trainer_of(processes: Any, layout: str) -> Any:
    from attndsl.recipe.recipe import read_recipe
    from attndsl.running import backends
    from attndsl.training.console import Silent
    from attndsl.training.place import trainer_at
    from attndsl.values import hyperparameters_of

    spec, graph = small("gpt_nano")
    recipe, chosen = read_recipe(spec.train, hyperparameters_of(graph)), choose_layout(layout, spec, graph)
    return trainer_at(graph, recipe, backends.find("torch"), "cpu", False, Silent(), None, processes, chosen)


def few_tokens() -> Any:
    """A batch that no two devices can divide."""
    return example_inputs(small("gpt_nano")[1], rows("gpt_nano", 3))


def parameters_of(processes: Any, layout: str) -> tuple[int, int, int]:
    """How many numbers a process has for such a batch, to train with, and how many there are."""
    trainer = trainer_of(processes, layout)
    trainer.outputs(few_tokens(), ["logits"])
    programs = (trainer._opened, trainer.program)
    here, there = (sum(value.numel() for value in program.module.parameters()) for program in programs)
    return here, there, small("gpt_nano")[1].parameter_count


def test_outputs_are_those_of_the_parameters_that_were_loaded(crew: Crew) -> None:
    for before, after, alone in crew.run(
        before_and_after_loading, written(TWO["parameters of two"], "gpt_nano"), size=2
    ):
        assert abs(before - after).max() > 1e-3
        assert abs(after - alone).max() < 1e-5


def before_and_after_loading(processes: Any, layout: str) -> tuple[Any, Any, Any]:
    from attndsl.running.processes import ALONE

    trainer, alone = trainer_of(processes, layout), trainer_of(ALONE, layout)
    before = trainer.outputs(few_tokens(), ["logits"])["logits"]
    state = {name: array * 2 if name.endswith(".weight") else array for name, array in alone.state().items()}
    for each in (trainer, alone):
        each.load_state(state)
    after, right = (each.outputs(few_tokens(), ["logits"])["logits"] for each in (trainer, alone))
    return before, after, right


STATES = (70, 342)
"""Programs with a state that begins otherwise in each row, and with one that all rows share."""


ALONE = (62026, 62082, 62107)
"""Programs whose layouts are refused without the axes of a batch."""


@pytest.mark.parametrize("seeds", [(9, *STATES), ALONE, pytest.param(range(1, 20), marks=pytest.mark.slow)])
def test_random_programs_are_trained_as_in_one_process(crew: Crew, seeds: Sequence[int]) -> None:
    """Or a reason is given why they cannot be. `python scripts/programs.py --processes` runs more."""
    assert all("  state " in Program.random(seed).text for seed in STATES)
    found = {seed: together_differences(Program.random(seed), crew) for seed in seeds}
    refused = [seed for seed, what in found.items() if what and what[0].startswith(REFUSED)]
    wrong = {seed: what for seed, what in found.items() if what and seed not in refused}
    assert not wrong, "\n".join(f"{seed}: {what[0]}" for seed, what in wrong.items())
    assert len(refused) < len(seeds) / 2


# ---------------------------------------------------------------- what would be found


def test_a_gradient_that_is_not_added_up_is_found(crew: Crew) -> None:
    """Of what all have and each uses otherwise."""
    layout = written(TWO["model of two"], "gpt_nano")
    right, _ = crew.run(train, "gpt_nano", layout, "float64", size=2)
    wrong, _ = crew.run(without_vary, "gpt_nano", layout, size=2)
    assert abs(right.losses[0] - wrong.losses[0]) < 1e-12
    assert abs(right.losses - wrong.losses).max() > 1e-4


def without_vary(processes: Any, name: str, layout: str) -> Any:
    from attndsl.layouts.emitting import DeviceEmitter

    before = DeviceEmitter.vary
    DeviceEmitter.vary = lambda self, value, *rest, **named: value  # type: ignore[method-assign]
    try:
        return train(processes, name, layout, "float64")
    finally:
        DeviceEmitter.vary = before  # type: ignore[method-assign]


def test_where_one_stands_is_told_that_hangs() -> None:
    with Crew(2) as crew:
        assert crew.run(rank_of) == [0, 1]
        crew.longest = 3.0
        with pytest.raises(Failed, match=r"process 0 of 1: it was not done yet[\s\S]* in sleeps"):
            crew.run(sleeps, size=1)
        crew.longest = LONGEST
        assert crew.run(rank_of) == [0, 1]


def sleeps(processes: Any) -> None:
    time.sleep(LONGEST)


def rank_of(processes: Any) -> int:
    return int(processes.rank)


def test_when_one_fails_the_others_are_not_waited_for() -> None:
    with Crew(2) as crew:
        assert crew.run(rank_of) == [0, 1]  # they are there
        began = time.monotonic()
        with pytest.raises(Failed, match=r"process 1 of 2: [\s\S]*ZeroDivisionError") as failed:
            crew.run(fails_in_one)
        assert time.monotonic() - began < 30
        assert "process 0 of 2" in str(failed.value)


def fails_in_one(processes: Any) -> None:
    if processes.rank == 1:
        raise ZeroDivisionError
    processes.gather(None)
