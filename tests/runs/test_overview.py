"""Runs side by side: what is read of each, what is a column, what is drawn, and what is said of broken ones."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import subprocess
import sys
import xml.etree.ElementTree as xml
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from attndsl.elaborate import load, open_spec, shipped
from attndsl.inspection import inspect
from attndsl.recipe.flat import as_settings
from attndsl.recipe.recipe import Recipe, read_recipe
from attndsl.runs import history
from attndsl.runs.curve import COLOURS, DASHES, MARKERS, Curve, chart
from attndsl.runs.history import columns, read_history
from attndsl.runs.lock import FILE, locked
from attndsl.runs.record import Record, open_record
from attndsl.values import hyperparameters_of
from tests.runs.conftest import STEPS


@pytest.fixture(autouse=True)
def _inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)


# ---------------------------------------------------------------- what is read


def test_a_history_is_what_the_log_says() -> None:
    history = read_history(Path("runs/high"))
    losses = history.series("loss")
    assert [step for step, _ in losses] == list(range(1, STEPS + 1))
    assert history.steps == history.planned == STEPS
    assert history.best == min(history.held_out, key=lambda point: point[1])
    assert history.held_out == history.series("held_out_cross_entropy")
    assert history.settings["lr"] == 0.01
    assert {"loss", "lr", "scalars.size", "held_out_scalars.size", "held_out"} <= set(history.names)
    table = columns(history.lines)
    assert {len(column) for column in table.values()} == {STEPS}
    assert math.isnan(table["held_out"][0])
    assert table["held_out"][-1] == history.series("held_out")[-1][1]


def test_flops_are_three_times_those_of_the_forward_pass() -> None:
    history = read_history(Path("runs/high"))
    graph = load(history.record.spec, history.record.settings)
    once = inspect(graph, {"B": 4, "T": 16}).totals.flops
    assert history.total("flops") == 3 * once * STEPS
    assert all(before["flops"] < after["flops"] for before, after in pairwise(_training(history.lines)))


def _training(lines):
    return [line for line in lines if "loss" in line]


@pytest.mark.parametrize("name", shipped())
def test_a_recipe_is_made_again_by_its_settings(name: str) -> None:
    for variant in ("", *open_spec(name).trained_variants):
        spec = open_spec(f"{name}:{variant}" if variant else name)
        recipe = read_recipe(spec.train, hyperparameters_of(load(spec.name, {})))
        settings = as_settings(json.loads(json.dumps(recipe.to_json())))
        assert Recipe().override(settings) == recipe


def test_a_run_is_running_while_somebody_holds_it(tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree("runs/more/longer", run)
    assert read_history(run).state == "stopped"
    with locked(run):
        assert read_history(run).state == "running"
    (run / FILE).write_text('{"process": 1, "since": "…"}')  # by one that was killed
    assert read_history(run).state == "stopped"


def test_a_run_that_ends_while_it_is_read_was_not_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep would resume it."""
    run, held = tmp_path / "run", ExitStack()
    shutil.copytree("runs/more/longer", run)
    held.enter_context(locked(run))

    def read(folder: Path) -> Record:
        found = open_record(folder)
        held.close()
        return found

    monkeypatch.setattr(history, "open_record", read)
    assert read_history(run).state == "running"


# ---------------------------------------------------------------- the table


def rows(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()]


def test_only_what_differs_is_a_column(attndsl) -> None:
    done = attndsl("runs")
    assert done.code == 0, done.err
    heading, *lines = rows(done.out)
    assert heading[:4] == ["run", "text", "lr", "steps"]
    assert "parameters" in heading
    assert not {"depth", "batch", "spec", "evaluate"} & set(heading)
    assert [line[0] for line in lines[:4]] == ["high", "low", "more/longer", "wide"]
    assert [line[-1] for line in lines[:4]] == ["finished", "finished", "stopped", "finished"]
    assert [line[1] for line in lines[:4]] == ["a", "a", "b", "b"]
    assert "text b is not text a:" in done.out
    assert "mlp(8 * width" in done.out
    alone = rows(attndsl("runs", "runs/high").out)
    assert alone[0][:3] == ["run", "spec", "parameters"]
    assert alone[1][:3] == ["runs/high", "tiny", "7,664"]


def test_what_a_recipe_has_more_than_another_differs(attndsl, tmp_path: Path) -> None:
    shutil.copytree("runs/high", tmp_path / "grouped")
    record = json.loads((tmp_path / "grouped" / "run.json").read_text())
    record["recipe"]["rates"] = {"wte.*": 0.1}
    (tmp_path / "grouped" / "run.json").write_text(json.dumps(record))
    for runs in ((tmp_path / "grouped", "runs/high"), ("runs/high", tmp_path / "grouped")):
        heading, *lines = rows(attndsl("runs", *runs).out)
        assert heading[1] == "rates.wte.*"
        assert {line[1] for line in lines} == {"0.1", "–"}


def test_runs_are_sorted_and_filtered_by_any_column(attndsl) -> None:
    ordered = json.loads(attndsl("runs", "--json", "--sort=-best").out)["runs"]
    assert [run["best"] for run in ordered] == sorted((run["best"] for run in ordered), reverse=True)
    found = json.loads(attndsl("runs", "--json", "--where", "lr<=1e-3").out)["runs"]
    assert [run["run"] for run in found] == ["runs/low"]
    assert found[0]["settings"]["lr"] == 1e-3
    both = attndsl("runs", "--where", "state=finished", "--where", "depth=1", "--where", "text!=a")
    assert [line[0] for line in rows(both.out)[1:]] == ["runs/wide"]
    for wrong, said in (("lrr=1", "did you mean `lr`"), ("lr", "is not a condition"), ("lr=x", "is a number"),
                        ("state<1", "has no order")):  # fmt: skip
        done = attndsl("runs", "--where", wrong)
        assert (done.code, said in done.err) == (2, True), done.err
    assert attndsl("runs", "--where", "lr=7").code == 1


def test_json_and_csv_have_everything(attndsl) -> None:
    found = json.loads(attndsl("runs", "--json").out)
    assert set(found["differing"]) == {"lr", "steps"}
    assert found["runs"][0]["settings"]["heads"] == 2
    assert "loss per token" in {metric["name"] for metric in found["runs"][0]["metrics"]}
    table = list(csv.DictReader(io.StringIO(attndsl("runs", "--csv").out)))
    assert [float(row["lr"]) for row in table] == [run["settings"]["lr"] for run in found["runs"]]
    assert [float(row["best"]) for row in table] == [run["best"] for run in found["runs"]]
    assert {row["heads"] for row in table} == {"2"}


def test_a_narrow_terminal_is_shown_whole_cells(attndsl, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    for room, left_out in ((200, False), (70, True)):
        monkeypatch.setenv("COLUMNS", str(room))
        done = attndsl("runs")
        assert "more/longer" in done.out
        assert "finished" in done.out
        assert "…" not in done.out
        assert ("for want of room without FLOPs, at step" in done.out) == left_out
        assert ("tokens/s" in done.out.split("\n")[1]) != left_out


def test_no_heavy_module_is_loaded() -> None:
    script = (
        "import sys\nfrom attndsl.cli import main\ncode = main(['runs', '--plot', 'light.svg'])\n"
        "print([name for name in ('torch', 'numpy', 'networkx', 'lark') if name in sys.modules])\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


# ---------------------------------------------------------------- what is half there


def test_a_broken_run_is_named_beside_the_table_of_the_rest(attndsl, tmp_path: Path) -> None:
    for name in ("good", "no-record", "no-spec", "no-weights", "no-log", "bad-record", "less-record"):
        shutil.copytree("runs/high", tmp_path / name)
    (tmp_path / "no-record" / "run.json").unlink()
    shutil.rmtree(tmp_path / "no-spec" / "spec")
    (tmp_path / "no-weights" / "weights.safetensors").unlink()
    (tmp_path / "no-log" / "log.jsonl").unlink()
    (tmp_path / "bad-record" / "run.json").write_text('{"format": 1')
    record = json.loads((tmp_path / "good" / "run.json").read_text())
    (tmp_path / "less-record" / "run.json").write_text(json.dumps({**record, "recipe": {"optimizer": {}}}))
    (tmp_path / "empty").mkdir()
    done = attndsl("runs", tmp_path)
    assert done.code == 0
    assert len(rows(done.out)) == 2
    said = {line.split(": broken: ")[0].rpartition("/")[2]: line for line in done.err.splitlines()}
    assert said.keys() == {"no-record", "no-spec", "no-weights", "no-log", "bad-record", "less-record"}
    assert "it has no `spec/tiny.attn`" in said["no-spec"]
    assert "it has no `weights.safetensors`" in said["no-weights"]
    assert "it has no `log.jsonl`" in said["no-log"]
    assert "is damaged" in said["bad-record"]
    assert "it has no `spec/tiny.attn`" in attndsl("check", tmp_path / "no-spec").err
    assert len(json.loads(attndsl("runs", tmp_path, "--json").out)["broken"]) == 6
    for nothing in (tmp_path / "empty", tmp_path / "nowhere", "tiny.attn"):
        done = attndsl("runs", nothing)
        assert (done.code, "error[E0732]" in done.err) == (1, True)


def test_runs_of_different_models_are_shown_without_their_hyperparameters(attndsl, tmp_path: Path) -> None:
    from attndsl.training import train
    from attndsl.training.console import Silent

    text = Path("tiny.attn").read_text().replace("Tiny", "Other").replace("width=16", "width=8")
    (tmp_path / "other.attn").write_text(text)
    given = {"steps": 1, "tokenizer": "chars"}
    data = Path(__file__).parents[1] / "samples" / "prose.txt"
    train(str(tmp_path / "other.attn"), str(data), tmp_path / "other", settings=given, backend="numpy",
          console=Silent())  # fmt: skip
    done = attndsl("runs", "runs/high", tmp_path / "other")
    assert done.code == 0, done.err
    heading = rows(done.out)[0]
    assert "spec" in heading
    assert "tokenizer" in heading
    assert "width" not in heading
    assert "runs of different models (tiny, other)" in done.out
    assert "these runs differ in `tokenizer`: their losses" in done.out


# ---------------------------------------------------------------- curves


def paths(svg: str) -> list[xml.Element]:
    return [each for each in xml.fromstring(svg).iter("{http://www.w3.org/2000/svg}path") if each.get("fill") == "none"]


@pytest.mark.parametrize("against", ["steps", "tokens", "flops", "time"])
def test_curves_lie_over_each_other(attndsl, tmp_path: Path, against: str) -> None:
    done = attndsl("runs", "runs/high", "runs/low", "--plot", tmp_path / "a.svg", "--against", against)
    assert done.code == 0, done.err
    svg = (tmp_path / "a.svg").read_text()
    texts = [each.text for each in xml.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert {"high", "low"} <= set(texts)
    label = {"time": "seconds", "flops": "FLOPs"}.get(against, against)
    assert any(text.startswith(label) for text in texts if text)
    lines = [each for each in paths(svg) if each.get("stroke") in COLOURS[:2]]
    raw = [each for each in lines if each.get("opacity")]
    assert len(raw) >= 2
    assert {each.get("stroke-dasharray") for each in lines if not each.get("opacity")} == {None, DASHES[1]}


def test_a_page_has_the_table_below_the_picture(attndsl, tmp_path: Path) -> None:
    done = attndsl("runs", "--plot", tmp_path / "a.html", "--curve", "scalars.size")
    assert done.code == 0, done.err
    page = (tmp_path / "a.html").read_text()
    assert page.index("<svg") < page.index("<table>") < page.index("more/longer</td>")
    assert "text b is not text a" in page
    done = attndsl("runs", "--plot", tmp_path / "b.svg", "--curve", "nothing")
    assert done.code == 2
    assert "scalars.size" in done.err
    done = attndsl("runs", "--plot", tmp_path / "b.gif")
    assert (done.code, "E0902" in done.err) == (1, True)
    assert not list(tmp_path.glob("b.*"))


def test_no_two_curves_look_alike_without_colours() -> None:
    styles = {(DASHES[n % len(DASHES)], MARKERS[n % len(MARKERS)]) for n in range(len(DASHES) * len(MARKERS))}
    assert len(styles) == len(DASHES) * len(MARKERS)
    grey = [round(0.3 * int(c[1:3], 16) + 0.59 * int(c[3:5], 16) + 0.11 * int(c[5:7], 16)) for c in COLOURS]
    assert max(grey) < 170  # on white
    svg = chart("many", [Curve(f"run number {n}", [(1.0, n), (2e9, n + 1.0)], [(2e9, n + 0.5)]) for n in range(12)])
    root = xml.fromstring(svg)
    assert "steps (10⁹)" in [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    wide, high = float(root.get("width", 0)), float(root.get("height", 0))
    for each in root.iter("{http://www.w3.org/2000/svg}text"):
        if each.get("x"):
            assert 0 <= float(each.get("x", 0)) <= wide
            assert 0 <= float(each.get("y", 0)) <= high


# ---------------------------------------------------------------- a run instead of a spec


def test_verbs_that_take_a_spec_take_a_run(attndsl, tmp_path: Path) -> None:
    assert attndsl("check", "runs/wide").out == "runs/wide: ok · Tiny · 9,776 parameters\n"
    assert "width = 16" in attndsl("inspect", "runs/wide").out
    assert attndsl("render", "runs/wide", "-o", tmp_path / "a.dot").code == 0
    found = json.loads(attndsl("compare", "runs/wide", "--against", "passes", "--json").out)
    assert found["ok"]
    done = attndsl("check", "runs/wide", "--set", "depth=2")
    assert done.out.startswith("runs/wide: ok · Tiny · ")
    assert "9,776" not in done.out
