"""Questions about docstrings: where in the text does it say what an argument is?

An argument's description is the one sentence (or item of a list) of a docstring in which the argument is named; where
several name it there is no question about it. Most texts have two or three sentences.
"""

from __future__ import annotations

import ast
import re
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from attndsl.data.columns import Table
from attndsl.data.counter import integers
from attndsl.data.examples.library import group_of, parsed, sources
from attndsl.records import dataclass

LONGEST = 240  # characters of a text: sentences around the answer up to there
FORMS = ("what is {}?", "what does {} mean?", "what is the argument {} for?", "describe {}")
PARTS = 50  # of the docstrings: whole ones are held out
_DRAWS = 6  # numbers that a row is drawn by: its words, a name, a place, and up to three others
_PURPOSE = 0x71756573
_ITEM = re.compile(r"\s*[-*]?\s*[`'*\"]*\w+[`'*\"]*(?:\s+--\s+|\s*:\s+|\s+-\s+)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`'\"*(])")
_Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@lru_cache(maxsize=1)
def questions_table(count: int) -> Table:
    """`count` rows, drawn by a counter: columns `question`, `context` (the answer among other sentences), `answer` (a
    sentence of a docstring), `start` (the character of the context at which it begins) and `group`, a part of the
    docstrings: what is held out is asked of texts that were never seen.

    First each question is asked once of the sentences around its answer. Then it is asked again and again, of a list of
    descriptions from several docstrings, and by the name of another argument: who answers must look for the name, and
    cannot know by heart which sentence it was."""
    known = _described_arguments()
    names = sorted({one.argument for one in known})
    parts: dict[int, list[_Described]] = {}
    for one in known:
        parts.setdefault(one.part, []).append(one)
    draws = integers(_PURPOSE, below=1 << 32, count=_DRAWS * count).reshape(count, _DRAWS).tolist()
    rows: dict[str, list[Any]] = {name: [] for name in ("question", "context", "answer", "start", "group")}
    for row, (form, name, place, *others) in enumerate(draws):
        one = known[row % len(known)]
        if row < len(known):
            argument, answer = one.argument, one.answer
            before, behind = one.around(others[0] % 4, others[1] % 4)
        else:
            argument = names[name % len(names)]
            answer = _renamed(one.answer, one.argument, argument)
            beside = _beside(argument, answer, [parts[one.part][other % len(parts[one.part])] for other in others])
            place %= len(beside) + 1
            before, behind = beside[:place], beside[place:]
        rows["question"].append(FORMS[form % len(FORMS)].format(argument))
        rows["context"].append(" ".join((*before, answer, *behind)))
        rows["answer"].append(answer)
        rows["start"].append(sum(len(sentence) + 1 for sentence in before))
        rows["group"].append(str(one.part))
    return Table(rows, "`example:questions`")


@dataclass(frozen=True, slots=True)
class _Described:
    """An argument, the sentences of a docstring, and which of them describes it."""

    argument: str
    sentences: tuple[str, ...]
    place: int

    @property
    def answer(self) -> str:
        return self.sentences[self.place]

    @property
    def part(self) -> int:
        """Which of the parts of all docstrings this one is in."""
        return zlib.crc32(" ".join(self.sentences).encode()) % PARTS

    def around(self, before: int, behind: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """At most so many sentences before and behind the answer that fit together, in turn; one beside it, if there is
        room, where none of these is."""
        first, last, length = self.place, self.place + 1, len(self.answer)
        wanted = [min(before, first), min(behind, len(self.sentences) - last)]
        while any(wanted):
            for side in (0, 1):
                other = first - 1 if side == 0 else last
                if wanted[side] and length + 1 + len(self.sentences[other]) <= LONGEST:
                    length += 1 + len(self.sentences[other])
                    first, last = (other, last) if side == 0 else (first, last + 1)
                    wanted[side] -= 1
                else:
                    wanted[side] = 0
        if last - first == 1 and (before, behind) != (1, 1):
            return self.around(1, 1)
        return self.sentences[first : self.place], self.sentences[self.place + 1 : last]


def _beside(argument: str, answer: str, others: Sequence[_Described]) -> list[str]:
    """Descriptions of `others` that fit beside an answer and do not name its argument; the shortest if none fits."""
    free = [one.answer for one in others if not _names(one.answer, argument) and one.answer != answer]
    found: list[str] = []
    for sentence in dict.fromkeys(free):
        if len(" ".join((answer, *found, sentence))) <= LONGEST:
            found.append(sentence)
    return found or sorted(free, key=len)[:1]


@lru_cache(maxsize=1)
def _described_arguments() -> list[_Described]:
    """Each argument once for each docstring that describes it, where there is something beside the answer."""
    found: dict[tuple[str, tuple[str, ...]], _Described] = {}
    for path, name in sources():
        for one in _described(path) if group_of(name) is not None else ():
            if any(one.around(1, 1)):
                found.setdefault((one.argument, one.sentences), one)
    return list(found.values())


def _described(path: Path) -> Iterator[_Described]:
    """The arguments that a file describes."""
    tree = parsed(path)
    if tree is None:
        return
    for node in ast.walk(tree):
        if isinstance(node, _Documented) and (text := ast.get_docstring(node)):
            sentences = tuple(sentences_of(text))
            for argument in _arguments(node) if len(sentences) > 1 else ():
                places = [place for place, sentence in enumerate(sentences) if _names(sentence, argument)]
                if len(places) == 1 and len(sentences[places[0]]) > len(argument) + 10:
                    yield _Described(argument, sentences, places[0])


def _names(text: str, argument: str) -> bool:
    return re.search(rf"\b{re.escape(argument)}\b", text) is not None


def _renamed(text: str, argument: str, other: str) -> str:
    return re.sub(rf"\b{re.escape(argument)}\b", other, text)


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
