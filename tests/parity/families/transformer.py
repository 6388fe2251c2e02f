"""The Transformer, against Marian's translators and against `torch.nn.Transformer`'s layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs, Patch, Published, trainable

# ---------------------------------------------------------------- both


def padded(rng: np.random.Generator, tokens: int, shape: tuple[int, int], target: int) -> Inputs:
    """Sources of which all rows but the last are padded behind (with tokens that must not matter), and targets of which
    every third does not count."""
    rows, length = shape
    source, said = rng.integers(0, tokens, shape), rng.integers(0, tokens, (rows, target))
    targets = rng.integers(0, tokens, (rows, target))
    targets.flat[1::3] = -100
    lengths = np.linspace(1, length, rows).astype(int) if rows > 1 else np.array([length])
    return {"source": source, "valid": np.arange(length) < lengths[:, None], "target": said, "targets": targets}


def counted(batch: Inputs) -> Mapping[str, Any]:
    return {"memory": batch["valid"]}


def defaults(config: Config, batch: Inputs) -> Inputs:
    return {"valid": np.ones_like(batch["valid"])}


def loss(logits: Any, targets: Any, smoothing: float = 0.1) -> Any:
    """As in the paper, smoothed by 0.1 (section 5.4), unless it is said otherwise."""
    from torch.nn.functional import cross_entropy

    return cross_entropy(logits.transpose(1, 2), targets, label_smoothing=smoothing)


# ---------------------------------------------------------------- Marian

SMALL: Config = {"scale_embedding": True, "activation_function": "swish"}


def sized(
    layers: tuple[int, int], width: int, heads: int, hidden: int, vocab: int, context: int, **more: Any
) -> Config:
    return {
        "encoder_layers": layers[0], "decoder_layers": layers[1], "d_model": width, "encoder_attention_heads": heads,
        "decoder_attention_heads": heads, "encoder_ffn_dim": hidden, "decoder_ffn_dim": hidden, "vocab_size": vocab,
        "max_position_embeddings": context, **more,
    }  # fmt: skip


def of_marian(*sizes: Any, **more: Any) -> Config:
    return sized(*sizes, **{**SMALL, **more})


MARIAN: dict[str, Config] = {
    "three heads": of_marian((2, 3), 12, 3, 20, 61, 10),
    "six heads of one": of_marian((1, 2), 6, 6, 9, 17, 7, activation_function="relu", scale_embedding=False),
    "square, where a transposition hides": of_marian((2, 2), 16, 4, 16, 16, 16, activation_function="gelu"),
    "one layer, one head": of_marian((1, 1), 8, 1, 8, 4, 1, dropout=0.0),
}
OPUS = of_marian((6, 6), 512, 8, 2048, 58101, 512)


def marian(config: Config) -> Any:
    """The last token is the padding: `transformers` gives its embedding no gradient, so it is not among the inputs. The
    bias of the logits is a buffer, zero at first; in published models it is not."""
    import torch
    import transformers

    last = config["vocab_size"] - 1
    ids = {"pad_token_id": last, "decoder_start_token_id": last, "eos_token_id": 0, "forced_eos_token_id": None}
    model = transformers.MarianMTModel(transformers.MarianConfig(**config, **ids))
    model.final_logits_bias.normal_(generator=None if model.device.type == "meta" else torch.Generator().manual_seed(1))
    return model


def batches(make: Callable[..., Inputs], rng: np.random.Generator, tokens: int, limit: int) -> Mapping[str, Inputs]:
    """Of every length that a model with `limit` positions takes; `make` is `padded` or what stands in for it."""
    return {
        "at the limit": make(rng, tokens, (3, limit), limit),
        "a long source": make(rng, tokens, (2, limit), (limit + 1) // 2),
        "a long target": make(rng, tokens, (2, (limit + 1) // 2), limit),
        "one row": make(rng, tokens, (1, (limit + 2) // 3), (limit + 1) // 2),
        "one token": make(rng, tokens, (2, 1), 1),
    }


def marian_inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    return batches(padded, rng, config["vocab_size"] - 1, config["max_position_embeddings"])


def ask_marian(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    found = model(input_ids=batch["source"], attention_mask=batch["valid"], decoder_input_ids=batch["target"])
    logits, memory = found.logits, found.encoder_last_hidden_state
    return {"memory": memory, "logits": logits, "loss": loss(logits, batch["targets"])}


def sinusoids(places: int, width: int) -> Any:
    import torch

    rate = 10000 ** (-2 * torch.arange(width // 2, dtype=torch.float64) / width)
    angle = torch.arange(places, dtype=torch.float64)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], 1)


def exact_positions(model: Any) -> None:
    for side in (model.model.encoder, model.model.decoder):
        table = side.embed_positions.weight
        table.data = sinusoids(*table.shape)


def with_everything(tensors: dict[str, Any], config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The hub's older files have every copy of the embedding, and the positions; their configurations say what today
    goes without saying."""
    shared, places = tensors["model.shared.weight"], sinusoids(config["max_position_embeddings"], config["d_model"])
    copies = ("model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight")
    sides = ("model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight")
    old = {
        "add_bias_logits": False, "add_final_layer_norm": False, "classif_dropout": 0.0, "extra_pos_embeddings": 58101,
        "normalize_before": False, "normalize_embedding": False, "static_position_embeddings": True,
        "num_hidden_layers": config["encoder_layers"], "architectures": ["MarianMTModel"],
    }  # fmt: skip
    newer = ("decoder_vocab_size", "share_encoder_decoder_embeddings", "tie_word_embeddings", "dtype")
    kept = {key: value for key, value in config.items() if key not in newer}
    return {**tensors, **dict.fromkeys(copies, shared), **dict.fromkeys(sides, places.float())}, {**kept, **old}


# ---------------------------------------------------------------- torch.nn.Transformer

TORCH: dict[str, Config] = {
    "three heads": {"vocab": 61, "depth": 2, "decoder_depth": 3, "width": 12, "hidden": 20, "heads": 3},
    "six heads of one": {"vocab": 17, "depth": 1, "decoder_depth": 2, "width": 6, "hidden": 9, "heads": 6},
    "square, where a transposition hides": {"vocab": 16, "depth": 2, "width": 16, "hidden": 16, "heads": 4},
    "one layer, one head": {"vocab": 5, "depth": 1, "width": 8, "hidden": 8, "heads": 1, "act": "gelu"},
    "not scaled, sines before cosines": {"vocab": 9, "depth": 1, "width": 8, "hidden": 8, "heads": 2, "scaled": False},
}


def torch_transformer(config: Config) -> Any:
    """`torch.nn.Transformer` without its final norms, between an embedding and its transposition, as in the paper. The
    positions are computed here by hand."""
    import torch
    from torch import nn

    width, heads, hidden, act = config["width"], config["heads"], config["hidden"], config.get("act", "relu")

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.smoothing = config.get("smoothing", 0.1)
            given: Any = {"dim_feedforward": hidden, "dropout": 0.1, "activation": act, "batch_first": True}
            first = nn.TransformerEncoderLayer(width, heads, **given)
            second = nn.TransformerDecoderLayer(width, heads, **given)
            encoder = nn.TransformerEncoder(first, config["depth"], enable_nested_tensor=False)
            decoder = nn.TransformerDecoder(second, config.get("decoder_depth", config["depth"]))
            self.embedding = nn.Embedding(config["vocab"], width)
            nn.init.normal_(self.embedding.weight, std=width**-0.5)
            self.transformer = nn.Transformer(
                width, heads, custom_encoder=encoder, custom_decoder=decoder, batch_first=True
            )

        def enter(self, tokens: Any) -> Any:
            table = self.embedding.weight
            x = self.embedding(tokens) * (width**0.5 if config.get("scaled", True) else 1)
            angle = torch.arange(tokens.shape[1], dtype=torch.float64)[:, None] / (
                10000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
            )
            both = [angle.sin(), angle.cos()]
            places = torch.cat(both, 1) if not config.get("scaled", True) else torch.stack(both, 2).flatten(1)
            return x + places.to(table.dtype)

        def forward(self, source: Any, valid: Any, target: Any) -> tuple[Any, Any]:
            later = torch.ones(target.shape[1], target.shape[1], dtype=torch.bool).triu(1)
            memory = self.transformer.encoder(self.enter(source), src_key_padding_mask=~valid)
            y = self.transformer.decoder(
                self.enter(target), memory, tgt_mask=later, memory_key_padding_mask=~valid, tgt_is_causal=False
            )
            return memory, y @ self.embedding.weight.T

    return Whole()


def torch_settings(config: Config) -> Mapping[str, Any]:
    return {"context": 64, **config, "halves": not config.get("scaled", True)}


def torch_inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    tokens = config["vocab"]
    return {
        "padded": padded(rng, tokens, (3, 8), 5),
        "one row": padded(rng, tokens, (1, 5), 7),
        "one token": padded(rng, tokens, (2, 1), 1),
    }


def ask_torch(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    memory, logits = model(batch["source"], batch["valid"], batch["target"])
    return {"memory": memory, "logits": logits, "loss": loss(logits, batch["targets"], model.smoothing)}


def save_state(model: Any, folder: Path) -> Path:
    from safetensors.torch import save_file

    folder.mkdir()
    save_file(model.state_dict(), folder / "transformer.safetensors")
    return folder / "transformer.safetensors"


def load_state(model: Any, folder: Path) -> tuple[Any, Mapping[str, Any]]:
    import copy

    from safetensors.torch import load_file

    back = copy.deepcopy(model)
    missing, unexpected = back.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    return back, {"missing": missing, "unexpected": unexpected}


def paper(variant: str, width: int, hidden: int, heads: int, count: int) -> Published:
    sizes = {"vocab": 37000, "depth": 6, "width": width, "hidden": hidden, "heads": heads}
    return Published(variant, sizes, count)


FAMILIES = (
    Family(
        name="marian",
        spec="transformer",
        configs=MARIAN,
        oracle=marian,
        inputs=marian_inputs,
        ask=ask_marian,
        counted=counted,
        defaults=defaults,
        auto="AutoModelForSeq2SeqLM",
        patches=(
            Patch(
                "Marian computes its sinusoids in float64 and keeps them in float32; here they stay in float64",
                mend=exact_positions,
            ),
        ),
        buffers=("final_logits_bias",),
        hub={"with every copy, and positions": with_everything},
        published=(Published("marian", OPUS, 73_886_208 + 58_101),),
        count=lambda model: trainable(model) + model.final_logits_bias.numel(),
        smallest=OPUS,
        short=lambda config, rng: padded(rng, config["vocab_size"] - 1, (2, 17), 13),
    ),
    Family(
        name="torch.nn.Transformer",
        spec="transformer",
        configs=TORCH,
        oracle=torch_transformer,
        inputs=torch_inputs,
        ask=ask_torch,
        counted=counted,
        defaults=defaults,
        settings=torch_settings,
        section="torch",
        reduced=lambda config: {**config, "vocab": 64, "width": 4 * config["heads"], "hidden": 40},
        short=lambda config, rng: padded(rng, config["vocab"], (2, 17), 13),
        save=save_state,
        reload=load_state,
        published=(paper("base", 512, 2048, 8, 63_082_496), paper("big", 1024, 4096, 16, 214_245_376)),
    ),
)
