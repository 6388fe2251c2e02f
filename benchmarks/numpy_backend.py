"""The NumPy backend beside others without a compiler: BERT-base forward, 8 x 128, float32, against `transformers` run
eagerly and the reference evaluator of ONNX (which runs on NumPy too); and how much memory NumPy's programs take.

    python benchmarks/numpy_backend.py

All sides have the same weights and tokens, and first have to agree. The time of the matrix products alone says what
is left to gain.
"""

from __future__ import annotations

import io
import tempfile
import tracemalloc
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from in_turn import in_turn, machine, table
from transformers import BertConfig, BertModel

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.elaborate import load, open_spec
from attndsl.passes import optimize
from attndsl.weights import load_weights, settings_for

ROUNDS = 5
BATCH, LENGTH = 8, 128


def theirs() -> BertModel:
    torch.manual_seed(0)
    return BertModel(BertConfig()).eval()


def ours(model: BertModel) -> NumpyProgram:
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        sections = open_spec("bert").weights
        graph = load("bert", settings_for(folder, sections))
        arrays = load_weights(folder, graph, sections)
    return NumpyProgram(optimize(graph)[0], parameters=arrays)


class Hidden(torch.nn.Module):
    """A model that gives one tensor, as an exporter wants it."""

    def __init__(self, model: BertModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.model(tokens, token_type_ids=torch.zeros_like(tokens)).last_hidden_state
        return found


def by_onnx(model: BertModel, tokens: torch.Tensor) -> Callable[[], Any] | None:
    """The model in ONNX's reference evaluator; None where ONNX is not installed."""
    try:
        import onnx
        from onnx.reference import ReferenceEvaluator
    except ImportError:
        return None
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Hidden(model).eval(), (tokens,), file, input_names=["tokens"], dynamo=False)
    evaluator, array = ReferenceEvaluator(onnx.load_from_string(file.getvalue())), tokens.numpy()
    return lambda: evaluator.run(None, {"tokens": array})[0]


def products() -> Callable[[], object]:
    """The matrix products of BERT-base's linear layers, and nothing else."""
    x, h = np.ones((BATCH * LENGTH, 768), np.float32), np.ones((BATCH * LENGTH, 3072), np.float32)
    square, up, down = (np.ones(shape, np.float32) for shape in ((768, 768), (768, 3072), (3072, 768)))

    def run() -> None:
        for _ in range(12):
            for _ in range(4):
                x @ square
            x @ up
            h @ down

    return run


def forward() -> None:
    model = theirs()
    program = ours(model)
    array = np.random.default_rng(1).integers(0, 30522, (BATCH, LENGTH))
    tokens = torch.from_numpy(array)
    sides: dict[str, Callable[[], Any]] = {
        "transformers, eager": lambda: model(tokens).last_hidden_state,
        "attndsl, NumPy": lambda: program.run({"tokens": array}, ["hidden"])["hidden"],
    }
    with torch.inference_mode():
        reference = by_onnx(model, tokens)
        if reference is not None:
            sides["onnx.reference"] = reference
        expected = sides["transformers, eager"]().numpy()
        for name, run in sides.items():
            np.testing.assert_allclose(run(), expected, atol=2e-4, err_msg=name)
        sides["the matrix products alone, NumPy"] = products()
        table(f"BERT-base, forward, {BATCH} x {LENGTH}", in_turn(sides, ROUNDS), "attndsl, NumPy")


def peak(title: str, run: Callable[[], object]) -> None:
    run()
    tracemalloc.start()
    run()
    print(f"  {title:34} {tracemalloc.get_traced_memory()[1] / 2**20:9.0f} MiB besides the parameters", flush=True)
    tracemalloc.stop()


def memory() -> None:
    print("Peak memory")
    draw = np.random.default_rng(2)
    bert = NumpyProgram(optimize(load("bert"))[0])
    peak("BERT-base, forward, 8 x 128", lambda: bert.run({"tokens": draw.integers(0, 30522, (8, 128))}, ["hidden"]))
    gpt2 = NumpyProgram(optimize(load("gpt2"))[0])
    peak("GPT-2 124M, forward, 1 x 512", lambda: gpt2.run({"tokens": draw.integers(0, 50257, (1, 512))}, ["logits"]))
    sizes = {"depth": 6, "width": 384, "heads": 6, "context": 256, "vocab": 8192, "p": 0.0}
    small = NumpyProgram(optimize(load("gpt2", sizes))[0])
    text = draw.integers(0, 8192, (12, 257))
    batch = {"tokens": text[:, :-1], "targets": text[:, 1:]}
    peak("6 x 384, training, 12 x 256", lambda: small.loss_and_gradients(batch, "loss"))


if __name__ == "__main__":
    print(machine())
    forward()
    memory()
