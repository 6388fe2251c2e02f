"""The recurrent layers of the standard library: those of PyTorch, with and without padding, in both directions; what
PyTorch lacks against loops in NumPy; cells of one's own, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import attndsl
from attndsl.diagnostics import AttnError
from tests.std.meaning import drawn, meaning, written

Array = np.ndarray[Any, Any]
WIDTH, HIDDEN = 4, 6
LAYER = """model M(width=4, hidden=6) {{
  input x: [B, T, width]
  input valid: bool[B, T] optional = true
  y, last = {layer}(x, valid=valid) as rnn
  output states = y
  output first = last[0]
  output end = last[len(last) - 1]
}}"""
CELLS = {
    "RNN": "elman_cell(hidden)",
    "RNN relu": "elman_cell(hidden, act=relu)",
    "LSTM": "lstm_cell(hidden)",
    "LSTM without biases": "lstm_cell(hidden, bias=false)",
    "LSTM projected": "lstm_cell(hidden, projection=3)",
    "GRU": "gru_cell(hidden)",
}
LENGTHS = {"all": None, "padded": [5, 2, 0], "one step": [1], "one row": [3], "no step": []}


def theirs(name: str, **options: Any) -> Any:
    import torch

    options |= {"nonlinearity": "relu"} if "relu" in name else {}
    options |= {"bias": False} if "without" in name else {}
    options |= {"proj_size": 3} if "projected" in name else {}
    made = getattr(torch.nn, name.split()[0])(WIDTH, HIDDEN, batch_first=True, dtype=torch.float64, **options)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return made


def parameters(name: str, module: Any, at: str, suffix: str = "") -> dict[str, Array]:
    """Those of a module of PyTorch by the addresses that ours have in the layer `at`."""
    found = {key.removesuffix(suffix): each.detach().numpy() for key, each in module.named_parameters()}
    found = {key: each for key, each in found.items() if not key.endswith("_reverse")}
    made = {f"{at}.cell.from_{c}.weight": found[f"weight_{c2}h_l0"].T for c, c2 in (("x", "i"), ("h", "h"))}
    if "projected" in name:
        made[f"{at}.cell.project.weight"] = found["weight_hr_l0"].T
    if "bias_ih_l0" not in found:
        return made
    ih, hh = found["bias_ih_l0"], found["bias_hh_l0"]
    if "GRU" in name:
        return {**made, f"{at}.cell.from_x.bias": ih, f"{at}.cell.from_h.bias": hh}
    return {**made, f"{at}.cell.bias": ih + hh}


def asked(module: Any, x: Array, lengths: list[int] | None) -> tuple[Array, list[Array]]:
    """What PyTorch gives for rows of these lengths, one row at a time: its packed sequences allow no empty row."""
    import torch
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    with torch.no_grad():
        if lengths is None:
            y, last = module(torch.from_numpy(x))
        else:
            there = [i for i, length in enumerate(lengths) if length]
            packed = pack_padded_sequence(
                torch.from_numpy(x[there]), [lengths[i] for i in there], batch_first=True, enforce_sorted=False
            )
            made, last = module(packed)
            y = pad_packed_sequence(made, batch_first=True, total_length=x.shape[1])[0]
            y, last = _back(y, there, 0, len(x)), _back(last, there, 1, len(x))
    return y.numpy(), [each.numpy() for each in (last if isinstance(last, tuple) else (last,))]


def _back(values: Any, there: list[int], dim: int, rows: int) -> Any:
    """Rows of their own for those of no length: zeros."""
    import torch

    if isinstance(values, tuple):
        return tuple(_back(each, there, dim, rows) for each in values)
    shape = list(values.shape)
    shape[dim] = rows
    return torch.zeros(shape, dtype=values.dtype).index_copy(dim, torch.tensor(there), values)


@pytest.mark.torch
@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize("cell", CELLS)
def test_a_layer_is_pytorchs(cell: str, lengths: str) -> None:
    rows = LENGTHS[lengths]
    if rows == []:
        x, valid = np.zeros((2, 0, WIDTH)), np.zeros((2, 0), bool)
    else:
        x = drawn(len(rows or "..."), max(rows or [5]), WIDTH)
        valid = np.arange(x.shape[1]) < np.array(rows or [x.shape[1]] * 3)[:, None]
    module = theirs(cell)
    model = attndsl.parse(LAYER.format(layer=f"recurrent({CELLS[cell]}, final=true)"))
    given = parameters(cell, module, "rnn")
    for backend in ("numpy", "torch"):
        found = model.run({"x": x, "valid": valid}, backend=backend, dtype="float64", weights=given)
        if rows == []:
            assert found["states"].shape[1] == 0
            assert not found["first"].any()
            continue
        y, last = asked(module, x, rows)
        np.testing.assert_allclose(found["states"], y, atol=1e-12)
        np.testing.assert_allclose(found["first"], last[0][0], atol=1e-12)
        np.testing.assert_allclose(found["end"], last[-1][0], atol=1e-12)


@pytest.mark.torch
@pytest.mark.parametrize("lengths", [None, [5, 3, 1]])
@pytest.mark.parametrize("cell", ["RNN", "LSTM", "GRU"])
def test_both_directions_are_pytorchs(cell: str, lengths: list[int] | None) -> None:
    """Padding is at the end, where the second direction begins: it counts for nothing."""
    module, x = theirs(cell, bidirectional=True), drawn(3, 5, WIDTH)
    valid = np.arange(5) < np.array(lengths or [5] * 3)[:, None]
    back = {key: each for key, each in module.named_parameters() if key.endswith("_reverse")}
    other = theirs(cell)
    other.load_state_dict({key.removesuffix("_reverse"): each for key, each in back.items()})
    given = {**parameters(cell, module, "rnn.forward"), **parameters(cell, other, "rnn.backward")}
    y, _ = asked(module, x, lengths)
    model = attndsl.parse(LAYER.format(layer=f"bidirectional({CELLS[cell]}, final=true)"))
    for backend in ("numpy", "torch"):
        found = model.run({"x": x, "valid": valid}, backend=backend, dtype="float64", weights=given)
        np.testing.assert_allclose(found["states"], y, atol=1e-12)
    assert model.compare(gradients=True, sizes={"B": 2, "T": 3}).ok


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def normal(x: Array) -> Array:
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


@pytest.mark.parametrize("normed", [False, True])
def test_a_cell_with_all_that_it_may_have_is_what_the_papers_say(normed: bool) -> None:
    """Peepholes, a projection, both clipped, normalised or not: the equations, step by step."""
    options = f"projection=3, peephole=true, clip=0.4, projection_clip=0.3, norm={'layer_norm' if normed else 'none'}"
    text = LAYER.format(layer=f"recurrent(lstm_cell(hidden, {options}), final=true)")
    given = {info.address: drawn(*(a.size.value({"width": 4, "hidden": 6}) for a in info.type.axes), seed=i)
             for i, info in enumerate(written(text).parameters)}  # fmt: skip
    x = drawn(2, 7, WIDTH)
    found = meaning(text, {"x": x}, given)
    p = {name.removeprefix("rnn.cell."): value for name, value in given.items()}

    def norm(name: str, value: Array) -> Array:
        return normal(value) * p[f"{name}.scale"] + p[f"{name}.shift"] if normed else value

    h, c, states = np.zeros((2, 3)), np.zeros((2, HIDDEN)), []
    for t in range(7):
        z = norm("norm_x", x[:, t] @ p["from_x.weight"]) + norm("norm_h", h @ p["from_h.weight"]) + p["bias"]
        i, f, g, o = np.split(z, 4, -1)
        i, f = i + p["from_c"][0] * c, f + p["from_c"][1] * c
        c = np.clip(sigmoid(f) * c + sigmoid(i) * np.tanh(g), -0.4, 0.4)
        y = sigmoid(o + p["from_c"][2] * c) * np.tanh(norm("norm_c", c))
        h = np.clip(y @ p["project.weight"], -0.3, 0.3)
        states.append(h)
    np.testing.assert_allclose(found["states"], np.stack(states, 1), atol=1e-12)
    np.testing.assert_allclose(found["end"], c, atol=1e-12)
    assert np.abs(found["states"]).max() == 0.3
    assert np.abs(found["end"]).max() == 0.4


def test_the_reset_gate_before_the_product_is_the_papers() -> None:
    text = LAYER.format(layer='recurrent(gru_cell(hidden, reset="before"), final=true)')
    given = {f"rnn.cell.{name}": drawn(*shape, seed=i) for i, (name, shape) in enumerate({
        "from_x.weight": (4, 18), "from_x.bias": (18,), "from_h.weight": (6, 12), "from_reset.weight": (6, 6),
    }.items())}  # fmt: skip
    x = drawn(2, 5, WIDTH)
    h = np.zeros((2, HIDDEN))
    wx, b, wh, wr = given.values()
    for t in range(5):
        (xr, xz, xn), (hr, hz) = np.split(x[:, t] @ wx + b, 3, -1), np.split(h @ wh, 2, -1)
        z = sigmoid(xz + hz)
        h = (1 - z) * np.tanh(xn + (sigmoid(xr + hr) * h) @ wr) + z * h
    np.testing.assert_allclose(meaning(text, {"x": x}, given)["end"], h, atol=1e-12)


MINE = """block counting_cell(hidden)(x: [*, D], sum: [*, D] = 0.0, count: [*] = 1.0) -> [*, hidden], [*, D], [*] {
  sum += x
  return linear(sum / count, hidden, init=1.0), sum, count + 1
}
"""


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_cell_of_ones_own_may_have_any_states_and_an_output_beside_them(backend: str) -> None:
    """Two states of different axes, one of the width of the input; the output is none of them."""
    model = attndsl.parse(MINE + LAYER.format(layer="recurrent(counting_cell(hidden), final=true, reverse=true)"))
    x, valid = drawn(2, 5, WIDTH), np.arange(5) % 2 == np.array([[0], [1]])
    found = model.run({"x": x, "valid": valid}, backend=backend, dtype="float64")
    for row in range(2):
        there = np.flatnonzero(valid[row])[::-1]
        for n, t in enumerate(there):
            mean = x[row, there[: n + 1]].sum() / (n + 1)
            np.testing.assert_allclose(found["states"][row, t], mean, atol=1e-12)
        assert not found["states"][row, ~valid[row]].any()
        assert found["end"][row] == len(there) + 1


def test_the_same_elements_of_the_state_are_dropped_in_all_steps() -> None:
    """With the state as its output, and its next state the last one plus 1: what is dropped never gets beyond 1."""
    model = attndsl.parse("""block adding_cell()(x: [*, D], h: [*, D] = 0.0) -> [*, D] {
  return h + x
}
model M(width=50) {
  input x: [B, T, width]
  output y = recurrent(adding_cell(), dropout=0.5)(x)
}""")
    for backend in (model.program("numpy"), model.program("torch")):
        y = backend.run({"x": np.ones((2, 4, 50), np.float32)}, training=True)["y"]
        dropped = y[:, -1] == 1
        assert (y[dropped.nonzero()[0], :, dropped.nonzero()[1]] == 1).all()
        np.testing.assert_allclose(y[:, 1][~dropped], 3)
        assert 20 < dropped.sum() < 80


def test_initial_values_give_and_take_the_forget_gate_its_bias() -> None:
    graph = written(LAYER.format(layer="recurrent(lstm_cell(hidden), final=true)"))
    first = {info.address: str(info.initializer) for info in graph.parameters}
    assert first["rnn.cell.from_x.weight"].startswith("uniform(-0.408")
    assert "constant(1.0)" in first["rnn.cell.bias"]


WRONG = {
    "block bad(h)(x: [*, D]) -> [*, h] {\n  return linear(x, h)\n}": ("bad(6)", "E0210", "a cell has states"),
    "block bad(h)(x: [*, D], s: [*, h]) -> [*, h] {\n  return s\n}": ("bad(6)", "E0103", "needs the tensor `s`"),
    "block bad(h)(x: [*, D], s: [*, h] = 0.0, r: [*, h] = 0.0) -> [*, h] {\n  return s\n}": (
        "bad(6)", "E0210", "as many states as it takes"),
    "block bad(h)(x: [*, D], s: [*, h] = 0.0) -> [*, h], [*, h], [*, h] {\n  return s, s, s\n}": (
        "bad(6)", "E0210", "as many states as it takes"),
    "block bad(h)(x: [*, D], s: [*, h] = 0.0) -> [*, 2 * h] {\n  return linear(s, 2 * h)\n}": (
        "bad(6)", "E0207", "`states[0]` is float[B, 6] before the body and float[B, 12] after it"),
    "block bad(h)(x: [*, D], s: [*, D] = x) -> [*, D] {\n  return s\n}": ("bad(6)", "E0104", "computed from its first"),
    "": ("gru_cell(hidden), initial=[x[T=0]]", "E0201", "`hidden` is `hidden` in this call of `gru_cell`"),
    " ": ("lstm_cell(hidden), initial=[x[T=0]]", "E0210", "a tensor for each state of the cell"),
    "  ": ("tanh", "E0104", "`defaults` takes a block that has a body, but this is the block `tanh`"),
    "   ": ("lstm_cell", "E0103", "`lstm_cell` needs `hidden`"),
}  # fmt: skip


@pytest.mark.parametrize("declaration", WRONG)
def test_a_wrong_cell_is_refused_at_the_layer(declaration: str) -> None:
    cell, code, message = WRONG[declaration]
    text = f"{declaration}\n{LAYER.format(layer=f'recurrent({cell}, final=true)')}".replace(", valid=valid", "")
    with pytest.raises(AttnError) as refused:
        attndsl.parse(text)
    (problem,) = refused.value.diagnostics
    assert problem.code == code
    assert message in problem.message
    assert problem.primary is not None
    assert problem.primary.span.text.startswith("recurrent(")


@pytest.mark.parametrize("backend", ["numpy", "torch"])
def test_a_highway_carries_what_its_gate_says(backend: str) -> None:
    model = attndsl.parse("model M(width=4) {\n  input x: [B, width]\n  output y = highway(x) as way\n}")
    given = {"way.carry.weight": drawn(4, 4), "way.carry.bias": drawn(4, seed=1),
             "way.transform.weight": drawn(4, 4, seed=2), "way.transform.bias": drawn(4, seed=3)}  # fmt: skip
    x = drawn(3, 4, seed=4)
    g = sigmoid(x @ given["way.carry.weight"] + given["way.carry.bias"])
    new = np.maximum(x @ given["way.transform.weight"] + given["way.transform.bias"], 0)
    found = model.run({"x": x}, backend=backend, dtype="float64", weights=given)["y"]
    np.testing.assert_allclose(found, g * x + (1 - g) * new, atol=1e-12)


@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize("cell", ["lstm_cell(width)", "gru_cell(width)"])
def test_kept_states_go_on_where_the_last_call_stopped(backend: str, cell: str) -> None:
    model = attndsl.parse(f"""model M(width=4, depth=2) {{
  input x: [B, T, width]
  repeat layer in depth {{
    x = recurrent({cell}, kept=true)(x) as rnn
  }}
  output y = x
}}""")
    x = drawn(2, 6, WIDTH)
    whole = model.run({"x": x}, backend=backend, dtype="float64")
    first = model.run({"x": x[:, :4]}, backend=backend, dtype="float64")
    second = model.run({"x": x[:, 4:]}, states=first.states, backend=backend, dtype="float64")
    np.testing.assert_allclose(np.concatenate([first["y"], second["y"]], 1), whole["y"], atol=1e-12)
    assert {name.split(".", 1)[1] for name in whole.states} == {
        f"{i}.rnn.memory.{n}" for i in range(2) for n in range(2 if "lstm" in cell else 1)
    }
    for name, state in whole.states.items():
        np.testing.assert_allclose(second.states[name], state, atol=1e-12)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("recurrent(gru_cell(4), kept=true, reverse=true)(x)", "from the end of one call to the start of the next"),
        ("recurrent(gru_cell(4), kept=true, initial=[x[T=0]])(x)", "come from the call before, and not from `initial`"),
    ],
)
def test_states_that_cannot_be_kept_are_refused(layer: str, message: str) -> None:
    with pytest.raises(AttnError, match=message):
        attndsl.parse(f"model M(width=4) {{\n  input x: [B, T, width]\n  output y = {layer}\n}}")


@pytest.mark.parametrize(
    ("statement", "code", "message"),
    [
        ("state s = 3", "E0104", "a state without a type begins with a tensor or a list of tensors"),
        ("state s = x", "E0104", "a tensor that the inputs decide"),
        ("state s = defaults(lstm_cell(4), [B, width])\n  s <- [x[T=0]]", "E0113", "`s` is a list of 2 states"),
    ],
)
def test_a_list_of_states_begins_with_tensors_and_is_written_as_a_list(statement: str, code: str, message: str) -> None:
    with pytest.raises(AttnError, match=message) as refused:
        attndsl.parse(f"model M(width=4) {{\n  input x: [B, T, width]\n  {statement}\n  output y = x\n}}")
    assert [d.code for d in refused.value.diagnostics] == [code]


def test_dropout_with_one_draw_along_axes_drops_the_same_elements_there() -> None:
    model = attndsl.parse("""model M(width=50) {
  input x: [B, T, width]
  output y = dropout(x, 0.5, shared=T)
  output z = dropout(x, 0.5, shared=[B, T])
}""")
    x = np.ones((2, 4, 50), np.float32)
    for backend in ("numpy", "torch"):
        program = model.program(backend)
        assert (program.run({"x": x})["y"] == 1).all()
        found = program.run({"x": x}, training=True)
        y, z = found["y"], found["z"]
        assert set(np.unique(y)) == {0, 2}
        assert (y == y[:, :1]).all()
        assert (y[0] != y[1]).any()
        assert (z == z[:1, :1]).all()
        assert 10 < (z[0, 0] == 0).sum() < 40
