"""What a page says of a spec, and of a file that changes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from attndsl.cli import main
from attndsl.diagnostics import AttnError
from attndsl.drawing.output import scene_of
from attndsl.elaborate import load, shipped
from attndsl.inspection import inspect
from attndsl.model_page import Diagrams, FollowedSpec, contents, diagrams, standalone
from attndsl.model_page.contents import LinesNow
from tests.drawing.conftest import HAS_GRAPHVIZ

draws = pytest.mark.skipif(not HAS_GRAPHVIZ, reason="Graphviz is not installed")

GOOD = """model M(width=8, heads=2, depth=3) {
  input x: [B, T, width]
  repeat h in depth {
    x += attention(x, heads, mask=causal) as attn
    x += x |> layer_norm as ln
           |> mlp(2 * width) as mlp
  }
  output y = x
}
"""
BROKEN = "# a line more\n" + GOOD.replace("layer_norm", "layer_nrm")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my.attn"
    path.write_text(GOOD)
    return path


def looked(followed: FollowedSpec) -> bool:
    """Look until what was written has settled."""
    return [followed.look() for _ in range(2)][-1]


def test_a_page_has_the_text_the_layers_and_the_masks(file: Path) -> None:
    found = contents(FollowedSpec(str(file)).now, {"B": 2, "T": 5})
    assert (found["text"], found["is_current"], found["diagnostics"], found["sizes_problem"]) == (GOOD, True, [], "")
    model = found["model"]
    rows = {row["path"]: row for row in model["layers"]}
    assert {path: row["line"] for path, row in rows.items() if path} == {
        "h": 3, **dict.fromkeys(("h.*.attn", *(f"h.*.attn.{part}" for part in ("q", "k", "v", "out"))), 4), "h.*.ln": 5,
        **dict.fromkeys(("h.*.mlp", "h.*.mlp.up", "h.*.mlp.down"), 6),
    }  # fmt: skip
    assert rows["h.*.mlp"]["cells"][:2] == ("[B, T, width]", "2×5×8")
    report = inspect(load(str(file)), {"B": 2, "T": 5})
    assert model["totals"][0][1] == f"{report.totals.parameters:,}"
    (mask,) = model["masks"]
    assert mask["formula"] == "k <= q"
    assert mask["rows"] == ("10000", "11000", "11100", "11110", "11111")
    assert mask["layers"] == [{"path": "h.*.attn", "line": 4}]


def test_a_mask_is_seen_from_its_queries() -> None:
    """Padding is the same for every query; a batch is no queries. What masks nothing is no mask."""
    masks = {name: contents(FollowedSpec(name).now)["model"]["masks"] for name in ("transformer:nano", "vit:nano")}
    assert [(mask["formula"], len(mask["rows"])) for mask in masks["transformer:nano"]] == [
        ("valid[B, k]", 1),
        ("k <= q", 32),
    ]
    assert masks["vit:nano"] == []


def test_a_model_of_many_layers_brings_some_of_them_open(monkeypatch: pytest.MonkeyPatch) -> None:
    now = FollowedSpec("dvae:nano").now
    assert now.graph is not None
    monkeypatch.setattr(diagrams, "MOST", 300)
    opened = list(Diagrams(now.graph, {}).one_by_one())
    assert len(opened) == len(set(opened)) > 1
    assert opened[0] == ()
    sizes = [len(scene_of(now.graph, expand=each).boxes) for each in opened]
    assert sum(sizes[:-1]) < 300 <= sum(sizes), "the last one goes beyond the limit"


def test_what_is_said_is_what_check_says(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(BROKEN)
    assert main(["check", str(file), "--json"]) == 1
    (said,) = json.loads(capsys.readouterr().out)["results"]
    found = contents(FollowedSpec(str(file)).now)
    assert (found["diagnostics"], found["more"]) == (said["diagnostics"], 0)
    assert found["file"] == said["diagnostics"][0]["primary"]["file"]
    assert found["model"] is None


def test_sizes_that_do_not_fit_are_told(file: Path) -> None:
    found = contents(FollowedSpec(str(file)).now, {"width": 2})
    assert "`width`" in found["sizes_problem"]
    assert [(size["name"], size["value"]) for size in found["model"]["sizes"]] == [("B", 1), ("T", 128)]


def test_the_last_model_that_was_right_stays_where_its_lines_are_now(file: Path) -> None:
    followed = FollowedSpec(str(file))
    right = followed.now.graph
    assert not followed.look()
    file.write_text(BROKEN)
    assert looked(followed)
    assert followed.now.graph is right
    found = contents(followed.now)
    assert (found["is_current"], found["text"]) == (False, BROKEN)
    (said,) = found["diagnostics"]
    assert (said["code"], said["primary"]["start"]["line"]) == ("E0101", 6)
    lines = {row["path"]: row["line"] for row in found["model"]["layers"]}
    assert (lines["h.*.attn"], lines["h.*.ln"], lines["h.*.mlp"]) == (5, 4, 7), "of `ln` the line is another one now"
    file.unlink()
    assert looked(followed)
    assert [it.code for it in followed.now.diagnostics] == ["E0001"]
    assert contents(followed.now)["text"] == BROKEN
    file.write_text(GOOD)
    assert looked(followed)
    assert contents(followed.now)["is_current"]


def test_a_file_that_is_imported_is_followed(file: Path, tmp_path: Path) -> None:
    blocks = tmp_path / "blocks.attn"
    blocks.write_text("block twice(x: [*, D]) -> [*, D] {\n  return 2 * x\n}\n")
    file.write_text('use "blocks.attn": twice\nmodel M(width=8) {\n  input x: [B, width]\n  output y = twice(x)\n}\n')
    followed = FollowedSpec(str(file))
    assert followed.now.is_current
    blocks.write_text("block twice(x: [*, D]) -> [*, D] {\n  return 2 * (x\n}\n")
    assert FollowedSpec(str(file)).files == followed.files, "it is one of them, even if it could never be read"
    assert looked(followed)
    (said,) = contents(followed.now)["diagnostics"]
    assert said["primary"]["file"].endswith("blocks.attn")
    blocks.write_text("block twice(x: [*, D]) -> [*, D] {\n  return x + x\n}\n")
    assert looked(followed)
    assert followed.now.is_current


@draws
def test_boxes_know_their_layers_and_lines(file: Path) -> None:
    now = FollowedSpec(str(file)).now
    assert now.graph is not None
    diagrams = Diagrams(now.graph, {"B": 2, "T": 5})
    closed = diagrams.view((), LinesNow(now))
    assert {box["path"]: box["line"] for box in closed["boxes"].values() if box["path"]} == {
        "h.*.attn": 4, "h.*.ln": 5, "h.*.mlp": 6,
    }  # fmt: skip
    assert {title: box["line"] for title, box in closed["boxes"].items() if not box["path"]} == {
        "input x": 2, "add": 4, "add #2": 5, "output y": 8,
    }  # fmt: skip
    titles = {
        title.replace("&#45;", "-").replace("&gt;", ">") for title in re.findall("<title>(.*?)</title>", closed["svg"])
    }
    assert closed["boxes"].keys() | closed["frames"].keys() | closed["numbers"].keys() <= titles
    assert closed["numbers"]["input x"] == {"[B, T, width]": "[2, 5, 8]"}
    opened = diagrams.view(("h.*.attn", "no.such.layer"), LinesNow(now))
    assert opened["open"] == ("h.*.attn",)
    assert opened["frames"]["cluster h.*.attn"] == {"path": "h.*.attn", "line": 4, "closes": True}
    assert "h.*.attn.q" in {box["path"] for box in opened["boxes"].values()}


@draws
def test_a_page_is_one_file_that_has_each_layer_open(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "model.html"
    assert main(["render", str(file), "-o", str(output), "--expand", "h.mlp", "--size", "T=7"]) == 0
    text = output.read_text(encoding="utf-8")
    assert not re.findall(r'(?:src|href)="(?!data:,|#)', text)
    assert "connect-src" not in text
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])
    assert data["open"] == ["h.*.mlp"]
    layers = {row["path"] for row in data["contents"]["model"]["layers"]} - {"h", ""}
    assert {path for view in data["views"].values() for path in view["open"]} >= layers
    assert {"", "h.*.attn", "h.*.attn h.*.attn.q", "h.*.attn h.*.mlp", "h.*.ln"} <= data["views"].keys()
    before = output.read_bytes()
    assert main(["render", str(file), "-o", str(output), "--size", "width=7"]) == 1
    assert "E0803" in capsys.readouterr().err
    file.write_text(BROKEN)
    assert main(["render", str(file), "-o", str(output)]) == 1
    assert "E0101" in capsys.readouterr().err
    assert output.read_bytes() == before


@draws
def test_a_page_draws_as_the_options_say(file: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.html"
    options = ["--optimized", "--landscape", "--no", "shapes", "--expand", "h.attn"]
    assert main(["render", str(file), "-o", str(output), *options]) == 0
    data = json.loads(re.search(r'id="data">(.*?)</script>', output.read_text(encoding="utf-8"))[1])
    view = data["views"][" ".join(data["open"])]
    assert "attention" in {" ".join(box["lines"]).partition(" ")[0] for box in view["boxes"].values()}
    assert "h.*.attn.softmax" not in view["boxes"], "it is one fused operation"
    assert "[B, T" not in view["svg"]
    wide, high = map(float, re.search(r'viewBox="\S+ \S+ (\S+) (\S+)"', view["svg"]).groups())
    assert wide > high
    assert data["contents"]["model"]["masks"][0]["formula"] == "k <= q", "beside it stays what the text says"


def test_a_shipped_spec_a_variant_and_settings(tmp_path: Path) -> None:
    now = FollowedSpec("gpt_nano", {"depth": "2"}).now
    assert now.source.text == shipped()["gpt_nano"].read_text(encoding="utf-8")
    assert ["depth", "2"] in contents(now)["model"]["hyperparameters"]
    assert contents(FollowedSpec("gpt2:medium").now)["model"]["variant"] == "medium"
    with pytest.raises(AttnError, match="E0001"):
        FollowedSpec(str(tmp_path / "none.attn"))


@draws
def test_what_a_page_is_given_cannot_end_its_script(tmp_path: Path) -> None:
    path = tmp_path / "a&b<c.attn"
    path.write_text(
        "# </script><script>alert(1)</script>\nmodel M(width=8) {\n  input x: [B, width]\n  output y = x\n}\n"
    )
    text = standalone(FollowedSpec(str(path)).now)
    assert text.count("</script>") == 2
    assert "<title>" in text
    assert "a&amp;b&lt;c" in text
