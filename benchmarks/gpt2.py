"""GPT-2 beside `transformers`: one forward pass, one training step, side by side in one run.

    python benchmarks/gpt2.py                 the 124M model forward, a 6 x 384 model in training
    python benchmarks/gpt2.py --compile       with torch.compile on both sides too

Both sides have the same weights and inputs, and first have to agree. Each round takes all sides in turn; printed are
medians and their ratio to `transformers` run eagerly (above 1: faster than it).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable

import numpy as np
import torch
from in_turn import in_turn, machine, table
from transformers import GPT2Config, GPT2LMHeadModel

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.backends.pytorch import TorchProgram
from attndsl.elaborate import load, open_spec
from attndsl.passes import optimize
from attndsl.weights import load_weights, settings_for


def side_by_side(title: str, sides: dict[str, Callable[[], object]], rounds: int, tokens: int) -> None:
    table(title, in_turn(sides, rounds), "transformers, eager", amount=tokens)


def models(config: GPT2Config) -> tuple[GPT2LMHeadModel, TorchProgram, NumpyProgram]:
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        sections = open_spec("gpt2").weights
        graph = load("gpt2", settings_for(folder, sections))
        arrays = load_weights(folder, graph, sections)
    graph, _ = optimize(graph)
    return theirs, TorchProgram(graph, parameters=arrays), NumpyProgram(graph, parameters=arrays)


def forward(compiled: bool) -> None:
    theirs, ours, reference = models(GPT2Config())
    tokens = torch.randint(0, 50257, (1, 512), generator=torch.Generator().manual_seed(1))
    module = ours.module.eval()
    array = tokens.numpy()
    sides: dict[str, Callable[[], object]] = {
        "transformers, eager": lambda: theirs(tokens).logits,
        "attndsl, PyTorch": lambda: module(tokens)["logits"],
        "attndsl, NumPy": lambda: reference.run({"tokens": array}, ["logits"]),
    }
    if compiled:
        fast, rival = torch.compile(module), torch.compile(theirs)
        sides["transformers, compiled"] = lambda: rival(tokens).logits
        sides["attndsl, compiled"] = lambda: fast(tokens)["logits"]
    with torch.inference_mode():
        difference = (theirs(tokens).logits - module(tokens)["logits"]).abs().max().item()
        print(f"largest difference in logits: {difference:.1e}")
        side_by_side("GPT-2 124M, forward, 1 x 512, float32", sides, 5, 512)


def training(compiled: bool) -> None:
    config = GPT2Config(n_layer=6, n_embd=384, n_head=6, n_positions=256, vocab_size=8192, resid_pdrop=0.0,
                        embd_pdrop=0.0, attn_pdrop=0.0)  # fmt: skip
    theirs, ours, reference = models(config)
    rng = np.random.default_rng(2)
    array = rng.integers(0, 8192, (12, 257))
    inputs = {"tokens": array[:, :-1], "targets": array[:, 1:]}
    tokens, targets = (torch.from_numpy(np.ascontiguousarray(a)) for a in inputs.values())
    module = ours.module.train()
    theirs.train()

    def step(model: torch.nn.Module, loss: Callable[[torch.nn.Module], torch.Tensor]) -> Callable[[], object]:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, foreach=True)

        def run() -> None:
            loss(model).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

        return run

    def of_theirs(model: torch.nn.Module) -> torch.Tensor:
        logits = model(tokens).logits
        return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())

    def of_ours(model: torch.nn.Module) -> torch.Tensor:
        return model(tokens, targets)["loss"]

    sides = {
        "transformers, eager": step(theirs, of_theirs),
        "attndsl, PyTorch": step(module, of_ours),
        "attndsl, NumPy (no update)": lambda: reference.loss_and_gradients(inputs, "loss"),
    }
    if compiled:
        sides["transformers, compiled"] = step(torch.compile(theirs), of_theirs)
        sides["attndsl, compiled"] = step(torch.compile(module), of_ours)
    side_by_side("6 x 384, training, 12 x 256, float32", sides, 3, 12 * 256)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--compile", action="store_true")
    compiled = parser.parse_args().compile
    print(machine())
    forward(compiled)
    training(compiled)


if __name__ == "__main__":
    main()
