"""Losses, against `torch`'s: class weights, reductions, smoothing, targets that are left out; and their gradients."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attndsl
from attndsl.elaborate import elaborate, open_spec
from attndsl.running import backends
from attndsl.running.joining import JoinedBatches
from attndsl.weights import load_weights
from tests.std.meaning import drawn

CROSS_ENTROPY = """
model M(labels=5, weights=[1.0, 2.5, 0.5, 0.0, 3.0], weighted=true, smoothing=0.0, reduction="mean") {
  require len(weights) == labels
  input x: [B, T, labels]
  input t: int[B, T] where t >= -100, t < labels
  weight = stack(weights, over=labels) if weighted else none
  output loss = cross_entropy(x, t, over=labels, weight=weight, smoothing=smoothing, reduction=reduction)
}"""
WEIGHTS = [1.0, 2.5, 0.5, 0.0, 3.0]


def batch(rows: int, seed: int = 0) -> dict[str, Any]:
    draw = np.random.default_rng(seed)
    targets = draw.integers(0, 5, (rows, 4))
    return {"x": drawn(rows, 4, 5, seed=seed), "t": np.where(draw.random((rows, 4)) < 0.3, -100, targets)}


@pytest.mark.torch
@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("weighted", "smoothing", "reduction"), [*product([False, True], [0.0, 0.1], ["mean", "sum", "none"])]
)
def test_cross_entropy_is_torchs(weighted: bool, smoothing: float, reduction: str, backend: str) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    given = batch(3)
    model = attndsl.parse(CROSS_ENTROPY, weighted=weighted, smoothing=smoothing, reduction=reduction)
    program = backends.find(backend).program(model.graph, dtype="float64")
    x = torch.from_numpy(given["x"]).requires_grad_()
    weight = torch.tensor(WEIGHTS, dtype=torch.float64) if weighted else None
    theirs = cross_entropy(
        x.flatten(0, 1), torch.from_numpy(given["t"]).flatten(), weight=weight, label_smoothing=smoothing,
        reduction=reduction,
    )  # fmt: skip
    theirs.sum().backward()
    seed = np.ones((3, 4) if reduction == "none" else ())
    outputs, _, gradients = program.gradients(given, {"loss": seed})
    assert x.grad is not None
    np.testing.assert_allclose(outputs["loss"].ravel(), theirs.detach().numpy().ravel(), rtol=1e-12)
    np.testing.assert_allclose(gradients["x"], x.grad.numpy(), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("weighted", "smoothing"), [*product([False, True], [0.0, 0.1])])
def test_where_nothing_counts_the_loss_is_zero(weighted: bool, smoothing: float) -> None:
    """`torch` gives NaN there, which would end a training run; with class weights also where all weights are 0."""
    model = attndsl.parse(CROSS_ENTROPY, weighted=weighted, smoothing=smoothing)
    given = batch(2)
    found = model.run(given | {"t": np.full_like(given["t"], -100)}, backend="numpy")
    assert found["loss"] == 0
    if weighted:
        assert np.isfinite(model.run(given | {"t": np.full_like(given["t"], 3)}, backend="numpy")["loss"])


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weighted", [False, True])
def test_batches_together_are_what_one_is(weighted: bool, reduction: str) -> None:
    """The weighted mean is a sum by a count of weights."""
    model = attndsl.parse(CROSS_ENTROPY, weighted=weighted, reduction=reduction)
    joined, batches = JoinedBatches(model.graph), [batch(2, 1), batch(3, 2), batch(1, 3)]
    program = backends.find("numpy").program(joined.graph, dtype="float64")
    given, names = joined.prepared(batches)
    together = {name: np.concatenate([each[name] for each in batches]) for name in batches[0]}
    parts = [float(program.run(each, [names["loss"]])[names["loss"]]) for each in given]
    assert sum(parts) == pytest.approx(float(program.run(together, ["loss"])["loss"]), rel=1e-12)


ADAPTIVE = """
model M(width=12, classes=20, cutoffs=[4, 10, 15], div=2, bias=false) {
  input x: [B, T, width]
  output logits = adaptive_softmax(x, classes, cutoffs, div, bias) as out
  input t: int[B, T] optional where t < classes
  output loss = cross_entropy(logits, t, over=classes)
}
weights M from torch { "" <-> adaptive_softmax(out) }
"""


@pytest.mark.torch
@pytest.mark.parametrize("backend", ["numpy", "torch"])
@pytest.mark.parametrize(
    ("width", "classes", "cutoffs", "div", "bias"),
    [(12, 20, [4, 10, 15], 2, False), (9, 11, [1, 10], 3, True), (7, 5, [3], 4, False)],
)
def test_adaptive_softmax_is_torchs(
    tmp_path: Path, width: int, classes: int, cutoffs: list[int], div: int, bias: bool, backend: str
) -> None:
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(width, classes, cutoffs, div, bias).double()
    save_file(theirs.state_dict(), tmp_path / "model.safetensors")
    settings = {"width": width, "classes": classes, "cutoffs": cutoffs, "div": div, "bias": bias}
    (tmp_path / "m.attn").write_text(ADAPTIVE)
    spec = open_spec(str(tmp_path / "m.attn"))
    graph = elaborate(spec, settings)
    program = backends.find(backend).program(graph, dtype="float64")
    program.load(load_weights(tmp_path / "model.safetensors", graph, spec.weights))
    x, t = drawn(3, 4, width), np.random.default_rng(1).integers(0, classes, (3, 4))
    outputs, gradients, _ = program.gradients({"x": x, "t": t}, {"loss": np.ones(())})
    flat = torch.from_numpy(x).flatten(0, 1)
    found = theirs(flat, torch.from_numpy(t).flatten())
    found.loss.backward()
    assert outputs["loss"] == pytest.approx(found.loss.item(), rel=1e-12)
    logits = program.run({"x": x}, ["logits"])["logits"].reshape(12, classes)
    np.testing.assert_allclose(logits, theirs.log_prob(flat).detach().numpy(), rtol=1e-10)
    np.testing.assert_array_equal(logits.argmax(1), theirs.predict(flat).numpy())
    assert theirs.head.weight.grad is not None
    np.testing.assert_allclose(gradients["out.head.weight"], theirs.head.weight.grad.T, rtol=1e-9, atol=1e-14)
    for number, (down, up) in enumerate(theirs.tail):
        np.testing.assert_allclose(gradients[f"out.tail.{number}.down.weight"], down.weight.grad.T, atol=1e-14)
        np.testing.assert_allclose(gradients[f"out.tail.{number}.up.weight"], up.weight.grad.T, atol=1e-14)
