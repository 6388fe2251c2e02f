"""GPT-2 beside `transformers` and a model by hand (`by_hand.py`): forward passes and training steps, side by side.

    python benchmarks/gpt2.py forward     the 124M model, 1 x 512 and 8 x 128
    python benchmarks/gpt2.py small       a training step of a 6 x 384 model, 12 x 256
    python benchmarks/gpt2.py training    a training step of the 124M model, 4 x 256
    … --compile                           with torch.compile too

`transformers` and attndsl have the same weights and inputs, and first have to agree. Each round takes all sides in
turn; printed are medians and their ratio to `transformers` run eagerly (above 1: faster than it).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable

import numpy as np
import torch
from by_hand import GPT, Size
from in_turn import in_turn, machine, table
from transformers import GPT2Config, GPT2LMHeadModel

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.backends.pytorch import TorchProgram
from attndsl.elaborate import load, open_spec
from attndsl.passes import optimize
from attndsl.weights import load_weights, settings_for

BASE = "transformers, eager"


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
    if not compiled:
        ours.store("float32")  # for use alone, as `attndsl generate` does
    module = ours.module.eval()
    fast, rival = (torch.compile(module), torch.compile(theirs)) if compiled else (module, theirs)

    def at(rows: int, length: int) -> None:
        tokens = torch.randint(0, 50257, (rows, length), generator=torch.Generator().manual_seed(1))
        array = tokens.numpy()
        sides: dict[str, Callable[[], object]] = {
            BASE: lambda: theirs(tokens).logits,
            "attndsl, PyTorch": lambda: module(tokens)["logits"],
            "attndsl, NumPy": lambda: reference.run({"tokens": array}, ["logits"]),
        }
        if compiled:
            sides["transformers, compiled"] = lambda: rival(tokens).logits
            sides["attndsl, compiled"] = lambda: fast(tokens)["logits"]
        difference = (theirs(tokens).logits - module(tokens)["logits"]).abs().max().item()
        assert difference < 1e-3, difference
        title = f"GPT-2 124M, forward, {rows} x {length}, float32 (largest difference in logits: {difference:.1e})"
        table(title, in_turn(sides, 5), BASE, amount=tokens.numel())

    with torch.inference_mode():
        at(1, 512)
        at(8, 128)


def training(title: str, size: Size, rows: int, length: int, compiled: bool, numpy: bool) -> None:
    config = GPT2Config(n_layer=size.depth, n_embd=size.width, n_head=size.heads, n_positions=size.context,
                        vocab_size=size.vocab, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)  # fmt: skip
    theirs, ours, reference = models(config)
    array = np.random.default_rng(2).integers(0, size.vocab, (rows, length + 1))
    inputs = {"tokens": array[:, :-1], "targets": array[:, 1:]}
    tokens, targets = (torch.from_numpy(np.ascontiguousarray(a)) for a in inputs.values())
    module, by_hand = ours.module.train(), GPT(size)
    theirs.train()

    def step(model: torch.nn.Module, loss: Callable[[torch.nn.Module], torch.Tensor]) -> Callable[[], object]:
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)

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

    def of_hand(model: torch.nn.Module) -> torch.Tensor:
        return model(tokens, targets)

    sides = {
        BASE: step(theirs, of_theirs),
        "by hand": step(by_hand, of_hand),
        "attndsl, PyTorch": step(module, of_ours),
    }
    if numpy:
        sides["attndsl, NumPy (no update)"] = lambda: reference.loss_and_gradients(inputs, "loss")
    if compiled:
        sides["transformers, compiled"] = step(torch.compile(theirs), of_theirs)
        sides["by hand, compiled"] = step(torch.compile(by_hand), of_hand)
        sides["attndsl, compiled"] = step(torch.compile(module), of_ours)
    with torch.no_grad():
        difference = (of_theirs(theirs) - of_ours(module)).abs().item()
    assert difference < 1e-4, difference
    table(f"{title}, {rows} x {length}, float32", in_turn(sides, 5), BASE, amount=rows * length)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("forward", "small", "training"))
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    print(machine())
    if args.what == "forward":
        forward(args.compile)
    elif args.what == "small":
        size = Size(vocab=8192, context=256, depth=6, width=384, heads=6)
        training("6 x 384, training", size, 12, 256, args.compile, numpy=True)
    else:
        training("GPT-2 124M, training", Size(), 4, 256, args.compile, numpy=False)


if __name__ == "__main__":
    main()
