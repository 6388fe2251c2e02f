"""Transformer-XL, against its equations written out in torch: for each query and each key, R at their distance (Dai et
al., 2019, section 3.3), and an adaptive softmax over tied vectors (Grave et al., 2017). The names of the tensors are
those of the published models; `transformers` has the class no longer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs, Published


def sized(
    vocab: int, cutoffs: list[int], layers: int, width: int, heads: tuple[int, int], hidden: int, **more: Any
) -> Config:
    return {
        "model_type": "transfo-xl", "vocab_size": vocab, "cutoffs": cutoffs, "div_val": 1, "n_layer": layers,
        "d_model": width, "n_head": heads[0], "d_head": heads[1], "d_inner": hidden, "mem_len": 5, "same_length": False,
        "untie_r": False, "dropout": 0.1, "dropatt": 0.0, **more,
    }  # fmt: skip


CONFIGS: dict[str, Config] = {
    "of characters": sized(13, [], 2, 6, (3, 4), 10),
    "four clusters, one table": sized(29, [5, 9, 20], 3, 8, (2, 3), 7, untie_r=True),
    "vectors of fewer numbers": sized(23, [4, 11], 2, 12, (2, 6), 9, div_val=2, clamp_len=3),
    "one layer of one head, a window": sized(7, [], 1, 4, (1, 4), 4, mem_len=3, same_length=True),
}


def oracle(config: Config) -> Any:
    """The model as its equations say it. `forward` takes what each layer remembers, [layer, batch, places, width], and
    how much of that there is; it gives log-probabilities (scores, if there are no clusters) and the next memories."""
    import torch
    from torch import nn

    width, heads, head = config["d_model"], config["n_head"], config["d_head"]
    ends = [*config["cutoffs"], config["vocab_size"]]
    ranks = [width // config["div_val"] ** i for i in range(len(ends))]
    counts = [b - a for a, b in zip([0, *ends], ends, strict=False)]
    split = config["div_val"] > 1

    def free(*shape: int) -> nn.Parameter:
        return nn.Parameter(torch.randn(*shape) * 0.02)

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            sizes = zip(counts, ranks, strict=True) if split else [(ends[-1], width)]
            self.emb_layers = nn.ModuleList(nn.Embedding(n, rank) for n, rank in sizes)
            for layer in self.emb_layers:
                nn.init.normal_(layer.weight, std=0.02)
            self.emb_projs = nn.ParameterList([free(width, rank) for rank in ranks] if split else [])

        def rows(self, cluster: int) -> Any:
            """The vectors of a cluster's words."""
            if split:
                return self.emb_layers[cluster].weight
            return self.emb_layers[0].weight[ends[cluster] - counts[cluster] : ends[cluster]]

        def forward(self, tokens: Any) -> Any:
            every = [self.rows(i) @ self.emb_projs[i].T if split else self.rows(i) for i in range(len(ends))]
            return torch.cat(every)[tokens] * width**0.5

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv_net = nn.Linear(width, 3 * heads * head, bias=False)
            self.r_net = nn.Linear(width, heads * head, bias=False)
            self.o_net = nn.Linear(heads * head, width, bias=False)
            self.layer_norm = nn.LayerNorm(width)
            if config["untie_r"]:
                self.r_w_bias, self.r_r_bias = free(heads, head), free(heads, head)

        def forward(self, x: Any, memory: Any, there: int, shared: Any) -> Any:
            both = torch.cat([memory, x], 1)
            q, k, v = (y.unflatten(-1, (heads, head)) for y in self.qkv_net(both).chunk(3, -1))
            u, w = (self.r_w_bias, self.r_r_bias) if config["untie_r"] else shared
            before, length = memory.shape[1], x.shape[1]
            outputs = []
            for i in range(length):
                scores, seen = [], []
                for j in range(before - there, before + i + 1):
                    distance = before + i - j
                    if config["same_length"] and distance >= config["mem_len"]:
                        continue
                    r = self.r_net(place(min(distance, config.get("clamp_len") or distance), x.dtype)).view(heads, head)
                    score = (q[:, before + i] + u) * k[:, j] + (q[:, before + i] + w) * r
                    scores.append(score.sum(-1) / head**0.5)
                    seen.append(v[:, j])
                weights = torch.stack(scores, -1).softmax(-1)
                outputs.append((weights[..., None] * torch.stack(seen, 2)).sum(2).flatten(1))
            return self.layer_norm(x + self.o_net(torch.stack(outputs, 1)))

    def place(distance: int, dtype: Any) -> Any:
        angle = distance / 10000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
        return torch.cat([angle.sin(), angle.cos()]).to(dtype)

    class Feedforward(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            first, second = nn.Linear(width, config["d_inner"]), nn.Linear(config["d_inner"], width)
            self.CoreNet = nn.Sequential(first, nn.ReLU(), nn.Dropout(0.1), second)
            self.layer_norm = nn.LayerNorm(width)

        def forward(self, x: Any) -> Any:
            return self.layer_norm(x + self.CoreNet(x))

    class Layer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dec_attn, self.pos_ff = Attention(), Feedforward()

    class Body(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.word_emb = Words()
            if not config["untie_r"]:
                self.r_w_bias, self.r_r_bias = free(heads, head), free(heads, head)
            self.layers = nn.ModuleList(Layer() for _ in range(config["n_layer"]))

    class Biases(nn.Module):
        def __init__(self, n: int) -> None:
            super().__init__()
            self.bias = free(n)

    class Softmax(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out_layers = nn.ModuleList(map(Biases, counts if split else [ends[-1]]))
            self.out_projs = nn.ParameterList([free(width, width)] if split else [])
            if config["cutoffs"]:
                self.cluster_weight = free(len(config["cutoffs"]), width)
                self.cluster_bias = free(len(config["cutoffs"]))

        def forward(self, x: Any, words: Words) -> Any:
            """Log-probabilities: a rarer word's is its cluster's plus its own within that."""
            if len(ends) == 1:
                return x @ words.rows(0).T + self.out_layers[0].bias
            said = []
            for i, (end, n) in enumerate(zip(ends, counts, strict=True)):
                y = x @ (self.out_projs[0] if i == 0 else words.emb_projs[i]) if split else x
                bias = self.out_layers[i].bias if split else self.out_layers[0].bias[end - n : end]
                scores = y @ words.rows(i).T + bias
                if i == 0:
                    scores = torch.cat([scores, y @ self.cluster_weight.T + self.cluster_bias], -1)
                said.append(scores.log_softmax(-1))
            first = said[0][..., : counts[0]]
            rest = [said[0][..., counts[0] + i : counts[0] + i + 1] + each for i, each in enumerate(said[1:])]
            return torch.cat([first, *rest], -1)

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.transformer, self.crit = Body(), Softmax()

        def forward(self, tokens: Any, memories: Any = None, there: int = 0) -> tuple[Any, Any]:
            x, kept, body = self.transformer.word_emb(tokens), [], self.transformer
            shared = None if config["untie_r"] else (body.r_w_bias, body.r_r_bias)
            for i, layer in enumerate(body.layers):
                memory = x.new_zeros(len(x), config["mem_len"], width) if memories is None else memories[i].detach()
                kept.append(torch.cat([memory, x], 1)[:, x.shape[1] :])
                x = layer.pos_ff(layer.dec_attn(x, memory, there, shared))
            return self.crit(x, self.transformer.word_emb), torch.stack(kept)

    model = Whole()
    model.config = SimpleNamespace(to_dict=lambda: dict(config))
    return model


def batch(rng: np.random.Generator, config: Config, rows: int, length: int) -> Inputs:
    targets = rng.integers(0, config["vocab_size"], (rows, length))
    targets.flat[1::4] = -100
    return {"tokens": rng.integers(0, config["vocab_size"], (rows, length)), "targets": targets}


def remembered(rng: np.random.Generator, config: Config, rows: int, there: int) -> Inputs:
    """What the layers remember, as the model takes it; nothing but the last `there` places may matter."""
    shape = rows, config["mem_len"], config["n_layer"], config["d_model"]
    return {"layer.*.past": rng.normal(size=shape).astype(np.float32), "filled": np.full(rows, there)}


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    memory = config["mem_len"]
    return {
        "a first segment": batch(rng, config, 3, 6),
        "one token": batch(rng, config, 2, 1),
        "half of a memory": batch(rng, config, 2, 4) | remembered(rng, config, 2, memory // 2),
        "all of it": batch(rng, config, 2, 7) | remembered(rng, config, 2, memory),
    }


def ask(model: Any, given: Mapping[str, Any]) -> Mapping[str, Any]:
    from torch.nn.functional import cross_entropy

    memories = given["layer.*.past"].permute(2, 0, 1, 3) if "filled" in given else None
    logits, _ = model(given["tokens"], memories, int(given["filled"][0]) if "filled" in given else 0)
    # In float64: torch's own float32 sum over 267,735 words is 1e-4 off.
    return {"logits": logits, "loss": cross_entropy(logits.double().transpose(1, 2), given["targets"])}


def save(model: Any, folder: Path) -> Path:
    from safetensors.torch import save_file

    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(model.config.to_dict()), encoding="utf-8")
    save_file(model.state_dict(), folder / "model.safetensors")
    return folder


def reload(model: Any, folder: Path) -> tuple[Any, Mapping[str, Any]]:
    import copy

    from safetensors.torch import load_file

    back = copy.deepcopy(model)
    missing, unexpected = back.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    return back, {"missing": missing, "unexpected": unexpected}


BASE = sized(267735, [20000, 40000, 200000], 16, 410, (10, 41), 2100, mem_len=150)
LARGE = sized(
    267735, [20000, 40000, 200000], 18, 1024, (16, 64), 4096, div_val=4, mem_len=384, dropout=0.2, dropatt=0.2
)
ENWIK8 = sized(204, [], 12, 512, (8, 64), 2048, mem_len=512)
ENWIK8_LARGE = sized(204, [], 24, 1024, (8, 128), 3072, mem_len=768)
NANO = sized(1024, [], 3, 128, (4, 32), 512, mem_len=128)

FAMILIES = (
    Family(
        name="transformer_xl",
        spec="transformer_xl",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        save=save,
        reload=reload,
        published=(
            Published("base", BASE, 151_107_538),
            Published("large", LARGE, 285_170_506),
            Published("enwik8", ENWIK8, 41_055_436),
            Published("enwik8_large", ENWIK8_LARGE, 277_231_820),
            Published("nano", NANO, 774_784),
        ),
        reduced=lambda config: {
            **config, "vocab_size": 64, "cutoffs": config["cutoffs"] and [8, 20, 40], "d_model": 64, "d_inner": 40,
            "d_head": 4, "mem_len": 5,
        },
        short=lambda config, rng: batch(rng, config, 2, 9),
    ),
)  # fmt: skip
