"""States as a user gives them: by address, all of them, each in its shape; the same on both backends."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.running import backends

ELMAN = """model Elman(vocab=11, width=4, depth=3) {
  input tokens: int[B, T] where tokens < vocab
  state seen: int[B] = 0
  seen <- seen + T
  x = embedding(tokens, vocab, width, init=normal(1.0))
  repeat h in depth {
    state last: [B, width] = 0.5
    u = linear(x, width, init=normal(0.5)) as from_x
    x = scan t in T with s: [B, width] = last {
      s = tanh(u[T=t] + linear(s, width, bias=false, init=normal(0.5)) as from_s)
      emit s
    }
    last <- x[T=T - 1]
  }
  output logits = linear(x, vocab) as head
  output before = seen
}
"""
TOKENS = np.random.default_rng(5).integers(0, 11, (3, 9))
BACKENDS = ["numpy", pytest.param("torch", marks=pytest.mark.torch)]
GRAPH = elaborate(open_text(ELMAN), {})


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("cuts", [(4,), (1, 2, 8)])
def test_a_text_in_several_calls_is_the_text_in_one(backend, cuts):
    program = backends.find(backend).program(GRAPH, dtype="float64", seed=3)
    whole, states, parts = program.run({"tokens": TOKENS}), None, []
    for piece in np.split(TOKENS, cuts, 1):
        results = program.run({"tokens": piece}, ["logits"], states=states)
        states = results.states
        parts.append(results["logits"])
    np.testing.assert_allclose(np.concatenate(parts, 1), whole["logits"], atol=1e-14)
    assert states.keys() == whole.states.keys() == {"seen", "h.0.last", "h.1.last", "h.2.last"}
    for address, array in whole.states.items():
        np.testing.assert_allclose(states[address], array, atol=1e-14)


@pytest.mark.torch
def test_the_backends_keep_the_same():
    first, second = (backends.find(name).program(GRAPH, dtype="float64", seed=3) for name in ("numpy", "torch"))
    states = None
    for piece in np.split(TOKENS, 3, 1):
        mine, theirs = first.run({"tokens": piece}, states=states), second.run({"tokens": piece}, states=states)
        for name in mine:
            np.testing.assert_allclose(theirs[name], mine[name], atol=1e-13)
        for name in mine.states:
            assert theirs.states[name].dtype == mine.states[name].dtype
            np.testing.assert_allclose(theirs.states[name], mine.states[name], atol=1e-13)
        states = mine.states


@pytest.mark.torch
def test_the_module_takes_and_returns_them_and_holds_none():
    import torch

    module = backends.find("torch").program(GRAPH, dtype="float64", seed=3).module
    assert not list(module.buffers())
    whole, _ = module(torch.tensor(TOKENS))
    first, states = module(torch.tensor(TOKENS[:, :4]))
    assert states["h.*.last"].shape == (3, 3, 4)
    second, _ = module(torch.tensor(TOKENS[:, 4:]), states=states)
    joined = torch.cat([first["logits"], second["logits"]], 1)
    torch.testing.assert_close(joined, whole["logits"], atol=1e-14, rtol=0)


MEMORY = """model Memory(vocab=11, width=6, depth=2, M=12) {
  input tokens: int[B, T] where tokens < vocab
  x = embedding(tokens, vocab, width, init=normal(1.0))
  repeat h in depth {
    state memory: [B, M, width] = zeros
    state filled: int[B] = 0
    past = concat(memory, x, over=[M, T] -> K)
    there: bool[B, K] = positions(K) >= -filled
    x += attention(x, past, 2, mask=causal & keys(there), position=alibi(2), init=normal(0.5)) as attn
    memory <- past[K=T:]
    filled <- minimum(filled + T, M)
  }
  output logits = linear(x, vocab) as head
}
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_memory_that_is_long_enough_is_full_attention(backend):
    """Segments that see all that was before them give what the whole text gives at once."""
    program = backends.find(backend).program(elaborate(open_text(MEMORY), {}), dtype="float64", seed=3)
    whole, states, parts = program.run({"tokens": TOKENS}), None, []
    for piece in (TOKENS[:, :4], TOKENS[:, 4:5], TOKENS[:, 5:]):
        results = program.run({"tokens": piece}, states=states)
        states = results.states
        parts.append(results["logits"])
    np.testing.assert_allclose(np.concatenate(parts, 1), whole["logits"], atol=1e-13)
    assert states["h.1.filled"].tolist() == [9] * 3
    assert (states["h.0.memory"][:, :3] == 0).all()


@pytest.mark.torch
@pytest.mark.slow
def test_the_compiled_module_gives_the_same():
    plain, compiled = (
        backends.find("torch").program(GRAPH, dtype="float64", seed=3, compile=compile) for compile in (False, True)
    )
    states = None
    for piece in (TOKENS[:, :4], TOKENS[:, 4:8]):
        mine, theirs = plain.run({"tokens": piece}, states=states), compiled.run({"tokens": piece}, states=states)
        states = mine.states
        np.testing.assert_allclose(theirs["logits"], mine["logits"], atol=1e-13)
        for address, array in mine.states.items():
            np.testing.assert_allclose(theirs.states[address], array, atol=1e-13)


def problem(states, tokens=TOKENS):
    with pytest.raises(AttnError) as caught:
        backends.find("numpy").program(GRAPH).run({"tokens": tokens}, states=states)
    assert {d.code for d in caught.value.diagnostics} == {"E0815"}
    assert all(d.helps for d in caught.value.diagnostics)
    return [d.message for d in caught.value.diagnostics]


def test_states_that_do_not_fit_are_refused():
    good = backends.find("numpy").program(GRAPH).run({"tokens": TOKENS}).states
    lacking = {a: s for a, s in good.items() if a != "h.1.last"}
    assert problem(lacking) == ["the state `h.1.last` is missing"]
    assert problem(lacking | {"h.1.lost": good["h.1.last"]}) == [
        "there is no state `h.1.lost`",
        "the state `h.1.last` is missing",
    ]
    assert problem({}) == [f"the state `{a}` is missing" for a in good]
    assert problem(good, TOKENS[:2])[0] == "the state `seen` is [3], and must be [2]"
    assert problem(good | {"h.0.last": np.zeros((3, 5), np.float32)}) == [
        "the state `h.0.last` is [3, 5], and must be [3, 4]"
    ]
    assert problem(good | {"seen": np.zeros(3)}) == ["the state `seen` holds float64, but is declared as `int[B]`"]


def test_states_are_arrays_by_their_addresses():
    program = backends.find("numpy").program(GRAPH)
    for given in ([1, 2], program.run({"tokens": TOKENS})):
        with pytest.raises(AttnError, match="arrays by their addresses") as caught:
            program.run({"tokens": TOKENS}, states=given)
        assert caught.value.diagnostics[0].helps == ("give those that a call returned: `states=results.states`",)


def test_a_model_without_states_takes_none():
    graph = elaborate(open_text("model M() { input x: [B]\n output y = x }"), {})
    first = backends.find("numpy").program(graph).run({"x": np.ones(2)})
    assert backends.find("numpy").program(graph).run({"x": np.ones(2)}, states=first.states).states == {}
    with pytest.raises(AttnError, match="has no states"):
        backends.find("numpy").program(graph).run({"x": np.ones(2)}, states={"s": np.ones(2)})


NORMED = """model Normed(D=3) {
  input x: float[B, D]
  output y = batch_norm(x) as norm
}
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_are_taken_where_training_left_what_all_rows_share(backend):
    graph = elaborate(open_text(NORMED), {})
    left = {"norm.running_mean": np.array([1.0, 2.0, 3.0]), "norm.running_var": np.array([4.0, 9.0, 16.0])}
    parameters = {"norm.scale": np.ones(3), "norm.shift": np.zeros(3)}
    program = backends.find(backend).program(graph, dtype="float64", parameters=parameters | left)
    x = np.random.default_rng(1).standard_normal((5, 3))
    outputs, _, inputs = program.gradients({"x": x}, {"y": np.ones((5, 3))})
    np.testing.assert_allclose(outputs["y"], program.run({"x": x})["y"], atol=1e-12)
    np.testing.assert_allclose(inputs["x"], np.broadcast_to([1 / 2, 1 / 3, 1 / 4], (5, 3)), rtol=1e-5)
