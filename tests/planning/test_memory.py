"""What a process holds in a step of training is what `inspect` says of a device, within 10 %."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest

from attndsl.elaborate import elaborate, open_spec
from attndsl.planning import ParallelPlan, machine, predict, work_of
from tests.scripts import script

pytest.importorskip("torch.testing._internal.distributed.fake_pg")
pytestmark = pytest.mark.filterwarnings("ignore:Set timeout is now only supported")  # a group of nobody has none
memory: Any = script("memory")
row = cache(memory.row)

WITHIN = 0.1
REFUSED = [
    *(("t5", layout) for layout in ("sequence", "context")),
    *(("vit", layout) for layout in ("sequence", "context")),
    *((model, "experts") for model in memory.MODELS if model != "mixtral"),
]
"""A plan has no word for what lies between two stacks; the tokens of a picture are odd with that of the class; and most
models have no experts."""
FAST = [
    ("gpt_nano", "data"),
    ("gpt_nano", "one device, recomputed"),
    ("gpt_nano", "stages × data"),
    ("mixtral", "experts"),
]


def require_near(found: Any) -> None:
    assert not found.refused, found.refused
    assert abs(found.error) < WITHIN, memory.table([found])


@pytest.mark.parametrize(("model", "layout"), FAST)
def test_a_few(model: str, layout: str) -> None:
    require_near(row(model, layout))


def test_what_no_model_and_no_layout_is_called_is_refused() -> None:
    with pytest.raises(SystemExit, match="nothing was measured; there are the models gpt_nano"):
        memory.main(["foo"])


def test_the_page_says_how_far_off_predictions_are() -> None:
    """The slow test measures what it says."""
    cells = re.findall(r"[\d.]+ ([+-][\d.]+)%", memory.TABLE.search(memory.PAGE.read_text(encoding="utf-8"))[2])
    assert len(cells) == len(memory.MODELS) * len(memory.LAYOUTS) - len(REFUSED)
    assert all(abs(float(cell)) < 100 * WITHIN for cell in cells)


@pytest.mark.slow
@pytest.mark.parametrize("model", memory.MODELS)
def test_every_model_by_every_layout(model: str) -> None:
    rows = [row(model, layout) for layout in memory.LAYOUTS]
    refused = [(each.model, each.layout) for each in rows if each.refused]
    assert set(refused) == {at for at in REFUSED if at[0] == model}
    for each in rows:
        if not each.refused:
            require_near(each)
    table = memory.TABLE.search(memory.PAGE.read_text(encoding="utf-8"))[2]
    shown = next(line for line in table.splitlines() if line.startswith(f"| {model} |"))
    found = memory.markdown(rows).splitlines()[-1]
    for said, cell in zip(shown.split("|")[2:-1], found.split("|")[2:-1], strict=True):
        assert said == cell or float(said.split()[0]) == pytest.approx(float(cell.split()[0]), rel=0.02)


def test_gradients_take_the_place_of_activations_only_in_one_micro_batch() -> None:
    graph = elaborate(open_spec("gpt_nano"), {})
    work, sizes = work_of(graph), {"T": 128}
    many = predict(work, ParallelPlan(batch=16, micro_batch=8, kernels="eager"), machine("h100x8"), sizes).memory
    one = predict(work, ParallelPlan(batch=8, micro_batch=8, kernels="eager"), machine("h100x8"), sizes).memory
    assert many.gradients == 4 * graph.parameter_count
    assert one.gradients < many.gradients
    assert one.activations + one.gradients < many.activations + many.gradients


def test_weights_are_their_own_masters_in_float32() -> None:
    graph = elaborate(open_spec("gpt_nano"), {})
    plan = ParallelPlan(data=4, batch=4, precision="fp32")
    held = predict(work_of(graph), plan, machine("h100x8"), {"T": 128}).memory
    assert held.weights == graph.parameter_count
    assert held.states == 2 * graph.parameter_count
