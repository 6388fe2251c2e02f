"""GPT-2 124M written token by token, greedily, a text at a time, beside `transformers` and CTranslate2.

    python benchmarks/decoding.py                 64 tokens after a short prompt
    python benchmarks/decoding.py --late          tokens 900 to 1,000 of a text
    python benchmarks/decoding.py --weights-as int8

All have the same random weights, which `transformers` draws, and the same prompt. Of what a side takes for a text, what
it takes for the first token of it is left out. The limit is what reading all weights once takes, at the speed at which
torch sums as many numbers in the same run.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from converted import converted
from in_turn import Times, in_turn, machine
from transformers import GPT2Config, GPT2LMHeadModel

from attndsl.backends.pytorch import TorchProgram
from attndsl.decoding.sampling import Sampling
from attndsl.elaborate import load, open_spec
from attndsl.passes.incremental import incremental
from attndsl.running.reader import Reader
from attndsl.weights import load_weights, settings_for

ROUNDS = 5
Writer = Callable[[int], list[int]]


def of_transformers(model: GPT2LMHeadModel, prompt: list[int]) -> Writer:
    start = torch.tensor([prompt])

    def write(tokens: int) -> list[int]:
        options = {"do_sample": False, "min_new_tokens": tokens, "max_new_tokens": tokens, "pad_token_id": 0}
        with torch.inference_mode():
            found = model.generate(start, attention_mask=torch.ones_like(start), **options)
        return [int(token) for token in found[0, len(prompt) :]]

    return write


def of_ctranslate2(folder: Path, config: GPT2Config, prompt: list[int], kind: str) -> Writer | None:
    made = converted(folder, config, kind)
    if made is None:
        return None
    import ctranslate2

    generator = ctranslate2.Generator(made, device="cpu", compute_type=kind, intra_threads=torch.get_num_threads())
    start = [[f"t{token}" for token in prompt]]

    def write(tokens: int) -> list[int]:
        (found,) = generator.generate_batch(
            start, min_length=tokens, max_length=tokens, sampling_topk=1, include_prompt_in_result=False
        )
        return list(found.sequences_ids[0])

    return write


def of_ours(program: Any, prompt: list[int]) -> Writer:
    sampling = Sampling(temperature=0)

    def write(tokens: int) -> list[int]:
        reader = Reader(program, "tokens", "logits", len(prompt) + tokens)
        found: list[int] = []
        new = prompt
        for index in range(tokens):
            new = [sampling.choose(reader.read([new])[0], index)]
            found += new
        return found

    return write


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--late", action="store_true", help="tokens 900 to 1,000")
    parser.add_argument("--weights-as", nargs="*", default=[], choices=("bfloat16", "int8"))
    args = parser.parse_args()
    prompt_length, tokens = (900, 100) if args.late else (16, 64)
    config = GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)
    torch.manual_seed(0)
    theirs = GPT2LMHeadModel(config).eval()
    prompt = [int(token) for token in np.random.default_rng(1).integers(0, config.vocab_size - 1, prompt_length)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        theirs.save_pretrained(folder)
        sections = open_spec("gpt2").weights
        graph = load("gpt2", settings_for(name, sections))
        arrays = load_weights(name, graph, sections)
        incremental_graph = incremental(graph, "tokens", ("logits",))
        writers: dict[str, Writer | None] = {
            "transformers": of_transformers(theirs, prompt),
            "CTranslate2": of_ctranslate2(folder, config, prompt, "float32"),
        }
        if "int8" in args.weights_as:
            writers["CTranslate2, int8"] = of_ctranslate2(folder, config, prompt, "int8_float32")
    for kind in ("float32", *args.weights_as):
        program = TorchProgram(incremental_graph, parameters=arrays)
        program.store(kind)  # for use alone, as `attndsl generate` does
        writers[f"attndsl, {kind}"] = of_ours(program, prompt)
    there = {side: write for side, write in writers.items() if write is not None}
    expected = there["transformers"](8)
    for side, write in there.items():
        print(f"{side}: {'the same 8 tokens' if write(8) == expected else 'other tokens'} as transformers")
    whole = torch.ones(sum(parameter.numel() for parameter in theirs.parameters()))
    sides: dict[str, Callable[[], object]] = {"bandwidth": whole.sum}
    for side, write in there.items():
        sides[side] = lambda write=write: write(tokens)
        sides[f"{side}: the first token"] = lambda write=write: write(1)
    times = in_turn(sides, ROUNDS)
    report(times, list(there), tokens, whole.numel())


def report(times: Times, sides: list[str], tokens: int, numbers: int) -> None:
    print(machine())
    limit = times.median("bandwidth")
    print(f"memory: {4e-9 * numbers / limit:.1f} GB/s; all weights in float32 once: {1e3 * limit:.2f} ms")
    each = {side: (times.median(side) - times.median(f"{side}: the first token")) / (tokens - 1) for side in sides}
    for side, seconds in each.items():
        print(
            f"  {side:24} {1e3 * seconds:7.2f} ms a token  {1 / seconds:6.1f} tokens/s  "
            f"{each['transformers'] / seconds:5.2f}x transformers  {100 * limit / seconds:4.0f} % of the limit  "
            f"(first token {1e3 * times.median(f'{side}: the first token'):.0f} ms)",
            flush=True,
        )


if __name__ == "__main__":
    main()
