"""Programs of `torch.export`: written, loaded again, and held against NumPy at lengths that they were not made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.backends.pytorch.arrays import to_array, to_tensor
from attndsl.backends.pytorch.exported import exported, is_earlier, write_exported
from attndsl.diagnostics import AttnError
from attndsl.passes.chosen import by_file
from attndsl.running.inputs import example_inputs
from attndsl.running.states import empty_stacks
from tests.acceptance.test_shipped_specs import NAMES, inputs_of, reduced, weights_of

pytestmark = [pytest.mark.torch, pytest.mark.filterwarnings("ignore")]  # what torch says of itself

STEPS = {
    "rnn_lm": {"T": 4}, "rnn_tagger": {"T": 4}, "elmo": {"T": 4, "C": 4}, "seq2seq": {"S": 3, "T": 4},
    "features": {"T": 4}, "alternating": {"T": 4},
}  # fmt: skip
"""The lengths that are fixed, of specs with recurrent layers."""

FAST = ("gpt2", "t5", "mixtral", "rnn_lm")


def loaded(path: Path) -> Any:
    return torch.export.load(path).module()


def agree(made: Any, weights: Any, program: Any, sizes: dict[str, int]) -> None:
    own = {name for info in made.own_inputs for axis in info.value.type.axes for name in axis.size.symbols}
    given = example_inputs(made, {name: size for name, size in sizes.items() if name in own & {*made.free_sizes}})
    stacks = empty_stacks(made, given)
    expected = NumpyProgram(made, dtype="float32", parameters=weights).run(given)
    tensors = {name: to_tensor(np.asarray(array)) for name, array in given.items()}
    if made.state_names:
        tensors["states"] = {name: to_tensor(array) for name, array in stacks.items()}
    with torch.no_grad():
        found = program(**tensors)
    for name, value in (found[0] if made.state_names else found).items():
        np.testing.assert_allclose(to_array(value), expected[name], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in NAMES])
def test_a_spec_says_what_numpy_says(name: str, tmp_path: Path) -> None:
    graph = reduced(name, 1)
    weights = weights_of(graph)
    fixed = {size: length for size, length in STEPS.get(name, {}).items() if size in graph.free_sizes}
    optional = [info.name for info in graph.own_inputs if info.optional] if name == "clip" else []
    program, made = exported(graph, weights, optional, sizes=fixed)
    called = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert not [target for target in called if target.startswith("attndsl")]  # it is loaded where these are not
    write_exported(program, made, tmp_path / "model.pt2")
    assert is_earlier(tmp_path / "model.pt2")
    again = loaded(tmp_path / "model.pt2")
    for sizes in ({"B": 2, "T": 7, "S": 6}, {"B": 1, "T": 1, "S": 1}):
        agree(made, weights, again, {**sizes, **fixed})


def test_a_text_is_read_on(tmp_path: Path) -> None:
    """Token by token, states in and out, as the whole text."""
    graph = reduced("gpt2", 1)
    weights = weights_of(graph)
    ((_, (derived, taken, given)),) = by_file("x.pt2", graph, [], None, incremental=True).items()
    program, made = exported(derived, weights, taken, given)
    step = program.module()
    tokens = torch.from_numpy(inputs_of(graph, {"B": 2, "T": 6})["tokens"])
    whole = NumpyProgram(graph, dtype="float32", parameters=weights).run({"tokens": tokens.numpy()})["logits"]
    sizes = {**made.sizes, "B": 2, "C": 8}
    states = {
        info.name: to_tensor(np.zeros(info.value.type.shape(sizes), "float32" if info.value.type.is_float else "int64"))
        for info in made.inputs
        if info.name in made.state_names
    }
    with torch.no_grad():
        for part in (slice(0, 3), slice(3, 4), slice(4, 6)):
            results, states = step(tokens=tokens[:, part], states=states)
            np.testing.assert_allclose(to_array(results["logits"]), whole[:, part], rtol=1e-4, atol=2e-5)


def test_a_length_beyond_the_context_is_refused() -> None:
    program, _ = exported(reduced("gpt2", 1), weights_of(reduced("gpt2", 1)))
    assert {str(bounds) for bounds in program.range_constraints.values()} >= {"VR[0, 8]"}
    with pytest.raises((AssertionError, RuntimeError), match="<= 8"):
        program.module()(tokens=torch.zeros((1, 9), dtype=torch.int64))


def test_a_loop_of_open_length_is_told_with_its_line() -> None:
    graph = reduced("seq2seq", 1)
    with pytest.raises(AttnError) as told:
        exported(graph, weights_of(graph))
    message = str(told.value)
    assert "error[E0653]" in message
    assert "no loops of open length, as along `S` here" in message
    assert "seq2seq.attn:" in message
    assert "`--size S=64,T=64`" in message


def test_what_torch_cannot_trace_is_told_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any, **options: Any) -> None:
        raise RuntimeError("\nno such operator")

    graph = reduced("gpt2", 1)
    monkeypatch.setattr(torch.export, "export", refuse)
    with pytest.raises(AttnError, match="no such operator") as told:
        exported(graph, weights_of(graph))
    assert told.value.diagnostics[0].code == "E0653"
