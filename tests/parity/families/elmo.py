"""ELMo, against convolutions, highway layers and `torch.nn.LSTM` with a projection; where cells are clipped, which that
module cannot do, against its equations, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.parity.families.rnn_lm import BIASES, count, loss, save, summed, tensors_in
from tests.parity.harness import Config, Family, Inputs, Published

FILTERS = [[1, 32], [2, 32], [3, 64], [4, 128], [5, 256], [6, 512], [7, 1024]]


def sized(
    filters: list[list[int]], highways: int, depth: int, hidden: int, width: int, clip: float = 0.0, **more: Any
) -> Config:
    """In the layout of the published `options.json`; `clip` is 0 where nothing is clipped."""
    small = filters is not FILTERS
    spelling = {"n_characters": 13, "max_characters_per_token": 9} if small else {"n_characters": 262}
    return {
        "lstm": {"n_layers": depth, "dim": hidden, "projection_dim": width, "cell_clip": clip, "proj_clip": clip},
        "char_cnn": {
            "max_characters_per_token": 50,
            "embedding": {"dim": 5 if small else 16},
            "filters": filters,
            "n_highway": highways,
            **spelling,
        },
        **more,
    }


CONFIGS: dict[str, Config] = {
    "as published, small": sized([[1, 2], [2, 3], [3, 5]], 2, 2, 7, 4, 0.1, n_tokens=11),
    "not clipped": sized([[1, 3], [4, 2]], 1, 3, 6, 5, n_tokens=7, scalar_mix=True),
    "a task": sized([[1, 2], [3, 3]], 1, 2, 6, 3, scalar_mix=True, n_classes=3, n_hidden=5),
    "no highway": sized([[2, 4]], 0, 1, 3, 2, 0.05, n_tokens=5),
    "one of everything": sized([[1, 1]], 1, 1, 2, 1, n_tokens=2),
}
PUBLISHED = {
    "small": (sized(FILTERS, 1, 2, 1024, 128, 3.0), 13_593_312),
    "medium": (sized(FILTERS, 1, 2, 2048, 256, 3.0), 28_027_744),
    "original": (sized(FILTERS, 2, 2, 4096, 512, 3.0), 93_600_864),
}


def oracle(config: Config) -> Any:
    import torch
    from torch import nn

    spelling, recurrent = config["char_cnn"], config["lstm"]
    filters, width, hidden = spelling["filters"], recurrent["projection_dim"], recurrent["dim"]
    found = sum(number for _, number in filters)

    class Highway(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.carry, self.transform = nn.Linear(found, found), nn.Linear(found, found)

        def forward(self, x: Any) -> Any:
            share = self.carry(x).sigmoid()
            return share * x + (1 - share) * self.transform(x).relu()

    class Mix(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(recurrent["n_layers"] + 1))
            self.gamma = nn.Parameter(torch.ones(()))

        def forward(self, layers: Any) -> Any:
            return self.gamma * torch.einsum("l,btld->btd", self.weight.softmax(0), layers)

    def stack() -> Any:
        layers = range(recurrent["n_layers"])
        return nn.ModuleList(nn.LSTM(width, hidden, proj_size=width, batch_first=True) for _ in layers)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = SimpleNamespace(to_dict=lambda: dict(config))
            dim = spelling["embedding"]["dim"]
            self.embedding = nn.Embedding(spelling["n_characters"], dim)
            self.convolutions = nn.ModuleList(nn.Conv1d(dim, number, size) for size, number in filters)
            self.highways = nn.ModuleList(Highway() for _ in range(spelling["n_highway"]))
            self.projection = nn.Linear(found, width)
            self.forward_layers, self.backward_layers = stack(), stack()
            self.mix = Mix() if config.get("scalar_mix") else lambda layers: layers.mean(2)
            if config.get("n_tokens"):
                self.softmax = nn.Linear(width, config["n_tokens"])
            if config.get("n_classes"):
                hidden = nn.Linear(2 * width, config["n_hidden"])
                out = nn.Linear(config["n_hidden"], config["n_classes"])
                self.classifier = nn.ModuleDict({"norm": nn.LayerNorm(2 * width), "hidden": hidden, "out": out})

    return Model()


def words(model: Any, characters: Any) -> Any:
    """[B, T, width], of characters [B, T, C]."""
    import torch

    spelled = model.embedding(characters).flatten(0, 1).transpose(1, 2)
    x = torch.cat([each(spelled).amax(2).relu() for each in model.convolutions], 1)
    for layer in model.highways:
        x = layer(x)
    return model.projection(x).unflatten(0, characters.shape[:2])


def stepped(lstm: Any, x: Any, clip: float) -> Any:
    """What `lstm` computes over a row [T, width], its cell and its projection kept between -clip and clip."""
    import torch

    out, cell = x.new_zeros(lstm.proj_size), x.new_zeros(lstm.hidden_size)
    made = []
    for step in x:
        z = lstm.weight_ih_l0 @ step + lstm.bias_ih_l0 + lstm.weight_hh_l0 @ out + lstm.bias_hh_l0
        enter, forget, new, leave = z.chunk(4)
        cell = (forget.sigmoid() * cell + enter.sigmoid() * new.tanh()).clamp(-clip, clip)
        out = (lstm.weight_hr_l0 @ (leave.sigmoid() * cell.tanh())).clamp(-clip, clip)
        made.append(out)
    return torch.stack(made)


def over(lstm: Any, x: Any, clip: float) -> Any:
    return stepped(lstm, x, clip) if clip else lstm(x[None])[0][0]


def both_ways(model: Any, word: Any) -> tuple[Any, Any, Any]:
    """Of a row of words, [T, width], without padding: its layers, and what each direction ends with."""
    import torch

    clip = model.config.to_dict()["lstm"]["cell_clip"]
    ahead = back = word
    layers = [torch.cat([word, word], 1)]
    for number, (one, other) in enumerate(zip(model.forward_layers, model.backward_layers, strict=True)):
        new, old = over(one, ahead, clip), over(other, back.flip(0), clip).flip(0)
        ahead, back = (new + ahead, old + back) if number else (new, old)
        layers.append(torch.cat([ahead, back], 1))
    return torch.stack(layers, 1), ahead, back


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    """Each row by itself, and zeros where it is padded."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    length = batch["characters"].shape[1]
    lengths = batch["valid"].sum(1)
    rows = [both_ways(model, row[:n]) for row, n in zip(words(model, batch["characters"]), lengths, strict=True)]
    layers, ahead, back = (pad_sequence(list(part), batch_first=True) for part in zip(*rows, strict=True))
    assert layers.shape[1] == length
    found = {"layers": layers, "mix": model.mix(layers)}
    if "next_word" in batch:
        found |= {"next": model.softmax(ahead), "previous": model.softmax(back)}
        found["loss"] = (loss(found["next"], batch["next_word"]) + loss(found["previous"], batch["previous_word"])) / 2
    if "label" in batch:
        hidden = model.classifier["hidden"](model.classifier["norm"](found["mix"])).relu()
        largest = [row[:n].amax(0) for row, n in zip(hidden, lengths, strict=True)]
        found["logits"] = model.classifier["out"](torch.stack(largest))
        found["loss"] = torch.nn.functional.cross_entropy(found["logits"], batch["label"])
    return found


def reload(model: Any, folder: Any) -> tuple[Any, Mapping[str, Any]]:
    again = oracle(model.config.to_dict())
    missing, unexpected = again.load_state_dict(tensors_in(folder), strict=False)
    return again, {"missing_keys": set(missing), "unexpected_keys": set(unexpected)}


def batch(config: Config, rng: np.random.Generator, lengths: list[int], characters: int) -> Inputs:
    rows, longest = len(lengths), max(lengths)
    found: Inputs = {
        "characters": rng.integers(0, config["char_cnn"]["n_characters"], (rows, longest, characters)),
        "valid": np.arange(longest) < np.array(lengths)[:, None],
    }
    for name in ("next_word", "previous_word") if config.get("n_tokens") else ():
        drawn = rng.integers(0, config["n_tokens"], (rows, longest))
        found[name] = np.where(found["valid"] & (rng.random(drawn.shape) < 0.8), drawn, -100)
        found[name][:, 0] = drawn[:, 0]
    if config.get("n_classes"):
        found["label"] = rng.integers(0, config["n_classes"], rows)
    return found


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    widest = max(size for size, _ in config["char_cnn"]["filters"])
    return {
        "padded": batch(config, rng, [3, 5, 1], 6),
        "long words": batch(config, rng, [4], config["char_cnn"]["max_characters_per_token"]),
        "one short word": batch(config, rng, [1], widest),
    }


def counted(batch: Inputs) -> Mapping[str, np.ndarray[Any, Any]]:
    """The layer of words knows nothing of padding."""
    return dict.fromkeys(("layers", "mix", "next", "previous"), batch["valid"])


FAMILIES = (
    Family(
        name="elmo",
        spec="elmo",
        section="torch",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        counted=counted,
        defaults=lambda config, batch: {"valid": np.ones_like(batch["valid"])},
        save=save,
        reload=reload,
        count=count,
        canonical=summed,
        patches=(BIASES,),
        published=(
            *(Published(variant, config, number) for variant, (config, number) in PUBLISHED.items()),
            Published(None, *PUBLISHED["original"]),
        ),
        smallest=PUBLISHED["small"][0],
        short=lambda config, rng: batch(config, rng, [6, 4], 12),
    ),
)
