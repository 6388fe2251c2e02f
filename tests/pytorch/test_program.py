"""The program: parameters in and out, randomness, dumps, and what a user can get wrong."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.running.inputs import example_inputs
from tests.samples.graphs import GRAPHS, decoder

pytestmark = pytest.mark.torch

SMALL = {"depth": "3", "width": "32", "heads": "4", "vocab": "50", "context": "16"}


@pytest.fixture(scope="module")
def gpt() -> Graph:
    return load("gpt2", SMALL)


def _code(caught: pytest.ExceptionInfo[AttnError]) -> str:
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.helps or diagnostic.notes
    return diagnostic.code


def test_state_dict_has_the_addresses(gpt: Graph) -> None:
    from attndsl.backends.pytorch import TorchProgram

    program = TorchProgram(gpt)
    addresses = [a for info in gpt.parameters for a in info.addresses()]
    assert sorted(program.module.state_dict()) == sorted(addresses)
    assert list(program.parameters()) == addresses
    assert sum(p.numel() for p in program.module.parameters()) == gpt.parameter_count


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gpt2_agrees_with_numpy(gpt: Graph, dtype: str) -> None:
    from attndsl.backends.pytorch import TorchProgram

    inputs = example_inputs(gpt)
    mine = TorchProgram(gpt, dtype=dtype, seed=4).run(inputs)
    meant = NumpyProgram(gpt, dtype="float64", seed=4).run(inputs)
    for name, array in meant.items():
        assert mine[name].dtype == dtype
        np.testing.assert_allclose(mine[name], array, atol=1e-5 if dtype == "float32" else 1e-12)


def test_load_copies_and_is_all_or_nothing(gpt: Graph) -> None:
    from attndsl.backends.pytorch import TorchProgram

    program = TorchProgram(gpt)
    before = program.parameters()
    given = {address: array + 1 for address, array in before.items()}
    wrong = dict(given)
    wrong["wte.tabel"] = wrong.pop("wte.table")
    wrong["ln_f.scale"] = np.zeros(3, np.float32)
    with pytest.raises(AttnError) as caught:
        program.load(wrong)
    assert [d.code for d in caught.value.diagnostics] == ["E0807"] * 3
    for address, array in program.parameters().items():
        np.testing.assert_array_equal(array, before[address])
    program.load(given)
    given["wte.table"][:] = 7.0
    np.testing.assert_array_equal(program.parameters()["wte.table"], before["wte.table"] + 1)


def test_outputs_are_those_that_are_asked_for(gpt: Graph) -> None:
    from attndsl.backends.pytorch import TorchProgram

    program, inputs = TorchProgram(gpt), example_inputs(gpt)
    assert set(program.run(inputs)) == {"logits", "loss"}
    assert set(program.run(inputs, ["logits"])) == {"logits"}
    tokens = {"tokens": inputs["tokens"]}
    assert set(program.run(tokens)) == {"logits"}
    for outputs in (["loss"], ["losss"]):
        with pytest.raises(AttnError, match="E0803"):
            program.run(tokens, outputs)


def test_dropout_is_seeded_by_seed_and_step(gpt: Graph) -> None:
    import torch

    from attndsl.backends.pytorch import TorchProgram

    program, inputs = TorchProgram(gpt), example_inputs(gpt)
    state = torch.random.get_rng_state()

    def loss(**options: object) -> float:
        return float(program.run(inputs, ["loss"], **options)["loss"])  # type: ignore[arg-type]

    assert loss() == loss(seed=3, step=9)
    assert loss(training=True, seed=1, step=1) == loss(training=True, seed=1, step=1)
    drawn = {loss(training=True, seed=s, step=t) for s in (0, 1) for t in (0, 1)}
    assert len(drawn) == 4
    assert torch.equal(state, torch.random.get_rng_state())  # what others draw is not disturbed


def test_dump_gives_what_numpy_gives(gpt: Graph) -> None:
    from attndsl.backends.pytorch import TorchProgram

    inputs = example_inputs(gpt)
    addresses = ["h.0.attn", "h.2.attn", "h.1.ln_1", "h.2.x", "wte", "h.1.attn.score", "loss"]
    mine = TorchProgram(gpt, dtype="float64").run(inputs, dump=addresses)
    meant = NumpyProgram(gpt, dtype="float64").run(inputs, dump=addresses)
    assert set(mine) == {"logits", *addresses}
    for address in addresses:
        np.testing.assert_allclose(mine[address], meant[address], rtol=1e-10, atol=1e-12, err_msg=address)


@pytest.mark.parametrize("name", ["repeat", "repeat_nested", "scan", "scan_reverse"])
def test_dump_inside_loops(name: str) -> None:
    from attndsl.backends.pytorch import TorchProgram

    graph = GRAPHS[name]()
    addresses = {"repeat": ["h.0.sum", "h.2.sum"], "repeat_nested": ["h.1.g.0.sum", "h.0.g.2.sum"]}.get(
        name, ["h.0.state", "h.1.state"]
    )
    inputs = example_inputs(graph)
    mine = TorchProgram(graph, dtype="float64").run(inputs, dump=addresses)
    meant = NumpyProgram(graph, dtype="float64").run(inputs, dump=addresses)
    for address in addresses:
        np.testing.assert_allclose(mine[address], meant[address], rtol=1e-12, atol=1e-12, err_msg=address)


def test_unknown_address_to_dump(gpt: Graph) -> None:
    from attndsl.backends.pytorch import TorchProgram

    with pytest.raises(AttnError) as caught:
        TorchProgram(gpt).run(example_inputs(gpt), dump=["h.0.atn"])
    assert _code(caught) == "E0808"
    with pytest.raises(AttnError, match="E0808"):
        TorchProgram(gpt).run(example_inputs(gpt), dump=["h.3.attn"])


def test_unknown_dtype_and_device(gpt: Graph) -> None:
    import torch

    from attndsl.backends.pytorch import TorchProgram

    with pytest.raises(AttnError) as caught:
        TorchProgram(gpt, dtype="bfloat")
    assert _code(caught) == "E0812"
    for device in ["gpu", "meta", *([] if torch.cuda.is_available() else ["cuda"])]:
        with pytest.raises(AttnError) as caught:
            TorchProgram(gpt, device=device)
        assert _code(caught) == "E0811"


def test_no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    from attndsl.running import backends

    monkeypatch.setitem(sys.modules, "torch", None)
    assert not backends.find("torch").installed
    assert backends.default().name == "numpy"
    with pytest.raises(AttnError) as caught:
        backends.find("torch").require()
    assert _code(caught) == "E0810"
    assert caught.value.diagnostics[0].helps == (
        'install it with `pip install "attndsl[torch]"`',
        "or use another backend: `numpy`",
    )


def test_index_out_of_range_is_said_at_the_spec() -> None:
    """Whatever the declared bounds let through, no index wraps."""
    from dataclasses import replace

    from attndsl.backends.pytorch import TorchProgram

    graph = decoder()
    graph = replace(graph, inputs=tuple(replace(info, bounds=()) for info in graph.inputs))
    program, inputs = TorchProgram(graph), example_inputs(graph)
    for name in ("tokens", "targets"):
        for value in (-1, 11, -100):
            wrong = {**inputs, name: np.full_like(inputs[name], value)}
            with pytest.raises(AttnError, match="E0801"):
                program.run(wrong)


def test_traceback_shows_the_written_source(gpt: Graph) -> None:
    import torch

    from attndsl.backends.pytorch import TorchProgram

    program = TorchProgram(gpt)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whatever torch raises for a tensor of no meaning
        program.module(tokens=torch.tensor([[1, 2], [3, 4]], dtype=torch.float32))
    shown = "".join(traceback.format_exception(caught.value))
    assert "self.wte(tokens)" in shown


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_training_step_in_half_precision(gpt: Graph, dtype: str) -> None:
    import torch

    from attndsl.backends.pytorch import TorchProgram

    program, inputs = TorchProgram(gpt, dtype=dtype), example_inputs(gpt)
    optimizer = torch.optim.SGD(program.module.parameters(), lr=0.5)
    first = program.loss(inputs, "loss", seed=1)
    assert first.dtype == program.torch_dtype
    first.backward()
    optimizer.step()
    second = float(program.run(inputs, ["loss"])["loss"])
    assert np.isfinite(second)
    assert second < first.item()
    exact = float(TorchProgram(gpt).run(inputs, ["loss"])["loss"])
    assert float(TorchProgram(gpt, dtype=dtype).run(inputs, ["loss"])["loss"]) == pytest.approx(exact, rel=2e-2)


@pytest.mark.parametrize(("batch", "length"), [(1, 1), (1, 16), (3, 1)])
def test_edges_of_sizes(gpt: Graph, batch: int, length: int) -> None:
    from attndsl.backends.pytorch import TorchProgram

    inputs = example_inputs(gpt, {"B": batch, "T": length})
    mine, meant = TorchProgram(gpt, dtype="float64").run(inputs), NumpyProgram(gpt, dtype="float64").run(inputs)
    np.testing.assert_allclose(mine["logits"], meant["logits"], rtol=1e-12, atol=1e-13)


@pytest.mark.cuda
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_cuda(gpt: Graph, dtype: str) -> None:
    from attndsl.backends.pytorch import TorchProgram

    inputs = example_inputs(gpt)
    mine = TorchProgram(gpt, dtype=dtype, device="cuda").run(inputs)["logits"]
    meant = NumpyProgram(gpt, dtype="float64").run(inputs)["logits"]
    np.testing.assert_allclose(mine, meant, atol={"float64": 1e-10, "float32": 1e-3}.get(dtype, 5e-2))


ROTARY = """
model Rotating(vocab=20, width=32, heads=2) {
  input tokens: int[B, T] where tokens < vocab
  x = embedding(tokens, vocab, width, normal(1)) as wte
  output y = attention(x, heads, mask=causal, position=rotary(), init=normal(0.2)) as attn
}
"""


def test_positions_are_told_apart_in_bfloat16(tmp_path: Path) -> None:
    """Angles of positions beyond 256 are not computed in eight bits."""
    from attndsl.backends.pytorch import TorchProgram

    (tmp_path / "rotating.attn").write_text(ROTARY, encoding="utf-8")
    graph = load(str(tmp_path / "rotating.attn"))
    inputs = example_inputs(graph, {"B": 1, "T": 700})
    wide = NumpyProgram(graph, dtype="float64").run(inputs)["y"]
    narrow = TorchProgram(graph, dtype="bfloat16").run(inputs)["y"]
    error = np.abs(narrow - wide).max(axis=(0, 2)) / np.abs(wide).max()
    assert error[600:].max() < 0.03
