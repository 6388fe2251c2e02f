"""Recurrent taggers in both directions, against `torch.nn.RNN`, `LSTM` and `GRU` over packed sequences."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.parity.families.rnn_lm import BIASES, count, loss, save, summed, tensors_in
from tests.parity.harness import Config, Family, Inputs, Published


def sized(kind: str, layers: int, width: int, hidden: int, vocab: int, labels: int) -> Config:
    return {"rnn_type": kind, "nlayers": layers, "ninp": width, "nhid": hidden, "ntoken": vocab, "nlabels": labels}


CONFIGS: dict[str, Config] = {
    "elman, deep": sized("RNN_TANH", 3, 4, 5, 9, 3),
    "lstm": sized("LSTM", 1, 5, 4, 11, 7),
    "lstm, deep and square": sized("LSTM", 2, 6, 3, 6, 6),
    "gru, deep": sized("GRU", 2, 3, 5, 8, 2),
}
PUBLISHED = sized("LSTM", 1, 100, 100, 10000, 10)


def oracle(config: Config) -> Any:
    import torch

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = SimpleNamespace(to_dict=lambda: dict(config))
            kind, hidden = config["rnn_type"].partition("_")[0], config["nhid"]
            self.encoder = torch.nn.Embedding(config["ntoken"], config["ninp"])
            self.rnn = getattr(torch.nn, kind)(
                config["ninp"], hidden, config["nlayers"], batch_first=True, bidirectional=True
            )
            self.decoder = torch.nn.Linear(2 * hidden, config["nlabels"])

    return Model()


def reload(model: Any, folder: Any) -> tuple[Any, Mapping[str, Any]]:
    again = oracle(model.config.to_dict())
    missing, unexpected = again.load_state_dict(tensors_in(folder), strict=False)
    return again, {"missing_keys": set(missing), "unexpected_keys": set(unexpected)}


def batch(config: Config, rng: np.random.Generator, lengths: list[int]) -> Inputs:
    shape = (len(lengths), max(lengths))
    valid = np.arange(shape[1]) < np.array(lengths)[:, None]
    targets = np.where(valid, rng.integers(0, config["nlabels"], shape), -100)
    return {"tokens": rng.integers(0, config["ntoken"], shape), "valid": valid, "targets": targets}


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    return {
        "padded": batch(config, rng, [4, 6, 1]),
        "one row": batch(config, rng, [5]),
        "one step": batch(config, rng, [1, 1]),
    }


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

    embedded = model.encoder(batch["tokens"])
    packed = pack_padded_sequence(embedded, batch["valid"].sum(1), batch_first=True, enforce_sorted=False)
    states, _ = pad_packed_sequence(model.rnn(packed)[0], batch_first=True, total_length=embedded.shape[1])
    logits = model.decoder(states)
    return {"logits": logits, "loss": loss(logits, batch["targets"])}


FAMILIES = (
    Family(
        name="rnn_tagger",
        spec="rnn_tagger",
        section="torch",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        save=save,
        reload=reload,
        count=count,
        canonical=summed,
        patches=(BIASES,),
        published=(
            Published(None, PUBLISHED, 1_162_810),
            Published("gru", {**PUBLISHED, "rnn_type": "GRU"}, 1_123_210),
        ),
        smallest=PUBLISHED,
        short=lambda config, rng: batch(config, rng, [7, 4]),
    ),
)
