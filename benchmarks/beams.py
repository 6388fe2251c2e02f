"""Beam search with an encoder-decoder, beside `transformers` and CTranslate2: 8 sources, 4 beams.

    python benchmarks/beams.py                    T5-small, and a Transformer of Marian's sizes

All have the same random weights, which `transformers` draws, and the same sources; each hypothesis is written to its
full length, since random weights end none.
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
from in_turn import in_turn, machine, table
from transformers import MarianConfig, MarianMTModel, T5Config, T5ForConditionalGeneration

from attndsl.backends.pytorch import TorchProgram
from attndsl.decoding.sequences import Beam, beam_search
from attndsl.elaborate import load, open_spec
from attndsl.passes.incremental import derived
from attndsl.running.reader import Prefixes
from attndsl.weights import load_weights, settings_for

SOURCES, LENGTH, BEAMS, TOKENS, ROUNDS = 8, 24, 4, 32, 5


def t5() -> tuple[Any, str]:
    config = T5Config(
        d_model=512, d_ff=2048, d_kv=64, num_heads=8, num_layers=6, vocab_size=32128, decoder_start_token_id=0,
        dropout_rate=0.0,
    )  # fmt: skip
    return T5ForConditionalGeneration(config), "t5"


def marian() -> tuple[Any, str]:
    config = MarianConfig(
        d_model=512, encoder_ffn_dim=2048, decoder_ffn_dim=2048, encoder_attention_heads=8, decoder_attention_heads=8,
        encoder_layers=6, decoder_layers=6, vocab_size=58101, max_position_embeddings=512, scale_embedding=True,
        activation_function="swish", decoder_start_token_id=58100, pad_token_id=58100, eos_token_id=0, dropout=0.0,
        forced_eos_token_id=None,
    )  # fmt: skip
    return MarianMTModel(config), "transformer:marian"


def of_transformers(model: Any, sources: Any) -> Callable[[], list[list[int]]]:
    given = torch.from_numpy(sources)
    options = {
        "num_beams": BEAMS, "min_new_tokens": TOKENS, "max_new_tokens": TOKENS, "length_penalty": 0.0,
        "do_sample": False, "early_stopping": False,
    }  # fmt: skip

    def write() -> list[list[int]]:
        with torch.inference_mode():
            found = model.generate(given, attention_mask=torch.ones_like(given), **options)
        return [row[1 : 1 + TOKENS].tolist() for row in found]

    return write


def of_ctranslate2(folder: Path, config: Any, sources: Any) -> Callable[[], list[list[int]]] | None:
    made = converted(folder, config, "float32")
    if made is None:
        return None
    import ctranslate2

    translator = ctranslate2.Translator(made, device="cpu", intra_threads=torch.get_num_threads())
    given = [[f"t{token}" for token in row] for row in sources.tolist()]

    def write() -> list[list[int]]:
        found = translator.translate_batch(
            given, beam_size=BEAMS, min_decoding_length=TOKENS, max_decoding_length=TOKENS, length_penalty=0,
            max_batch_size=SOURCES,
        )  # fmt: skip
        return [[int(token.removeprefix("t")) for token in each.hypotheses[0]] for each in found]

    return write


def of_ours(folder: Path, spec: str, sources: Any, start: int) -> Callable[[], list[list[int]]]:
    sections = open_spec(spec).weights
    graph = load(spec, settings_for(str(folder), sections))
    arrays = load_weights(str(folder), graph, sections)
    made = derived(graph, "target", ("logits",))
    assert made.sources is not None
    step, read = (TorchProgram(each, parameters=arrays) for each in (made.graph, made.sources))
    for program in (step, read):
        program.store("float32")  # for use alone, as `attndsl generate` does
    vocab = graph.sizes["vocab"]

    def write() -> list[list[int]]:
        kept = read.run({"source": sources})
        logits = Prefixes(step, "target", "logits", TOKENS + 1, kept, vocab)
        found = beam_search(logits, SOURCES, [start], None, TOKENS, Beam(BEAMS, 0.0))
        return [list(best.tokens) for best, *_ in found]

    return write


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.parse_args()
    print(machine())
    for make in (t5, marian):
        torch.manual_seed(0)
        model, spec = make()
        model = model.eval()
        config = model.config
        sources = np.random.default_rng(1).integers(5, config.vocab_size - 5, (SOURCES, LENGTH))
        with tempfile.TemporaryDirectory() as name:
            model.save_pretrained(name)
            sides = {
                "transformers": of_transformers(model, sources),
                "attndsl": of_ours(Path(name), spec, sources, config.decoder_start_token_id),
            }
            rival = of_ctranslate2(Path(name), config, sources)
            if rival is not None:
                sides["CTranslate2"] = rival
        expected = sides["transformers"]()
        for side, write in sides.items():
            same = sum(a == b for a, b in zip(write(), expected, strict=True))
            print(f"{side}: {same} of {SOURCES} answers as transformers")
        times = in_turn(sides, ROUNDS)
        table(f"{spec}: {SOURCES} sources, {BEAMS} beams, {TOKENS} tokens", times, "transformers",
              amount=SOURCES * TOKENS)  # fmt: skip


if __name__ == "__main__":
    main()
