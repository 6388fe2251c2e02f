"""What is gathered of other devices is freed after its use: the memory that it leaves, and the bytes that this costs.
One process of a group computes, and the others are not there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from attndsl.elaborate import elaborate, open_spec
from attndsl.layouts import choose_layout
from attndsl.layouts.laid_out import LaidOut, lay_out
from attndsl.running.inputs import example_inputs

torch = pytest.importorskip("torch")
dist = pytest.importorskip("torch.distributed")
fake = pytest.importorskip("torch.testing._internal.distributed.fake_pg")

SIZES = {"B": 8, "T": 16}
SENT = {"all_reduce": 2, "all_gather": 1, "all_to_all_single": 1}  # by a ring, how often all but one part


@pytest.fixture(autouse=True)
def four() -> Iterator[None]:
    """A group of four, of which only this process is there: what it is given of the others may be anything."""
    dist.init_process_group("fake", store=fake.FakeStore(), rank=0, world_size=4)
    yield
    dist.destroy_process_group()


class Counting:
    """`torch.distributed`, with the bytes that this process sends."""

    def __init__(self) -> None:
        self.sent: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(dist, name)
        if name not in SENT:
            return found

        def counted(*given: Any, **named: Any) -> Any:
            count = named.get("group", given[-1]).size()
            arrays = given[0] if isinstance(given[0], list) else [given[0]]
            self.sent[name] += SENT[name] * sum(each.nbytes for each in arrays) * (count - 1) // count
            return found(*given, **named)

        return counted


def laid(text: str) -> LaidOut:
    spec = open_spec("gpt2")
    graph = elaborate(spec, {"vocab": 512, "depth": 4, "width": 128, "heads": 4, "context": 16, "p": 0.0})
    return lay_out(graph, choose_layout(text, spec, graph))


def program(laid_out: LaidOut) -> Any:
    from torch.distributed.device_mesh import init_device_mesh

    from attndsl.backends.pytorch import TorchProgram

    mesh = laid_out.layout.mesh
    sizes = tuple(size for _, size in mesh.dimensions)
    return TorchProgram(laid_out.graph, mesh=init_device_mesh("cpu", sizes, mesh_dim_names=mesh.names))


def left(text: str, *, again: bool = True, precision: str = "float32") -> tuple[int, int]:
    """The bytes that a forward pass leaves for the backward one, and those of the parameters."""
    from attndsl.backends.pytorch.autocast import mixed
    from attndsl.backends.pytorch.live import LiveTensors

    laid_out = laid(text)
    made = program(laid_out)
    if not again:
        made._asked(("loss",))[0].__class__.__call__ = torch.nn.Module.__call__
    parameters = list(made.module.parameters())
    with LiveTensors({"parameters": parameters}, "left") as live, mixed(precision, torch.device("cpu")):
        inputs = laid_out.local_inputs(example_inputs(laid_out.whole, SIZES, seed=1), 0)
        loss = made.scalars(inputs, ("loss",))["loss"]
    assert loss.requires_grad
    return live.now["left"], sum(each.nbytes for each in parameters)


def test_gathered_parameters_are_freed_between_forward_and_backward() -> None:
    whole, all = left("data=4; B on data; parameters whole")
    divided, share = left("data=4; B on data")
    assert share == all / 4
    assert divided < whole + all / 20
    assert left("data=4; B on data", again=False)[0] > whole + all / 2  # as it would be


def test_they_are_freed_where_autocast_computes_with_copies_of_them() -> None:
    text = "data=4; B on data"
    divided, share = left(text, precision="bfloat16")
    assert divided < left(text, precision="bfloat16", again=False)[0] - share  # half of all, but for tables


def test_what_is_gathered_along_a_text_is_freed_too() -> None:
    text = "model=4; heads, 4*width, vocab on model; T on model"
    assert left(text)[0] < 0.8 * left(text, again=False)[0]


def sent(text: str) -> int:
    laid_out = laid(text)
    sizes = {**laid_out.whole.sizes, **SIZES}
    each = {"all_reduce": 2}
    moves = ((each.get(move.collective, 1), move.bytes * move.times) for move in laid_out.moves)
    return sum(often * size.value(sizes) for often, size in moves)


def test_parameters_that_are_divided_are_sent_half_as_much_again() -> None:
    """Rajbhandari et al., 2020, section 7.2: three times their bytes, instead of twice."""
    assert sent("data=4; B on data") == pytest.approx(1.5 * sent("data=4; B on data; parameters whole"), rel=0.01)


@pytest.mark.parametrize(
    "text",
    [
        "data=4; B on data",
        "data=2, model=2; B on data; heads, 4*width, vocab on model",
        "data=2, model=2; B on data; heads, 4*width, vocab on model; T on model",
        "stages=2, data=2; h on stages in 4 microbatches; B on data",
    ],
)
def test_bytes_that_are_sent_are_those_that_are_counted(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from attndsl.backends.pytorch import executing

    counting = Counting()
    monkeypatch.setattr(executing, "TIMED", counting)
    laid_out = laid(text)
    inputs = laid_out.local_inputs(example_inputs(laid_out.whole, SIZES, seed=1), 0)
    program(laid_out).gradients(inputs, {"loss": np.ones(())})
    sizes = {**laid_out.whole.sizes, **SIZES}
    wanted: Counter[str] = Counter()
    for move in laid_out.moves:
        name = {"reduce_scatter": "all_to_all_single", "shift": "all_to_all_single"}.get(
            move.collective, move.collective
        )
        count = laid_out.layout.mesh.size(move.on)
        sent = SENT[name] * move.bytes.value(sizes) * (count - 1) // count
        wanted[name] += sent * move.times.value(sizes)
    assert counting.sent == wanted
