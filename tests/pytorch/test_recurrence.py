"""Scans that are layers of `nn.RNN`, `nn.LSTM` or `nn.GRU` run on torch's kernels, however they are written; others say
why they do not."""

from __future__ import annotations

import numpy as np
import pytest

import attndsl
from attndsl.backends.pytorch.backend import BACKEND
from attndsl.passes import optimize

pytestmark = pytest.mark.torch

MODEL = """{blocks}
model M(width=4, hidden=6) {{
  input x: [B, T, width]
  input start: [B, hidden]
  {body}
}}"""


def model(body: str, blocks: str = "") -> attndsl.Model:
    return attndsl.parse(MODEL.format(blocks=blocks, body=body))


def layer(cell: str, blocks: str = "") -> attndsl.Model:
    return model(f"output y = recurrent({cell})(x) as rnn", blocks)


GATES = "block gate(n)(x: [*, D], h: [*, E]) -> [*, n] {\n  return linear(x, n) as a + linear(h, n) as b\n}\n"
APART = (
    GATES
    + """
block apart(n)(x: [*, D], c: [*, n] = 0.0, h: [*, n] = 0.0) -> [*, n], [*, n], [*, n] {
  g = tanh(gate(n)(x, h) as content)
  next = g * sigmoid(gate(n)(x, h) as enter) + c * sigmoid(gate(n)(x, h) as forget)
  h = tanh(next) * sigmoid(gate(n)(x, h) as leave)
  return h, next, h
}"""
)
REORDERED = """
block reordered(n)(x: [*, D], h: [*, n] = 0.0, c: [*, n] = 0.0) -> [*, n], [*, n] {
  param bias: [4 * n] = uniform(-1, 1)
  z = bias + (linear(h, 4 * n) as from_h + linear(x, 4 * n) as from_x)
  g, o, f, i = split(z, over=4 * n -> [n, n, n, n])
  next = sigmoid(i) * tanh(g) + c * sigmoid(f)
  return sigmoid(o) * tanh(next), next
}"""
MINIMAL = """
block unit(n)(x: [*, D], h: [*, n] = 0.0) -> [*, n] {
  z = sigmoid(linear(x, n) as xz + linear(h, n, bias=false) as hz)
  r = sigmoid(linear(h, n) as hr + linear(x, n) as xr)
  n_ = tanh((linear(h, n) as hn) * r + linear(x, n, bias=false) as xn)
  return h * z + n_ * (1 - z)
}"""
RECOGNISED = {
    "rnn": ("rnn_tanh", "elman_cell(hidden)", ""),
    "rnn relu": ("rnn_relu", "elman_cell(hidden, act=relu)", ""),
    "rnn without bias": ("rnn_tanh", "elman_cell(hidden, bias=false)", ""),
    "lstm": ("lstm", "lstm_cell(hidden)", ""),
    "lstm, a matrix for each gate, states the other way round": ("lstm", "apart(hidden)", APART),
    "lstm, gates in another order": ("lstm", "reordered(hidden)", REORDERED),
    "gru": ("gru", "gru_cell(hidden)", ""),
    "gru without biases": ("gru", "gru_cell(hidden, bias=false)", ""),
    "gru, some biases, a matrix for each gate": ("gru", "unit(hidden)", MINIMAL),
}


@pytest.mark.parametrize("name", RECOGNISED)
def test_a_layer_runs_on_torchs_kernel(name: str) -> None:
    kernel, cell, blocks = RECOGNISED[name]
    made = layer(cell, blocks)
    source = made.source()
    assert f"torch.{kernel}(" in source
    assert "for t in range" not in source
    for sizes in ({"B": 3, "T": 5}, {"B": 1, "T": 1}, {"B": 2, "T": 0}, {"B": 0, "T": 2}):
        assert made.compare(gradients=True, sizes=sizes, dtype="float64").ok, sizes
    assert made.compare(gradients=True, sizes={"B": 3, "T": 5}).ok


@pytest.mark.parametrize("cell", ["lstm_cell(hidden)", "gru_cell(hidden)", "elman_cell(hidden)"])
def test_both_directions_first_and_last_states_are_kernels_too(cell: str) -> None:
    made = model(
        f"""y, last = recurrent({cell}, final=true)(x) as a
  output y_all = y
  output z = recurrent({cell}, initial=last, reverse=true)(x) as b
  output end = last[len(last) - 1]"""
    )
    assert "for t in range" not in made.source()
    assert made.compare(gradients=True, sizes={"B": 2, "T": 4}, dtype="float64").ok


def test_layers_of_a_repeat_with_kept_states_are_kernels() -> None:
    made = model(
        """repeat layer in 2 {
    start = recurrent(gru_cell(hidden), kept=true)(linear(x, hidden) as up) as rnn |> mean(over=T)
  }
  output y = start"""
    )
    assert "torch.gru(" in made.source()
    assert made.compare(gradients=True, sizes={"B": 2, "T": 4}, dtype="float64").ok


MISSED = {
    "lstm_cell(hidden, norm=layer_norm)": "none of torch's RNN, LSTM or GRU",
    "lstm_cell(hidden, peephole=true)": "is added in a gate",
    "lstm_cell(hidden, clip=1.0)": "none of torch's RNN, LSTM or GRU",
    "lstm_cell(hidden, projection=3)": "none of torch's RNN, LSTM or GRU",
    'gru_cell(hidden, reset="before")': "the reset gate does not stand behind the product",
    "gru_cell(hidden), dropout=0.5": "none of torch's RNN, LSTM or GRU",
    "elman_cell(hidden), dropout=0.5": "a product of something else than x and the state",
}


def missed(made: attndsl.Model) -> list[str]:
    graph, _ = optimize(made.graph)
    return [miss.reason for miss in BACKEND.taken_apart(graph)]


@pytest.mark.parametrize("cell", MISSED)
def test_a_near_miss_says_why(cell: str) -> None:
    (reason,) = missed(layer(cell))
    assert MISSED[cell] in reason
    assert "for t in range" in layer(cell).source()


@pytest.mark.parametrize("cell", ["lstm_cell(hidden)", "gru_cell(hidden)", "elman_cell(hidden)"])
@pytest.mark.parametrize("reverse", ["false", "true"])
def test_padding_is_put_behind_and_back_in_its_place(cell: str, reverse: str) -> None:
    """Wherever it is: at the end, at the start, in the middle, in all of a row, and in none."""
    made = model(
        f"""input valid: bool[B, T]
  y, last = recurrent({cell}, final=true, reverse={reverse})(x, valid=valid) as rnn
  output z = y
  output h = last[0]"""
    )
    assert "for t in range" not in made.source()
    valid = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    x = np.random.default_rng(0).standard_normal((5, 4, 4))
    for dtype in ("float64", "float32"):
        inputs = {"x": x, "start": np.zeros((5, 6)), "valid": valid}
        assert made.compare(gradients=True, dtype=dtype, inputs=inputs).ok
    for sizes in ({"B": 2, "T": 0}, {"B": 0, "T": 2}, {"B": 1, "T": 1}):
        assert made.compare(gradients=True, sizes=sizes).ok


def test_the_last_cell_of_a_padded_sequence_is_not_a_kernels() -> None:
    made = model(
        """input valid: bool[B, T]
  y, last = recurrent(lstm_cell(hidden), final=true)(x, valid=valid) as rnn
  output c = last[1]"""
    )
    assert missed(made) == ["steps are left out where a mask is false, and the last cell is read"]
    assert made.compare(gradients=True, sizes={"B": 3, "T": 4}, dtype="float64").ok


def test_a_scan_without_matrices_is_no_near_miss() -> None:
    made = model("output y = scan t in T with s: [B, width] = 0.0 {\n    s = 0.9 * s + x[T=t]\n    emit s\n  }")
    assert missed(made) == []


def test_another_emission_is_not_a_kernels() -> None:
    made = model(
        """y = scan t in T with h: [B, hidden] = 0.0 {
    h = tanh(linear(x[T=t], hidden) as a + linear(h, hidden) as b)
    emit 2 * h
  }
  output z = y"""
    )
    assert missed(made) == ["what is emitted is not the state that a kernel gives"]
    assert made.compare(gradients=True, sizes={"B": 2, "T": 4}).ok


def test_values_inside_can_still_be_looked_at() -> None:
    made = layer("lstm_cell(hidden)")
    x = {"x": np.ones((2, 3, 4), np.float32), "start": np.ones((2, 6), np.float32)}
    for backend in ("numpy", "torch"):
        found = made.run(x, backend=backend, dump="rnn.cell")
        assert any(name.startswith("rnn.cell") for name in found)


def test_a_compiled_module_gives_the_same() -> None:
    import torch

    made = layer("gru_cell(hidden)")
    module = made.torch()
    compiled = torch.compile(module, backend="eager", fullgraph=True)
    x, start = torch.randn(2, 4, 4), torch.randn(2, 6)
    torch.testing.assert_close(compiled(x, start)["y"], module(x, start)["y"])


def test_in_half_precision_the_states_are_in_float32() -> None:
    import torch

    torch.manual_seed(0)
    made = layer("lstm_cell(hidden)")
    module = made.torch()
    right = module(x := torch.randn(2, 200, 4), start := torch.randn(2, 6))["y"]
    half = made.torch().bfloat16()
    half.load_state_dict(module.state_dict())
    found = half(x.bfloat16(), start.bfloat16())["y"]
    assert found.dtype == torch.bfloat16
    assert (found.float() - right).abs().max() < 2e-2


def test_a_kernels_matrices_lie_in_memory_as_it_reads_them() -> None:
    """Transposed in every call they cost an LSTM a tenth of its time. Their shapes are the spec's."""
    module = layer("lstm_cell(hidden)").torch()
    for name, width in (("rnn.cell.from_x.weight", 4), ("rnn.cell.from_h.weight", 6)):
        weight = module.state_dict()[name]
        assert weight.shape == (width, 4 * 6)
        assert weight.mT.is_contiguous()


@pytest.mark.parametrize(
    ("cell", "parts"), [("lstm_cell(hidden, norm=layer_norm)", 1), ("gru_cell(hidden), dropout=0.5", 3)]
)
def test_a_loop_takes_its_sequence_apart_once_and_costs_the_same_in_every_step(cell: str, parts: int) -> None:
    """What x gives the gates is computed before the loop, and each of its parts taken apart there."""
    import torch

    module = layer(cell).torch()

    def calls(steps: int) -> dict[str, int]:
        module.zero_grad(set_to_none=True)
        x = torch.randn(2, steps, 4).requires_grad_()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            module(x, torch.randn(2, 6))["y"].sum().backward()
        return {event.key: event.count for event in seen.key_averages() if event.key.startswith("aten::")}

    _, few, more, most = (calls(steps) for steps in (3, 3, 6, 9))
    assert few["aten::unbind"] == most["aten::unbind"] == parts
    assert all(most[name] - more[name] == more[name] - few[name] for name in most), "each step adds as many calls"
