"""A cross entropy of logits that are a product with a matrix: what is recognised, what not, and that numbers stay."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.backends.pytorch.program import TorchProgram
from attndsl.graph import Graph
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.ops import LinearCrossEntropy, chunks
from attndsl.passes import TRAINED, PassReport, explain, optimize

HEAD = """
model M(vocab=11, width=6, cap=3, s=0.2) {{
  input x: [B, T, width]
  input targets: int[B, T] where targets >= -1, targets < vocab
  input kept: bool[B, T]
  input share: [B, T]
  param table: [vocab, width]
  param matrix: [width, out=vocab]
  param bias: [out=vocab]
  plain = dot(x, table, over=width)
  biased = rearrange(dot(x, matrix, over=width) + bias, [out=vocab] -> [vocab])
  right = maximum(targets, 0)
  {lines}
}}
"""
LIKELY = "likely = log_softmax(plain, over=vocab)\n  each = -take(likely, right, over=vocab)\n  "
SPELLINGS = {
    "the library's": ("output loss = cross_entropy(plain, targets, over=vocab)", ("masked",)),
    "with a bias": ("output loss = cross_entropy(biased, targets, over=vocab)", ("biased", "masked")),
    "added up": ('output loss = cross_entropy(plain, targets, over=vocab, reduction="sum")', ("masked",)),
    "smoothed": (
        "output loss = cross_entropy(biased, targets, over=vocab, smoothing=s)",
        ("biased", "masked", "smoothing"),
    ),
    "capped": (
        "output loss = cross_entropy(cap * tanh(biased / cap), targets, over=vocab)",
        ("biased", "cap", "masked"),
    ),
    "capped by a half": ("output loss = cross_entropy(0.5 * tanh(2 * plain), targets, over=vocab)", ("cap", "masked")),
    "scaled": ("output loss = cross_entropy(plain / sqrt(width), targets, over=vocab)", ("masked",)),
    "by hand": (
        LIKELY.replace("log_softmax(plain, over=vocab)", "log(softmax(plain, over=vocab))")
        + "output loss = mean(each, over=[B, T])",
        (),
    ),
    "mean by mean": (LIKELY + "output loss = mean(mean(each, over=T), over=B)", ()),
    "weighted": (LIKELY + "output loss = sum(share * each, over=[B, T])", ("weighted",)),
    "by sequence": (
        "each = where(kept, 0, -take(log_softmax(plain, over=vocab), right, over=vocab))\n"
        "  rows = sum(each, over=T) / maximum(sum(not kept, over=T), 1)\n  output loss = 3 * sum(rows, over=B)",
        ("masked", "weighted"),
    ),
    "two masks": (
        "each = where(targets >= 0, -take(log_softmax(plain, over=vocab), right, over=vocab), 0)\n"
        "  output loss = sum(where(kept, each, 0), over=[B, T]) / 7",
        ("masked",),
    ),
}
MISSES = {
    "logits": (
        "output logits = plain\n  output loss = cross_entropy(plain, targets, over=vocab)",
        "the logits over [vocab] are an output",
    ),
    "entropy": (
        LIKELY + "output loss = sum(each, over=[B, T]) + sum(exp(likely) * likely, over=[B, T, vocab])",
        "are read by something else",
    ),
    "each": (
        LIKELY + "output each_one = each\n  output loss = sum(each, over=[B, T])",
        "the losses of single rows are an output",
    ),
    "infinity": (LIKELY + "output loss = sum(where(kept, each, 1), over=[B, T])", "stands another number than 0"),
    "no cap": (
        "output loss = cross_entropy(2 * tanh(plain / 3), targets, over=vocab)",
        "what bounds the logits is no soft cap",
    ),
}
UNRELATED = {
    "squared": LIKELY + "output loss = sum(each * each, over=[B, T])",
    "of data": "output loss = sum(take(log_softmax(x, over=width), 0, over=width), over=[B, T])",
    "repeated": LIKELY + "output loss = sum(sum(each, over=T) * share, over=[B, T])",
}


def inputs() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(5)
    return {
        "x": draw.standard_normal((2, 3, 6)),
        "targets": np.array([[3, -1, 0], [10, 4, -1]]),
        "kept": np.array([[True, False, False], [True, True, False]]),
        "share": draw.uniform(0.5, 2, (2, 3)),
    }


def fused(graph: Graph) -> tuple[list[LinearCrossEntropy], list[PassReport]]:
    optimized, reports = optimize(graph)
    return [node.op for node in optimized.body.walk() if isinstance(node.op, LinearCrossEntropy)], reports


@pytest.mark.parametrize("name", SPELLINGS)
def test_a_spelling_is_recognised_and_keeps_its_numbers(name, spec, monkeypatch):
    lines, options = SPELLINGS[name]
    graph = spec(HEAD.format(lines=lines))
    (op,), _ = fused(graph)
    assert {each for each in ("biased", "weighted", "masked", "cap", "smoothing") if getattr(op, each)} == set(options)
    monkeypatch.setattr(chunks, "IN_ONE_CHUNK", 22)  # two rows of logits
    monkeypatch.setattr(chunks, "IN_ONE_SUM", 4)
    plain = NumpyProgram(graph, dtype="float64", seed=2)
    loss, by_parameter, by_input = plain.gradients(inputs(), {"loss": np.array(0.7)})
    torch = TorchProgram(graph, dtype="float64", seed=2)
    assert "linear_cross_entropy" in torch.source
    for program in (NumpyProgram(optimize(graph)[0], dtype="float64", seed=2), plain.giving(["loss"]), torch):
        found = program.gradients(inputs(), {"loss": np.array(0.7)})
        np.testing.assert_allclose(found[0]["loss"], loss["loss"], rtol=1e-12)
        for meant, given in ((by_parameter, found[1]), (by_input, found[2])):
            for address, gradient in meant.items():
                np.testing.assert_allclose(given[address], gradient, rtol=1e-11, atol=1e-12, err_msg=address)


@pytest.mark.parametrize("name", MISSES)
def test_a_near_miss_stays_and_gives_its_reason(name, spec):
    lines, reason = MISSES[name]
    found, reports = fused(spec(HEAD.format(lines=lines)))
    assert not found
    assert reason in explain(reports)


@pytest.mark.parametrize("name", UNRELATED)
def test_what_is_something_else_is_passed_over(name, spec):
    found, reports = fused(spec(HEAD.format(lines=UNRELATED[name])))
    assert not found
    assert "cross entropy:" not in explain(reports)


def test_where_the_loss_alone_is_asked_for_the_logits_are_dead(spec):
    graph = spec(HEAD.format(lines=MISSES["logits"][0]))
    assert not fused(graph)[0]
    optimized, _ = optimize(graph.giving(["loss"]))
    assert any(isinstance(node.op, LinearCrossEntropy) for node in optimized.body.walk())
    assert not any(
        "vocab" in map(str, v.type.axes) and v.type.rank == 3 for n in optimized.body.walk() for v in n.outputs
    )
    assert to_text(parse_text(to_text(optimized))) == to_text(optimized)
    assert any(
        isinstance(node.op, LinearCrossEntropy)
        for node in optimize(graph.giving(["loss"]), passes=TRAINED)[0].body.walk()
    )
