"""`train NAME:VARIANT { … }`: which recipe a spec has, and what is said of recipes that are for nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import open_spec
from attndsl.syntax import tree

MODELS = """\
model M(width=4, context=8) {
  input x: [B, width]
  output y = x
}
model N(width=4) {
  input x: [B, width]
  output y = x
}
variant M:small { width=2 }
variant M:1.3b { width=8 }
variant N:large { width=8 }
"""


def recipe(spec: str, *sections: str) -> str | None:
    """What the chosen recipe's `batch` says; None where there is no recipe."""
    Path("my.attn").write_text(MODELS + "".join(f"{section}\n" for section in sections))
    found = open_spec(f"my.attn:{spec}").train
    if found is None:
        return None
    (setting,) = found.settings
    assert isinstance(setting.value, tree.Number)
    return str(setting.value.value)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(("spec", "expected"), [("M", "1"), ("small", "2"), ("1.3b", "1"), ("N", None), ("large", "3")])
def test_the_recipe_of_the_variant_else_of_the_model(spec: str, expected: str | None) -> None:
    sections = ["train M { batch = 1 }", "train M:small { batch = 2 }", "train N:large { batch = 3 }"]
    assert recipe(spec, *sections) == expected
    assert recipe(spec, *reversed(sections)) == expected


@pytest.mark.parametrize(
    ("sections", "code", "at", "says"),
    [
        (["train M { }", "train M { }"], "E0107", "M", "this train is declared twice"),
        (["train M:small { }", "train M:small { }"], "E0107", "small", "this train is declared twice"),
        (["train M:smal { }"], "E0101", "smal", "did you mean `small`?"),
        (["train M:large { }"], "E0101", "large", "its variants: small, 1.3b"),
        (["train K:small { }"], "E0101", "K", "no model `K`"),
    ],
)
def test_a_recipe_for_nobody(sections: list[str], code: str, at: str, says: str) -> None:
    with pytest.raises(AttnError) as raised:
        recipe("M", *sections)
    (found,) = raised.value.diagnostics
    assert found.code == code
    assert found.primary is not None
    assert found.primary.span.text == at
    assert found.primary.span.source.text[: found.primary.span.start].count("train") == len(sections)
    assert says in " ".join([found.message, *found.helps])


def test_a_variant_may_be_called_like_its_model() -> None:
    assert recipe("M", "variant M:M { width=3 }", "train M { batch = 1 }", "train M:M { batch = 2 }") == "1"


def test_another_head_may_need_another_recipe(attndsl, tmp_path):
    """The spec is right all the same; who trains it is told."""
    assert attndsl("check", "gpt1", "--set", "head=sequence").code == 0
    (tmp_path / "text.txt").write_text("some text\n" * 2000)
    done = attndsl(
        "train", "gpt1", "--set", "head=sequence", "--data", tmp_path / "text.txt", "--out", tmp_path / "run"
    )
    assert done.code == 1
    assert "error[E0722]: `label` must be given" in done.err
    assert not (tmp_path / "run").exists()
