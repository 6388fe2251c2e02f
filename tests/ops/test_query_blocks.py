"""Attention on arrays by blocks of queries gives what the whole gives, finite or not, and leaves keys out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.ops import Attention, Fused
from attndsl.passes import optimize
from tests.masks.test_masks import SPEC, Masks


def fused(folder: Path, calls: list[str]) -> Graph:
    path = folder / "spec.attn"
    path.write_text(SPEC.replace("  output y = CALL", "\n".join(f"  output y{i} = {x}" for i, x in enumerate(calls))))
    graph, _ = optimize(load(str(path)))
    assert sum(isinstance(node.op, Attention) for node in graph.body.walk()) == len(calls)
    return graph


def inputs(length: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(length)
    return {
        "x": random.standard_normal((2, length, 4)), "memory": random.standard_normal((2, 7, 4)),
        "doc": np.sort(random.integers(0, 3, (2, length)), -1), "valid": random.random((2, length)) < 0.7,
    }  # fmt: skip


def both(graph: Graph, given: dict[str, np.ndarray], block: int = 0) -> dict[str, np.ndarray]:
    """Outputs and gradients by name, with blocks of so many queries."""
    program = NumpyProgram(graph, dtype="float64", block=block)
    outputs = program.run(given)
    random = np.random.default_rng(2)
    upstream = {name: random.standard_normal(outputs[name].shape) for name in outputs}
    _, _, by_input = program.gradients(given, upstream)
    return {**{name: outputs[name] for name in outputs}, **{f"d{name}": array for name, array in by_input.items()}}


def hold(found: dict[str, np.ndarray], right: dict[str, np.ndarray]) -> None:
    for name, array in right.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-10, atol=1e-12, err_msg=name)


@pytest.mark.parametrize(("seed", "size", "length"), [(0, 4, 13), (1, 5, 20), (2, 2, 3), (3, 1, 6)])
def test_random_masks(seed: int, size: int, length: int, tmp_path: Path) -> None:
    masks = Masks(seed)
    graph = fused(tmp_path, [f"score(x * {i}, mask={masks.text()})" for i in range(2, 25)])
    whole = both(graph, inputs(length))
    hold(both(graph, inputs(length), size), whole)


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf, 1e200])
def test_what_is_not_finite(poison: float, tmp_path: Path) -> None:
    """Hidden or not, it comes out where it did."""
    graph = fused(tmp_path, ["score(x, mask=window(2))", "score(memory, x, mask=window(2))"])
    given = inputs(9)
    given["x"][0, 5, 1] = poison
    whole = both(graph, given)
    hold(both(graph, given, 3), whole)


def test_keys_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20 keys a block of four queries, each of which sees three, is given six at most."""
    graph = fused(tmp_path, ["score(x, mask=window(3))"])
    keys: list[int] = []
    evaluate = Fused.evaluate

    def seen(op: Fused, call: object, *arrays: np.ndarray) -> np.ndarray:
        keys.append(arrays[1].shape[1])
        return evaluate(op, call, *arrays)  # type: ignore[arg-type]

    monkeypatch.setattr(Fused, "evaluate", seen)
    NumpyProgram(graph, block=4).run(inputs(20))
    assert keys == [4, 6, 6, 6, 6]
