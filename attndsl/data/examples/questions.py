"""Questions about docstrings: where in the text does it say what an argument is?

An argument's description is the one sentence (or item of a list) of a docstring in which the argument is named; where
several name it there is no question about it.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from attndsl.data.columns import Table
from attndsl.data.counter import integers
from attndsl.data.examples.library import group_of, sources

LONGEST = 240  # characters of a text: sentences around the answer up to there
FORMS = ("what is {}?", "what does {} mean?", "what is the argument {} for?", "describe {}")
_PURPOSE = 0x71756573
_ITEM = re.compile(r"\s*[-*]?\s*[`'*\"]*\w+[`'*\"]*(?:\s+--\s+|\s*:\s+|\s+-\s+)")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`'\"*(])")
_Documented = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@lru_cache(maxsize=1)
def questions_table() -> Table:
    """Columns `question`, `context` (a docstring, or the sentences around the answer), `answer` (a sentence of it),
    `start` (the character of the context at which the answer begins) and `group`, the context: what is held out is
    asked of texts that were never seen."""
    found: dict[tuple[str, str], tuple[str, int]] = {}
    for path, name in sources():
        if group_of(name) is None:
            continue
        for argument, sentences, place in _described(path):
            first, last = _around(sentences, place)
            kept = sentences[first:last]
            if len(kept) == 1:  # nothing to choose from
                continue
            start = sum(len(sentence) + 1 for sentence in kept[: place - first])
            found.setdefault((argument, " ".join(kept)), (sentences[place], start))
    forms = integers(_PURPOSE, 0, below=len(FORMS), count=len(found)).tolist()
    asked = [FORMS[form].format(argument) for form, (argument, _) in zip(forms, found, strict=True)]
    contexts = [context for _, context in found]
    answers = [answer for answer, _ in found.values()]
    starts = [start for _, start in found.values()]
    columns: dict[str, Any] = {
        "question": asked,
        "context": contexts,
        "answer": answers,
        "start": starts,
        "group": contexts,
    }
    return Table(columns, "`example:questions`")


def _described(path: Path) -> Iterator[tuple[str, list[str], int]]:
    """The arguments that a file describes: each with the sentences of the docstring, and which of them says it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):  # templates that are not Python yet
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


def _around(sentences: Sequence[str], place: int) -> tuple[int, int]:
    """The first and the last (excluded) of the sentences around one that fit together: one more before it, one more
    behind it, in turn."""
    first, last, length = place, place + 1, len(sentences[place])
    grown = True
    while grown:
        grown = False
        for before in (True, False):
            other = first - 1 if before else last
            if 0 <= other < len(sentences) and length + 1 + len(sentences[other]) <= LONGEST:
                length += 1 + len(sentences[other])
                first, last, grown = (other, last, True) if before else (first, last + 1, True)
    return first, last
