"""What is left out of a diagram, which way it runs, what page it fits; and what its boxes say to other programs."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from attndsl.cli import main
from attndsl.diagnostics import AttnError
from attndsl.drawing import Style, draw, picture
from attndsl.drawing.dot import to_dot
from attndsl.drawing.output import scene_of
from attndsl.drawing.scene import Scene
from attndsl.drawing.style import PAGES, PARTS
from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.passes import optimize
from tests.drawing.conftest import HAS_GRAPHVIZ

GPT2, MIXTRAL = load("gpt2", {}), load("mixtral", {})
SPACE = "{http://www.w3.org/2000/svg}"
needs_graphviz = pytest.mark.skipif(not HAS_GRAPHVIZ, reason="Graphviz is not installed")


def without(*parts: str) -> Style:
    return Style(without=frozenset(parts))


def names(scene: Scene, kind: str) -> list[str]:
    return [box.lines[0] for box in scene.boxes if box.kind == kind]


def test_the_loss_goes_with_what_is_there_for_it_alone() -> None:
    scene = scene_of(GPT2, style=without("loss"))
    assert names(scene, "input") == ["tokens"]
    assert names(scene, "output") == ["logits"]
    assert not names(scene, "loss")
    of_experts = scene_of(MIXTRAL, style=without("loss"))
    assert names(of_experts, "output") == ["logits"]  # no balance, no counts
    assert "layer.*.router" in {box.id for box in of_experts.boxes}
    assert not [box for box in of_experts.boxes if box.lines and box.lines[0] in ("balance loss", "expert load")]


def test_a_model_that_gives_nothing_but_a_number_is_drawn_anyway() -> None:
    from attndsl.elaborate import elaborate, open_text

    graph = elaborate(open_text("model M(width=4) {\n  input x: [width]\n  output y = sum(x, over=width)\n}\n"), {})
    assert names(scene_of(graph, style=without(*PARTS)), "output") == ["y"]


def test_shapes_legend_and_title_are_left_out() -> None:
    text = draw(GPT2, style=without("shapes"))
    assert "width]" not in text
    assert "[B, T" not in text
    assert 'label="wte\nembedding"' in text
    assert "cluster legend" in text
    assert "124.4 M" in text
    assert "cluster legend" not in draw(GPT2, style=without("legend"))
    untitled = to_dot(scene_of(GPT2, style=without("title"))).source
    assert not re.search(r'label="[^"]*(124\.4 M|vocab 50257)', untitled)
    assert "[B, T, width]" in untitled


@pytest.mark.parametrize(("style", "way"), [({}, "TB"), ({"landscape": True}, "LR"), ({"fit": "slide"}, "LR")])
def test_the_way_it_runs(style: dict[str, object], way: str) -> None:
    assert f"rankdir={way}" in draw(GPT2, style=Style(**style))  # type: ignore[arg-type]


@needs_graphviz
@pytest.mark.parametrize("name", ["gpt2", "dvae"])
@pytest.mark.parametrize("fit", PAGES)
def test_it_fits_the_page(name: str, fit: str) -> None:
    svg = ElementTree.fromstring(str(picture(load(name, {}), style=Style(fit=fit))))
    width, height = (float(svg.get(side, "").removesuffix("pt")) for side in ("width", "height"))
    page_width, page_height = PAGES[fit]
    assert abs(width - page_width) <= 1
    assert page_height is None or abs(height - page_height) <= 1


@needs_graphviz
def test_every_box_says_what_it_stands_for_and_where() -> None:
    svg = ElementTree.fromstring(str(picture(GPT2)))
    found = {
        str(group.get("data-address")): (group.get("data-kind"), int(group.get("data-line", "0")))
        for group in svg.iter(f"{SPACE}g")
        if group.get("data-address") is not None
    }
    assert {kind for kind, _ in found.values()} >= {"input", "output", "embedding", "attention", "feed-forward", "add"}
    lines = (Path(__file__).parents[2] / "specs" / "gpt2.attn").read_text(encoding="utf-8").splitlines()
    for address, word in (("wte", "embedding"), ("h.*.attn", "attention"), ("h.*.mlp", "mlp"), ("tokens", "input")):
        assert word in lines[found[address][1] - 1]
    drawn = [group for group in svg.iter(f"{SPACE}g") if group.get("class") == "node"]
    shown = [group for group in drawn if not str(group.findtext(f"{SPACE}title")).startswith("legend")]
    assert len([group for group in shown if group.get("data-line")]) >= len(shown) - 2  # but for a fork, say


@pytest.mark.parametrize("style", [{"fit": "poster"}, {"without": frozenset({"loss", "legends"})}])
def test_parts_and_pages_that_there_are_not(style: dict[str, object]) -> None:
    with pytest.raises(AttnError) as caught:
        Style(**style)  # type: ignore[arg-type]
    assert caught.value.diagnostics[0].code == "E0907"


def test_the_command_knows_the_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "gpt2.dot"
    assert main(["render", "gpt2", "-o", str(path), "--plain", "--landscape"]) == 0
    assert path.read_text(encoding="utf-8") == draw(GPT2, style=Style(landscape=True, without=frozenset(PARTS)))
    assert main(["render", "gpt2", "-o", str(path), "--no", "loss", "--no", "shapes"]) == 0
    assert path.read_text(encoding="utf-8") == draw(GPT2, style=without("loss", "shapes"))
    assert main(["render", "gemma3", "-o", str(path), "--optimized", "--depth", "1"]) == 0
    assert "attention over S" in path.read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["render", "gpt2", "-o", str(path), "--no", "losses"]) == 2
    assert "legend" in capsys.readouterr().err


def test_fused_attention_is_named_by_what_its_mask_does() -> None:

    scene = scene_of(optimize(load("gemma3", {}))[0], depth=1)
    masks = [box.lines[-1] for box in scene.boxes if box.lines and box.lines[0] == "attention over S"]
    assert masks == ["mask: window · 512 keys", "mask: causal"]


@pytest.mark.parametrize("name", ["gpt2", "mistral", "mixtral", "deepseek_v3", "rnn_lm", "bert", "gpt3", "elmo"])
def test_the_passes_change_what_is_computed_and_not_what_closed_layers_say(name: str) -> None:
    """What they have taken out of a body is said by the layer that reads it, and what they have fused as before."""

    def told(graph: Graph) -> list[tuple[str, tuple[str, ...], str]]:
        boxes = scene_of(graph).boxes
        return sorted((b.kind, b.lines, b.frame.title) for b in boxes if b.path or b.kind in ("input", "state"))

    graph = load(name, {})
    assert told(optimize(graph)[0]) == told(graph)


def test_a_column_has_a_narrow_title_and_legend() -> None:
    wide, narrow = (draw(GPT2, style=Style(fit=fit)) for fit in ("", "column"))
    assert 'group="legend 3"' in wide
    assert 'group="legend 1"' in narrow
    assert 'group="legend 2"' not in narrow
    scene = scene_of(load("vit", {}), style=Style(fit="column"))
    assert max(map(len, scene.subtitle.split("\n"))) <= 40 < len(scene_of(load("vit", {})).subtitle.split("\n")[0])
