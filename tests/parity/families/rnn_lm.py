"""Recurrent language models, against a module of an embedding, `torch.nn.RNN`, `LSTM` or `GRU`, and a linear map."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.parity.harness import Config, Family, Inputs, Patch, Published


def sized(kind: str, layers: int, width: int, vocab: int, **more: Any) -> Config:
    return {"rnn_type": kind, "nlayers": layers, "ninp": width, "nhid": width, "ntoken": vocab, **more}


CONFIGS: dict[str, Config] = {
    "elman": sized("RNN_TANH", 2, 5, 11),
    "rectified, tied": sized("RNN_RELU", 1, 4, 9, tie_weights=True),
    "lstm": sized("LSTM", 3, 7, 12, dropout=0.2),
    "lstm, tied and square": sized("LSTM", 2, 8, 8, tie_weights=True),
    "gru": sized("GRU", 2, 6, 13),
    "normalised": sized("LSTM_NORM", 2, 6, 10),
    "one of everything": sized("GRU", 1, 1, 2),
}
ZAREMBA = {"small": 200, "medium": 650, "large": 1500}


def oracle(config: Config) -> Any:
    import torch

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config = SimpleNamespace(to_dict=lambda: dict(config))
            kind, width = config["rnn_type"], config["ninp"]
            more = {"nonlinearity": kind.partition("_")[2].lower()} if kind.startswith("RNN") else {}
            self.encoder = torch.nn.Embedding(config["ntoken"], width)
            self.rnn = (
                normalised(width, config["nlayers"])
                if kind == "LSTM_NORM"
                else getattr(torch.nn, kind.partition("_")[0])(
                    width, config["nhid"], config["nlayers"], batch_first=True, **more
                )
            )
            self.decoder = torch.nn.Linear(width, config["ntoken"])
            if config.get("tie_weights"):
                self.decoder.weight = self.encoder.weight

    return Model()


def normalised(width: int, layers: int) -> Any:
    """An LSTM with layer normalisation (Ba, Kiros and Hinton, 2016, eq. 20 to 22) and a cell clipped at 10, with the
    names that `torch.nn.LSTM` gives its parameters; PyTorch has none."""
    import torch

    class Normalised(torch.nn.Module):
        mode, hidden_size = "LSTM_NORM", width

        def __init__(self) -> None:
            super().__init__()
            for i in range(layers):
                for which in ("ih", "hh"):
                    weight = torch.empty(4 * width, width).uniform_(-1, 1) / width**0.5
                    self.register_parameter(f"weight_{which}_l{i}", torch.nn.Parameter(weight))
                    self.register_parameter(f"bias_{which}_l{i}", torch.nn.Parameter(torch.zeros(4 * width)))
                    self.add_module(f"norm_{which}_l{i}", torch.nn.LayerNorm(4 * width))
                self.add_module(f"norm_c_l{i}", torch.nn.LayerNorm(width))

        def forward(self, x: Any) -> tuple[Any, Any]:
            for i in range(layers):
                h = c = x.new_zeros(x.shape[0], width)
                made = []
                for step in x.unbind(1):
                    z = self.get_parameter(f"bias_ih_l{i}") + self.get_parameter(f"bias_hh_l{i}")
                    for which, value in (("ih", step), ("hh", h)):
                        product = value @ self.get_parameter(f"weight_{which}_l{i}").t()
                        z = z + self.get_submodule(f"norm_{which}_l{i}")(product)
                    enter, forget, new, leave = z.chunk(4, -1)
                    c = (forget.sigmoid() * c + enter.sigmoid() * new.tanh()).clamp(-10, 10)
                    h = leave.sigmoid() * self.get_submodule(f"norm_c_l{i}")(c).tanh()
                    made.append(h)
                x = torch.stack(made, 1)
            return x, None

    return Normalised()


def save(model: Any, folder: Path) -> Path:
    """A folder of the layout that published ones have: the tensors, and the configuration that the test has chosen."""
    from attndsl.storage.safetensors import write_tensors

    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    write_tensors(folder / "model.safetensors", tensors, {})
    (folder / "config.json").write_text(json.dumps(model.config.to_dict()), encoding="utf-8")
    return folder


def tensors_in(folder: Path) -> dict[str, Any]:
    import torch

    from attndsl.storage.safetensors import TensorFile

    with TensorFile(folder / "model.safetensors") as file:
        return {name: torch.from_numpy(file.read(name)) for name in file.entries}


def reload(model: Any, folder: Path) -> tuple[Any, Mapping[str, Any]]:
    again, tensors = oracle(model.config.to_dict()), tensors_in(folder)
    if again.decoder.weight is again.encoder.weight:
        tensors.setdefault("decoder.weight", tensors["encoder.weight"])
    missing, unexpected = again.load_state_dict(tensors, strict=False)
    return again, {"missing_keys": set(missing), "unexpected_keys": set(unexpected)}


def second_biases(shapes: Mapping[str, Any]) -> list[str]:
    """The biases that are added to another one: `bias_hh` of each cell but a GRU's, which has three gates."""
    found = [name for name in shapes if "bias_hh" in name]
    return [n for n in found if (of := shapes[n.replace("bias_hh", "weight_hh")].shape)[0] != 3 * of[1]]


def summed(tensors: Mapping[str, Any]) -> dict[str, Any]:
    """The two biases of a cell added up, as a section reads them; a GRU's stay apart."""
    found = dict(tensors)
    for name in second_biases(tensors):
        first = name.replace("bias_hh", "bias_ih")
        found[first] = found[first] + found.pop(name)
    return found


def in_one(model: Any) -> None:
    """The sum of two biases in float32, as it is read off a file, in the first of them."""
    import torch

    found = dict(model.named_parameters())
    with torch.no_grad():
        for name in second_biases(found):
            first, second = found[name.replace("bias_hh", "bias_ih")], found[name]
            first.copy_((first.float() + second.float()).to(first.dtype))
            second.zero_()


BIASES = Patch("The two biases of a cell of `torch.nn` are added in float32 when a file is read", mend=in_one)


def count(model: Any) -> int:
    """Without the second bias of each cell but a GRU's, which is added to the first one."""
    found = dict(model.named_parameters())
    return sum(p.numel() for p in found.values()) - sum(found[name].numel() for name in second_biases(found))


def batch(config: Config, rng: np.random.Generator, rows: int, length: int) -> Inputs:
    vocab = config["ntoken"]
    targets = rng.integers(0, vocab, (rows, length))
    return {
        "tokens": rng.integers(0, vocab, (rows, length)),
        "targets": np.where(rng.random(targets.shape) < 0.2, -100, targets),
    }


def inputs(config: Config, rng: np.random.Generator) -> Mapping[str, Inputs]:
    return {
        "several rows": batch(config, rng, 3, 7),
        "one row": batch(config, rng, 1, 5),
        "one step": batch(config, rng, 2, 1),
    }


def ask(model: Any, batch: Mapping[str, Any]) -> Mapping[str, Any]:
    logits = model.decoder(model.rnn(model.encoder(batch["tokens"]))[0])
    return {"logits": logits, "loss": loss(logits, batch["targets"])}


def loss(logits: Any, targets: Any) -> Any:
    from torch.nn.functional import cross_entropy

    total = cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-100, reduction="sum")
    return total / (targets >= 0).sum().clamp(min=1)


FAMILIES = (
    Family(
        name="rnn_lm",
        spec="rnn_lm",
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
        published=tuple(
            Published(
                variant, sized("LSTM", 2, width, 10000), {200: 4_651_600, 650: 19_775_200, 1500: 66_022_000}[width]
            )
            for variant, width in ZAREMBA.items()
        ),
        smallest=sized("LSTM", 2, 200, 10000),
        short=lambda config, rng: batch(config, rng, 1, 12),
    ),
)
