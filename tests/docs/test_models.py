"""The page of the shipped models: nothing is missing, nothing is old, and nothing in it is beyond what is allowed."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pytest

from attndsl.elaborate import load, open_spec, shipped
from tests.parity.harness import ALLOWED, families
from tests.parity.variants import names
from tests.scripts import script

ROOT = Path(__file__).resolve().parents[2]
LONGEST = 64
SHORT = 45
LONGER = {"bert", "seq2seq", "transformer_xl"}  # with five heads, four kinds of attention, a memory of clusters
"""Lines of a model: "about 60", with the comments behind its equations."""


SCRIPT = script("models_page")
RECORD: dict[str, Any] = SCRIPT.read_record()
ROWS = [*RECORD["variants"], *RECORD["families"]]
AGAIN = "measure again: `python scripts/models_page.py --changed`"


def rows_of(page: str, heading: str) -> list[list[str]]:
    """The cells of the table below a heading, without its head."""
    text = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.fixture(scope="module")
def page() -> str:
    text: str = SCRIPT.PAGE.read_text(encoding="utf-8")
    return text


def test_the_page_is_what_the_script_writes(page: str) -> None:
    assert page == SCRIPT.page(), "render it again: `python scripts/models_page.py --render`"


def test_every_spec_and_variant_has_a_row(page: str) -> None:
    there = [cells[0].strip("`").split()[0] for cells in rows_of(page, "Size, cost and agreement")]
    assert list(dict.fromkeys(there)) == list(names())
    assert [cells[0].strip("`") for cells in rows_of(page, "Lines")] == list(shipped())


def test_every_family_has_a_row() -> None:
    assert [row["name"] for row in RECORD["families"]] == [family.name for family in families()]
    assert {row["family"] for row in RECORD["variants"]} == {family.name for family in families()}


def test_every_oracles_size_is_in_some_row() -> None:
    """What the families say is published: the variant, the head, the count."""
    for family in families():
        for size in family.published:
            name = family.spec + (f":{size.variant}" if size.variant else "")
            (row,) = [
                row
                for row in RECORD["variants"]
                if (row["name"], row["family"], row["settings"]) == (name, family.name, dict(size.settings))
            ]
            assert row["parameters"] == size.count, name


def test_the_counts_are_the_published_ones(page: str) -> None:
    for cells in rows_of(page, "Size, cost and agreement"):
        assert cells[1] == cells[2], cells[0]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['name']}-{row.get('family', 'family')}")
def test_no_difference_is_beyond_what_is_allowed(row: dict[str, Any]) -> None:
    assert row["differences"].keys() == {f"{b} {d}" for b, d in product(("numpy", "torch"), ALLOWED)}
    for key, found in row["differences"].items():
        allowed = ALLOWED[key.split()[1]]
        assert len(found) == 3
        assert all(0 <= value <= allowed for value in found), (key, found)


def test_nothing_was_measured_of_something_else() -> None:
    """A model, its `weights` sections and its hyperparameters are still those that were measured."""
    for row in RECORD["variants"]:
        graph = SCRIPT.made(row["name"], **row["settings"])
        assert row["of"] == SCRIPT.digest(open_spec(row["name"]), graph), AGAIN
    for row in RECORD["families"]:
        assert row["of"] == SCRIPT.digest(open_spec(row["spec"])), AGAIN


def test_the_digest_is_of_what_is_compared(tmp_path: Path) -> None:
    text = shipped()["gpt2"].read_text(encoding="utf-8")

    def digest(**replaced: str) -> str:
        changed = text.replace(replaced.get("old", ""), replaced.get("new", ""), 1) if replaced else text
        assert bool(replaced) == (changed != text)
        (tmp_path / "my.attn").write_text(changed, encoding="utf-8")
        return str(SCRIPT.digest(open_spec(str(tmp_path / "my.attn"))))

    first = digest()
    assert digest(old="mask=causal", new="mask=full") != first
    assert digest(old="<-> wpe.table", new="<-  wpe.table") != first
    assert digest(old="# -100 is left out", new="# some are left out") == first
    assert digest(old="lr=6e-4", new="lr=1e-3") == first


def test_a_model_is_a_page_of_a_paper(page: str) -> None:
    lines = {cells[0].strip("`"): int(cells[1]) for cells in rows_of(page, "Lines")}
    assert max(lines.values()) <= LONGEST, lines
    assert {spec for spec, count in lines.items() if count > SHORT} <= LONGER


@pytest.mark.parametrize("spec", ["bart", "bert", "t5"])
def test_published_weights_take_no_more_lines_than_the_model(page: str, spec: str) -> None:
    (cells,) = [cells for cells in rows_of(page, "Lines") if cells[0] == f"`{spec}`"]
    assert int(cells[3]) <= int(cells[1])


def test_all_that_is_special_about_the_oracles_is_told(page: str) -> None:
    for family in families():
        for patch in family.patches:
            assert f"- {family.name}: {patch.why}." in page


def test_operations_are_counted_at_the_size_that_is_stated(page: str) -> None:
    """GPT-2 over 512 tokens: twice its parameters but for the positions, and what attention adds."""
    (cells,) = [cells for cells in rows_of(page, "Size, cost and agreement") if cells[0] == "`gpt2:small`"]
    graph = load("gpt2:small")
    count, width, depth = graph.parameter_count - 1024 * 768, 768, 12
    expected = 512 * (2 * count + 4 * depth * width * 512)
    assert cells[5] == "512"
    assert float(cells[4].removesuffix(" G")) * 1e9 == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (3e-6, "3e-6"), (3.1e-6, "4e-6"), (9.5e-7, "1e-6"), (1.2e-14, "2e-14")]
)
def test_differences_are_rounded_up(value: float, shown: str) -> None:
    assert SCRIPT._short(value) == shown
