"""Mangled programs: whatever is cut out, doubled or exchanged in a spec, the answer is a graph or an `AttnError`."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from attndsl.diagnostics import AttnError
from attndsl.diagnostics.report import render
from attndsl.elaborate import load, shipped
from attndsl.graph import Graph

TOKEN = re.compile(r'\s+|[A-Za-z_]\w*|\d[\w.]*|"[^"\n]*"|.', re.DOTALL)
FEATURES = Path(__file__).parent / "features.attn"
ROUNDS = 40


def mangled(text: str, rng: random.Random) -> str:
    """The text with one to three of its words cut out, doubled, exchanged, or put in another's place."""
    words = TOKEN.findall(text)
    solid = [i for i, word in enumerate(words) if not word.isspace()]
    for _ in range(rng.randint(1, 3)):
        i, j = rng.choice(solid), rng.choice(solid)
        kind = rng.randrange(4)
        if kind == 0:
            words[i] = ""
        elif kind == 1:
            words[i] += " " + words[i]
        elif kind == 2:
            words[i], words[j] = words[j], words[i]
        else:
            words[i] = words[j]
    return "".join(words)


@pytest.mark.parametrize("path", [*shipped().values(), FEATURES], ids=lambda p: p.stem)
def test_mangled(path: Path, tmp_path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    target = tmp_path / "mangled.attn"
    for seed in range(ROUNDS):
        target.write_text(mangled(text, random.Random(f"{path.stem} {seed}")), encoding="utf-8")
        try:
            outcome = load(str(target))
        except AttnError as problem:
            render(problem.diagnostics, color=False)
            continue
        except Exception as problem:
            raise AssertionError(f"seed {seed} of {path.stem}: {problem!r}\n{target.read_text()}") from problem
        assert isinstance(outcome, Graph)
