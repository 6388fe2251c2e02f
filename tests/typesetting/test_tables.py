"""Tables as papers print them: what they say, side by side and alone, and that both forms are well formed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from attndsl.elaborate import load, open_spec, shipped
from attndsl.inspection import Report, inspect
from attndsl.typesetting import as_latex, as_markdown, paper_tables
from attndsl.typesetting.escaping import in_latex, in_markdown, prose_in_latex, prose_in_markdown
from tests.conftest import Finished

PLAIN = re.compile(r"[ -~]")
LETTERS = re.compile(r"[^\W\d_]")  # of which `inputenc` and T1 have those of Europe's languages


def reports(*specs: str, **settings: str) -> dict[str, Report]:
    return {spec: inspect(load(spec, settings), {}) for spec in specs}


def cells(table: str) -> list[list[str]]:
    """The cells of a table in Markdown, its head first, without its rule."""
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows if not set("".join(row)) <= set("- :")]


def well_formed(latex: str) -> None:
    """Groups and environments close in order, rows have the columns of their table, and no sign is left that LaTeX
    would take for something else."""
    open_ones: list[str] = []
    for found in re.finditer(r"\\(begin|end)\{(\w+)\}", latex):
        if found[1] == "begin":
            open_ones.append(found[2])
        else:
            assert open_ones.pop() == found[2]
    assert not open_ones
    text = re.sub(r"\\[\\{}$&#%_]", "", latex)  # escaped signs
    depth = 0
    for sign in text:
        depth += (sign == "{") - (sign == "}")
        assert depth >= 0
    assert depth == 0
    for table in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", latex, re.DOTALL):
        (layout,) = re.findall(r"\\begin\{tabular\}\{([lr]+)\}", table)
        columns = len(layout)
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert rows
        assert all(len(re.findall(r"(?<!\\)&", row)) == columns - 1 for row in rows)
    outside = re.sub(r"\$[^$]*\$", "", re.sub(r"^%.*", "", text, flags=re.MULTILINE))
    assert not set(outside) & set('#$%_^~<>|"`'), outside


def test_models_side_by_side() -> None:
    sizes, layers = as_markdown(paper_tables(reports("gpt2:small", "gpt2:xl"))).split("Parameters of the layers")
    rows = {row[0]: row[1:] for row in cells(sizes)}
    assert rows[""] == ["GPT2:small", "GPT2:xl"]
    assert rows["`width`"] == ["768", "1600"]
    assert rows["parameters"] == ["124,439,808", "1,557,611,200"]
    assert "`vocab`" not in rows  # the same in both: said below
    assert "`vocab = 50257`, `context = 1024`" in sizes
    below = {row[0]: row[1:] for row in cells(layers)}
    assert below["h × 12, 48"] == ["`[B, T, width]`", "85.1 M", "1.5 G"]


def test_models_of_different_kinds_share_the_rows_that_are_the_same() -> None:
    (sizes, layers) = paper_tables(reports("gpt2", "llama:nano", "gpt_nano"))
    names = [row[0].text for row in layers.groups[0]]
    assert names.count("wte* embedding") == 1  # GPT-2's and the nano's
    assert names.index("wte* embedding") < names.index("h × 12, 4") < names.index("ln_f layer_norm")
    (llama,) = [row for row in layers.groups[0] if row[0].text == "embed embedding"]
    assert [cell.text for cell in llama[2:]] == ["–", "65.5 k", "–"]
    hidden = next(row for row in sizes.groups[0] if row[0].code == "hidden")
    assert [cell.text for cell in hidden[1:]] == ["–", "352", "–"]


@pytest.mark.parametrize("spec", ["gpt2", "transformer", "deepseek_v3"])
def test_the_columns_of_one_model_add_up(spec: str) -> None:
    (report,) = reports(spec).values()
    _, layers = paper_tables({spec: report})
    top = [row for row in layers.groups[0] if row[0].indent == 0]
    copies = [int(row[3].text.replace(",", "")) for row in top if row[3].text]
    assert sum(copies) == report.totals.parameters
    assert layers.groups[-1][0][3].text == f"{report.totals.parameters:,}"


def test_two_models_of_one_name_are_told_apart_by_their_specs(tmp_path: Path) -> None:
    mine = tmp_path / "mine.attn"
    mine.write_text(open_spec("gpt_nano").source.text.replace("width=256", "width=128"), encoding="utf-8")
    (sizes, _) = paper_tables(reports("gpt_nano", str(mine)))
    assert [cell.text for cell in sizes.head] == ["", "gpt_nano", str(mine)]


@pytest.mark.parametrize("spec", shipped())
def test_every_shipped_spec_is_well_formed_in_both_forms(spec: str) -> None:
    tables = paper_tables(reports(spec))
    latex = as_latex(tables)
    well_formed(latex)
    assert {sign for sign in latex if not PLAIN.match(sign) and not LETTERS.match(sign)} <= {"\n"}
    for table in as_markdown(tables).split("\nLayers of"):
        assert len({len(row) for row in cells(table)}) == 1


def test_any_sign_stands_for_itself() -> None:
    signs = "".join(map(chr, range(32, 127))) + "×–…≤"
    well_formed(in_latex(signs))
    well_formed(prose_in_latex(f"it is {signs}"))
    assert prose_in_latex("a `b_c` -- it's") == r"a \texttt{b\_c} -- it's"
    assert in_latex("--") == "{-}{-}"  # no dash
    assert in_markdown("a|b_c*") == r"a\|b\_c\*"
    assert prose_in_markdown("`a_b|c` d_e") == "`a_b\\|c` d\\_e"


def test_the_command_takes_several_specs(attndsl: Callable[..., Finished]) -> None:
    done = attndsl("inspect", "gpt_nano", "llama:nano")
    assert done.out.count("hyperparameters  ") == 2
    assert [report["model"] for report in json.loads(attndsl("inspect", "gpt_nano", "llama:nano", "--json").out)] == [
        "GPTNano",
        "Llama",
    ]
    assert json.loads(attndsl("inspect", "gpt_nano", "--json").out)["model"] == "GPTNano"


def test_one_form_at_a_time(attndsl: Callable[..., Finished]) -> None:
    done = attndsl("inspect", "gpt_nano", "--latex", "--markdown")
    assert (done.code, done.out) == (2, "")
    assert "not allowed with argument" in done.err


def test_one_wrong_spec_prints_no_table(attndsl: Callable[..., Finished]) -> None:
    done = attndsl("inspect", "gpt_nano", "nowhere", "--latex")
    assert (done.code, done.out) == (1, "")
    assert "nowhere" in done.err
