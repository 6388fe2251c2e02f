"""Recurrent encoder-decoders against the equations of their papers, each sentence by itself and without padding.

Sutskever et al. (2014) with the LSTM of Graves (2013, without peepholes), Luong et al. (2015, sections 3.1 and 3.3),
Bahdanau et al. (2015, appendix A) with the gated unit of Cho et al. (2014, equations 5 to 8). Nothing here knows of
batches: a row is cut to its own length, read word by word, and answered word by word.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np

from tests.parity.families import transformer
from tests.parity.harness import Config, Family, Inputs, Published

Tensor = Any


def sized(vocab: int, source: int, depth: int, width: int, hidden: int, **more: Any) -> Config:
    """The spec's hyperparameters, and nothing else."""
    return {
        "vocab": vocab, "source_vocab": source, "depth": depth, "width": width, "hidden": hidden, "cell": "lstm_cell",
        "score": None, "feeding": False, "ahead": False, "both": False, "maxout": 0, **more,
    }  # fmt: skip


BAHDANAU: Config = {"cell": 'gru_cell(reset="before")', "both": True, "ahead": True}
CONFIGS: dict[str, Config] = {
    "no attention": sized(11, 13, 3, 5, 4),
    "no attention, square, where a transposition hides": sized(8, 8, 1, 8, 8),
    "dot, input feeding": sized(11, 7, 2, 5, 6, score="dot_score", feeding=True),
    "bilinear, input feeding": sized(9, 13, 2, 3, 6, score="bilinear_score", feeding=True),
    "additive, gated units in both directions, maxout": sized(
        11, 13, 1, 5, 6, score="additive_score(7)", maxout=3, **BAHDANAU
    ),
    "bilinear, attended before the step, two layers": sized(7, 5, 2, 4, 3, score="bilinear_score", **BAHDANAU),
}
PUBLISHED = (
    # "The resulting LSTM has 384M parameters of which 64M are pure recurrent connections" (section 3.4)
    Published("sutskever", sized(80000, 160000, 4, 1000, 1000), 384_112_000),
    Published("dot", sized(50000, 50000, 4, 1000, 1000, score="dot_score", feeding=True), 220_082_000),
    Published("bilinear", sized(50000, 50000, 4, 1000, 1000, score="bilinear_score", feeding=True), 221_082_000),
    Published(
        "additive",
        sized(30000, 30000, 1, 620, 1000, score="additive_score(1000)", maxout=500, **BAHDANAU),
        80_442_000,
    ),
)


def layout() -> str:
    return """
weights Seq2Seq from equations {
  maps lstm(at) {
    "W": [out, in] <-> at.from_x.weight
    "U": [out, in] <-> at.from_h.weight
    "b"            <-> at.bias
  }
  maps gru(at) {
    "W": [out, in]   <-> at.from_x.weight
    "b"              <-> at.from_x.bias
    "U": [out, in]   <-> at.from_h.weight
    "U_h": [out, in] <-> at.from_reset.weight
  }
  maps cell(at) {
    if cell == "lstm_cell" { "" <-> lstm(at) } else { "" <-> gru(at) }
  }
  "source_words": [source_vocab, width] <-> encoder.words.table
  "words": [vocab, width] <-> words.table
  if both {
    "right.{i}." <-> cell(encoder.layer[i].forward.cell)
    "left.{i}."  <-> cell(encoder.layer[i].backward.cell)
    "start.{i}."    <-> linear(encoder.layer[i].state[0].start)
  } else {
    "encoder.{i}."  <-> cell(encoder.layer[i].cell)
  }
  "decoder.{i}."    <-> cell(decoder.t.layer[i].cell)
  if score == "bilinear_score" { "W_a": [out, in] <-> decoder.t.look.bilinear_score.query.weight }
  if score != "bilinear_score" and score != "dot_score" and score != none {
    "W_a": [out, in] <-> decoder.t.look.additive_score.query.weight
    "U_a": [out, in] <-> decoder.t.look.additive_score.key.weight
    "v_a" <-> decoder.t.look.additive_score.v
  }
  if maxout > 0 {
    "mix." <-> linear(decoder.t.mix)
  } else {
    if score != none and not ahead { "W_c": [out, in] <-> decoder.t.mix.weight }
  }
  "head." <-> linear(head)
}
"""


@cache
def equations() -> Any:
    import torch
    from torch import nn

    def matrix(*shape: int) -> Any:
        return nn.Parameter(torch.zeros(shape))

    class LSTM(nn.Module):
        """i, f, o = σ(W x + U h + b), g = tanh(W x + U h + b); c' = f∘c + i∘g; h' = o∘tanh(c'). Rows: i, f, g, o."""

        def __init__(self, width: int, hidden: int) -> None:
            super().__init__()
            self.W, self.U, self.b = matrix(4 * hidden, width), matrix(4 * hidden, hidden), matrix(4 * hidden)

        def start(self, zero: Tensor) -> list[Tensor]:
            return [zero, zero]

        def forward(self, x: Tensor, state: list[Tensor]) -> list[Tensor]:
            h, c = state
            i, f, g, o = (self.W @ x + self.U @ h + self.b).chunk(4)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            return [torch.sigmoid(o) * torch.tanh(c), c]

    class GRU(nn.Module):
        """r, z = σ(W x + U h + b); h̃ = tanh(W x + U (r∘h) + b); h' = z∘h + (1 - z)∘h̃. Rows: r, z, h̃."""

        def __init__(self, width: int, hidden: int) -> None:
            super().__init__()
            self.W, self.b = matrix(3 * hidden, width), matrix(3 * hidden)
            self.U, self.U_h = matrix(2 * hidden, hidden), matrix(hidden, hidden)

        def start(self, zero: Tensor) -> list[Tensor]:
            return [zero]

        def forward(self, x: Tensor, state: list[Tensor]) -> list[Tensor]:
            (h,) = state
            (r, z, n), (u, v) = (self.W @ x + self.b).chunk(3), (self.U @ h).chunk(2)
            r, z = torch.sigmoid(r + u), torch.sigmoid(z + v)
            return [z * h + (1 - z) * torch.tanh(n + self.U_h @ (r * h))]

    class EncoderDecoder(nn.Module):
        def __init__(self, config: Config) -> None:
            super().__init__()
            config = self.config = {**config, "score": "" if config["score"] in (None, "none") else config["score"]}
            kind: Any = LSTM if config["cell"] == "lstm_cell" else GRU
            depth, width, hidden = config["depth"], config["width"], config["hidden"]
            self.source_words, self.words = matrix(config["source_vocab"], width), matrix(config["vocab"], width)
            self.zero = hidden
            wide = 2 * hidden if config["both"] else hidden
            inside = [width] + [wide] * (depth - 1)
            if config["both"]:
                self.right, self.left = (nn.ModuleList(kind(each, hidden) for each in inside) for _ in range(2))
                self.start = nn.ModuleList(nn.Linear(hidden, hidden) for _ in inside)
            else:
                self.encoder = nn.ModuleList(kind(each, hidden) for each in inside)
            first = width + (wide if config["ahead"] else hidden if config["feeding"] else 0)
            self.decoder = nn.ModuleList(kind(each, hidden) for each in [first] + [hidden] * (depth - 1))
            if config["score"] == "bilinear_score":
                self.W_a = matrix(wide, hidden)
            self.align = int((re.findall(r"additive_score\((\d+)\)", config["score"]) or [0])[0])
            if align := self.align:
                self.W_a, self.U_a, self.v_a = matrix(align, hidden), matrix(align, wide), matrix(align)
            if config["maxout"]:
                self.mix = nn.Linear(hidden + first, 2 * config["maxout"])
            elif config["score"] and not config["ahead"]:
                self.W_c = matrix(hidden, wide + hidden)
            self.head = nn.Linear(config["maxout"] or hidden, config["vocab"])

        def read(self, cell: Any, words: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
            """What a network says at each word, and the state that it ends with."""
            state, said = cell.start(words[0].new_zeros(self.zero)), []
            for word in words:
                state = cell(word, state)
                said.append(state[0])
            return said, state

        def encode(self, source: Tensor) -> tuple[Tensor, list[list[Tensor]]]:
            x, states = [self.source_words[word] for word in source.tolist()], []
            for layer in range(self.config["depth"]):
                if self.config["both"]:
                    ahead, _ = self.read(self.right[layer], x)
                    back, end = self.read(self.left[layer], x[::-1])
                    x = [torch.cat(pair) for pair in zip(ahead, back[::-1], strict=True)]
                    states.append([torch.tanh(self.start[layer](part)) for part in end])
                else:  # the source is reversed
                    back, end = self.read(self.encoder[layer], x[::-1])
                    x = back[::-1]
                    states.append(end)
            return torch.stack(x), states

        def attended(self, query: Tensor, memory: Tensor) -> Tensor:
            if self.align:
                score = torch.stack([self.v_a @ torch.tanh(self.W_a @ query + self.U_a @ key) for key in memory])
            else:
                score = memory @ (self.W_a @ query if self.config["score"] == "bilinear_score" else query)
            return torch.softmax(score, 0) @ memory

        def answer(self, source: Tensor, target: Tensor) -> Tensor:
            config, (memory, states), said = self.config, self.encode(source), []
            fed = memory.new_zeros(config["hidden"])
            for word in target.tolist():
                x, before = self.words[word], states[-1][0]
                if config["ahead"]:
                    x = torch.cat([x, self.attended(before, memory)])
                elif config["feeding"]:
                    x = torch.cat([x, fed])
                given, after = x, []
                for cell, state in zip(self.decoder, states, strict=True):
                    after.append(cell(x, state))
                    x = after[-1][0]
                states = after
                if config["maxout"]:  # t_k = max(t̃_{2k-1}, t̃_{2k})
                    x = self.mix(torch.cat([before, given])).view(-1, 2).amax(1)
                elif config["score"] and not config["ahead"]:
                    x = torch.tanh(self.W_c @ torch.cat([self.attended(x, memory), x]))
                fed = x
                said.append(self.head(x))
            return torch.stack(said)

    return EncoderDecoder


def oracle(config: Config) -> Any:
    return equations()(config)


def inputs(config: Config, rng: np.random.Generator) -> dict[str, Inputs]:
    tokens = min(config["vocab"], config["source_vocab"])
    return {
        "padded": transformer.padded(rng, tokens, (3, 6), 4),
        "one row": transformer.padded(rng, tokens, (1, 3), 5),
        "one word": transformer.padded(rng, tokens, (2, 1), 1),
    }


def ask(model: Any, batch: Any) -> dict[str, Tensor]:
    import torch

    rows = zip(batch["source"], batch["valid"], batch["target"], strict=True)
    logits = torch.stack([model.answer(source[valid], target) for source, valid, target in rows])
    return {"logits": logits, "loss": transformer.loss(logits, batch["targets"], 0.0)}


FAMILIES = (
    Family(
        name="recurrent encoder-decoders",
        spec="seq2seq",
        configs=CONFIGS,
        oracle=oracle,
        inputs=inputs,
        ask=ask,
        defaults=transformer.defaults,
        settings=lambda config: config,
        section="equations",
        layout=layout,
        save=transformer.save_state,
        reload=transformer.load_state,
        published=PUBLISHED,
        reduced=lambda config: {**config, "vocab": 30, "source_vocab": 30, "width": 6, "hidden": 8},
        short=lambda config, rng: transformer.padded(rng, min(config["vocab"], config["source_vocab"]), (2, 5), 4),
    ),
)
