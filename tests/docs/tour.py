"""docs/tour.md, taken apart: what it quotes, what it runs, the mistakes that it makes.

- ```` ```attn quote SPEC ````: lines of a shipped spec; a line that is only `…` stands for what is left out;
- ```` ```attn instead ````: what a mistake has in the place of the quotation above it, and in ```` ```text error ````
  below it, what `attndsl check my.attn` says then;
- ```` ```console ````: commands behind `$`, each followed by what it prints (nothing, of those that train).
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tour.md"
FILE = "my.attn"

_FENCE = re.compile(r"^```(?P<words>\w[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: the words behind its fence, its lines, and where these begin and end in the page."""

    words: tuple[str, ...]
    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Quotation:
    """Lines that a spec has, in one piece."""

    spec: str
    text: str

    def __str__(self) -> str:
        return f"{self.spec}: {self.text.strip().splitlines()[0][:40]}"


@dataclass(frozen=True)
class Mistake:
    """A spec with one piece replaced, and the block that holds the message."""

    spec: str
    right: str
    wrong: str
    message: Block

    def __str__(self) -> str:
        return self.spec


@dataclass(frozen=True)
class Command:
    """What stands behind `$`, as arguments of `attndsl`, and what it prints."""

    arguments: tuple[str, ...]
    printed: str

    @property
    def verb(self) -> str:
        return self.arguments[0]

    def __str__(self) -> str:
        return shlex.join(self.arguments)


def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def blocks() -> list[Block]:
    return [
        Block(tuple(found["words"].split()), found["text"], found.start("text"), found.end("text"))
        for found in _FENCE.finditer(page())
    ]


def quotations() -> Iterator[Quotation]:
    for block in blocks():
        if block.words[:2] == ("attn", "quote"):
            for piece in re.split(r"^ *…\n", block.text, flags=re.MULTILINE):
                yield Quotation(block.words[2], piece)


def mistakes() -> Iterator[Mistake]:
    every = blocks()
    for (quoted, instead), (_, message) in pairwise(pairwise(every)):
        if instead.words == ("attn", "instead"):
            assert quoted.words[:2] == ("attn", "quote"), "a mistake stands behind what it replaces"
            assert message.words == ("text", "error"), "a mistake has a message"
            yield Mistake(quoted.words[2], quoted.text, instead.text, message)


def commands() -> Iterator[Command]:
    for block in blocks():
        if block.words == ("console",):
            for piece in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
                line, _, printed = piece.partition("\n")
                name, *arguments = shlex.split(line)
                assert name == "attndsl", line
                yield Command(tuple(arguments), printed)


def sections() -> dict[str, str]:
    """The text of every section by its heading."""
    parts = re.split(r"^## (.+)$", page(), flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))
