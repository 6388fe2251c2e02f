"""Questions about docstrings: where in the text does it say what an argument is?

An argument's description is the one sentence (or item of a list) of a docstring in which the argument is named; where
several name it there is no question about it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from attndsl.data.columns import Table
from attndsl.data.counter import integers
from attndsl.data.examples.library import group_of, parsed, sources

LONGEST = 240  # characters of a text: sentences around the answer up to there
FORMS = ("what is {}?", "what does {} mean?", "what is the argument {} for?", "describe {}")
_PURPOSE = 0x71756573
_ITEM = re.compile(r"\s*[-*]?\s*[`'*\"]*\w+[`'*\"]*(?:\s+--\s+|\s*:\s+|\s+-\s+)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`'\"*(])")
_Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@lru_cache(maxsize=1)
def questions_table(count: int) -> Table:
    """`count` rows, drawn by a counter: columns `question`, `context` (the answer among some of the sentences around
    it), `answer` (a sentence of a docstring), `start` (the character of the context at which it begins) and `group`,
    the docstring: what is held out is asked of texts that were never seen. All questions are asked before one is asked
    again, in other words and of other sentences."""
    known = _described_arguments()
    before, behind, forms = (
        integers(_PURPOSE, what, below=below, count=count).tolist() for what, below in enumerate((4, 4, len(FORMS)))
    )
    rows: dict[str, list[Any]] = {name: [] for name in ("question", "context", "answer", "start", "group")}
    for row in range(count):
        argument, sentences, place = known[row % len(known)]
        first, last = _around(sentences, place, before[row], behind[row])
        kept = sentences[first:last]
        rows["question"].append(FORMS[forms[row]].format(argument))
        rows["context"].append(" ".join(kept))
        rows["answer"].append(sentences[place])
        rows["start"].append(sum(len(sentence) + 1 for sentence in kept[: place - first]))
        rows["group"].append(" ".join(sentences))
    return Table(rows, "`example:questions`")


@lru_cache(maxsize=1)
def _described_arguments() -> list[tuple[str, list[str], int]]:
    """Each argument once for each docstring that describes it, where there is something beside the answer."""
    found: dict[tuple[str, str], tuple[str, list[str], int]] = {}
    for path, name in sources():
        for argument, sentences, place in _described(path) if group_of(name) is not None else ():
            first, last = _around(sentences, place, 1, 1)
            if last - first > 1:
                found.setdefault((argument, " ".join(sentences)), (argument, sentences, place))
    return list(found.values())


def _described(path: Path) -> Iterator[tuple[str, list[str], int]]:
    """The arguments that a file describes: each with the sentences of the docstring, and which of them says it."""
    tree = parsed(path)
    if tree is None:
        return
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and (text := ast.get_docstring(node)):
            sentences = sentences_of(text)
            for argument in _arguments(node) if len(sentences) > 1 else ():
                named = re.compile(rf"\b{re.escape(argument)}\b")
                places = [place for place, sentence in enumerate(sentences) if named.search(sentence)]
                if len(places) == 1 and len(sentences[places[0]]) > len(argument) + 10:
                    yield argument, sentences, places[0]


def _arguments(node: _Documented) -> list[str]:
    """The names of a function's arguments (of a class, those of `__init__`), of more than one letter."""
    functions = [node] if not isinstance(node, ast.ClassDef) else node.body
    for each in functions:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef) and (each is node or each.name == "__init__"):
            it = each.args
            plain = [*it.posonlyargs, *it.args, *it.kwonlyargs, *filter(None, (it.vararg, it.kwarg))]
            return [each.arg for each in plain if each.arg not in ("self", "cls") and len(each.arg) > 1]
    return []


def sentences_of(text: str) -> list[str]:
    """The sentences of a docstring, and the items of lists in it, each on one line; examples (`>>>`) are left out."""
    found: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if ">>>" in paragraph:
            continue
        pieces: list[list[str]] = [[]]
        for line in paragraph.split("\n"):
            if pieces[-1] and _ITEM.match(line):
                pieces.append([])
            pieces[-1].append(line)
        for piece in pieces:
            found += [sentence for sentence in _SENTENCE.split(" ".join(" ".join(piece).split())) if sentence]
    return found


def _around(sentences: Sequence[str], place: int, before: int, behind: int) -> tuple[int, int]:
    """The first and the last (excluded) of at most so many sentences before and behind one that fit together, in turn;
    of one beside it, if there is room, where none of these is."""
    first, last, length = place, place + 1, len(sentences[place])
    wanted = [min(before, place), min(behind, len(sentences) - place - 1)]
    while any(wanted):
        for side in (0, 1):
            other = first - 1 if side == 0 else last
            if wanted[side] and length + 1 + len(sentences[other]) <= LONGEST:
                length += 1 + len(sentences[other])
                first, last = (other, last) if side == 0 else (first, last + 1)
                wanted[side] -= 1
            else:
                wanted[side] = 0
    if last - first == 1 and (before, behind) != (1, 1):
        return _around(sentences, place, 1, 1)
    return first, last
