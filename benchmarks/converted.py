"""Models of `transformers` as CTranslate2 reads them, where that is installed. Their words are `t0`, `t1`, …"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class Words:
    """What CTranslate2's converter asks a tokenizer for."""

    def __init__(self, config: Any) -> None:
        self.names = [f"t{number}" for number in range(config.vocab_size)]
        end, pad = config.eos_token_id, config.pad_token_id
        self.eos_token = self.bos_token = self.names[end]
        self.unk_token, self.pad_token = self.names[1], self.names[pad if pad is not None else end]
        if config.model_type == "marian":  # the converter leaves the start token out by its name
            self.names[config.decoder_start_token_id] = "<pad>"

    def get_vocab(self) -> dict[str, int]:
        return {name: number for number, name in enumerate(self.names)}

    def convert_ids_to_tokens(self, number: int) -> str:
        return self.names[number]


def converted(folder: Path, config: Any, kind: str) -> str | None:
    """The folder of the same model for CTranslate2, its weights kept as `kind`."""
    try:
        from ctranslate2.converters import TransformersConverter
    except ImportError:
        return None

    class Converter(TransformersConverter):  # type: ignore[misc]
        def load_tokenizer(self, *_: Any, **__: Any) -> Words:
            return Words(config)

    made = str(folder / f"ctranslate2-{kind}")
    Converter(str(folder)).convert(made, quantization=kind)
    return made


__all__ = ["converted"]
