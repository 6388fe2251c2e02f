"""Several layers of which an index chooses one: a tensor for each in files, or all of them along one more axis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attndsl
from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.storage.deferred import Deferred
from attndsl.storage.safetensors import write_tensors
from attndsl.weights import export_huggingface, load_weights, open_weights, save_weights
from attndsl.weights.loading import PublishedNames
from attndsl.weights.stacks import parts_of

Array = np.ndarray[Any, Any]

MODEL = """model M(width=3, n=2, depth=2) {
  input x: [B, T, width]
  repeat h in depth { x += x |> experts(n, 1, mlp(4)) as moe }
  output y = x
}
weights M from huggingface {
  config { width = d, n = experts, depth = layers }
  "gate.{i}": [expert, in] <-> h[i].moe.router.weight
  %s
}"""
EACH = '"{i}.{e}.{map in [up, down]}." <-> linear(h[i].moe.experts[e][map])'
WHOLE = """
  "{i}.{map in [up, down]}.weight": [expert, out, in] <-> h[i].moe.experts[map].weight
  "{i}.{map in [up, down]}.bias": [expert, out] <-> h[i].moe.experts[map].bias"""
BOTH = EACH + WHOLE.replace("<->", "<-")


def spec(lines: str) -> Any:
    return open_text(MODEL % lines)


def arrays(graph: Any) -> dict[str, Array]:
    rng = np.random.default_rng(0)
    return {
        address: rng.standard_normal(info.type.shape(graph.sizes)).astype(np.float32)
        for info in graph.parameters
        for address in info.addresses()
    }


def exported(lines: str, tmp_path: Path) -> tuple[Any, Any, dict[str, Array], Path]:
    opened = spec(lines)
    graph = elaborate(opened, {})
    given = arrays(graph)
    export_huggingface(tmp_path / "out", graph, given, opened.weights[0])
    return opened, graph, given, tmp_path / "out"


def same(found: Mapping[str, Array], given: Mapping[str, Array]) -> None:
    assert list(found) == list(given)
    for address, array in found.items():
        np.testing.assert_array_equal(array, given[address], address)


@pytest.mark.parametrize("lines", [EACH, WHOLE, BOTH])
def test_written_and_read_again(lines: str, tmp_path: Path) -> None:
    opened, graph, given, folder = exported(lines, tmp_path)
    same(load_weights(folder, graph, opened.weights), given)


def test_a_file_of_either_layout_is_read(tmp_path: Path) -> None:
    """The section that speaks of both reads what those write that speak of one."""
    for name, lines in (("each", EACH), ("whole", WHOLE)):
        _, graph, given, folder = exported(lines, tmp_path / name)
        same(load_weights(folder, graph, spec(BOTH).weights), given)


def test_a_single_layer_is_part_of_the_whole(tmp_path: Path) -> None:
    opened, graph, given, folder = exported(EACH, tmp_path)
    with attndsl.weights.sources.WeightsSource(folder / "model.safetensors") as source:
        up = source.read("1.0.up.weight")
        lacking = PublishedNames(source, graph, opened.weights[0]).read(without={"0.1.up.bias"})
    np.testing.assert_array_equal(up, given["h.1.moe.experts.up.weight"][0].T)
    assert parts_of(graph)["h.1.moe.experts.0.up.weight"].index == (0,)
    assert given.keys() - lacking.keys() == {"h.0.moe.experts.up.bias"}


def test_what_is_asked_for_alone_is_what_all_together_are(tmp_path: Path) -> None:
    opened, graph, given, folder = exported(BOTH, tmp_path)
    found = open_weights(folder, graph, opened.weights)
    same({address: found[address] for address in found}, given)
    assert all(
        found.stated[a].shape == array.shape and found.stated[a].dtype == array.dtype for a, array in given.items()
    )


def test_an_export_reads_each_once(tmp_path: Path) -> None:
    opened, graph, given, folder = exported(EACH, tmp_path)
    asked: list[str] = []

    def read(address: str) -> Array:
        asked.append(address)
        return given[address]

    export_huggingface(tmp_path / "again", graph, Deferred(given, read), opened.weights[0])
    assert sorted(asked) == sorted(given)
    same(load_weights(tmp_path / "again", graph, opened.weights), load_weights(folder, graph, opened.weights))


DEEP = """model M(width=3, n=2) {
  input x: [B, T, width]
  output y = x |> experts(n, 1, deep) as moe
}
block deep(x: [*, D]) {
  return x |> linear(D) as a |> linear(D) as b |> linear(D) as c |> linear(D) as d
}
weights M from huggingface {
  config { width = d, n = experts }
  "gate": [expert, in] <-> moe.router.weight
  "{e}.{map in [a, b, c, d]}." <-> linear(moe.experts[e][map])
}"""


def test_an_export_reads_each_once_however_deep_the_layers_are(tmp_path: Path) -> None:
    opened = open_text(DEEP)
    graph = elaborate(opened, {})
    given, asked = arrays(graph), Counter[str]()

    def read(address: str) -> Array:
        asked[address] += 1
        return given[address]

    export_huggingface(tmp_path, graph, Deferred(given, read), opened.weights[0])
    assert asked == dict.fromkeys(given, 1)
    assert len(given) > 7


def test_our_own_files_hold_the_whole(tmp_path: Path) -> None:
    graph = elaborate(spec(EACH), {})
    given = arrays(graph)
    save_weights(tmp_path / "own.safetensors", given, graph)
    same(load_weights(tmp_path / "own.safetensors", graph), given)


def test_a_layer_that_a_file_lacks_is_named(tmp_path: Path) -> None:
    opened, graph, _, folder = exported(EACH, tmp_path)
    with attndsl.weights.sources.WeightsSource(folder / "model.safetensors") as source:
        tensors = {name: source.read(name) for name in source.names if name != "1.1.down.weight"}
    write_tensors(tmp_path / "lacking.safetensors", tensors)
    with pytest.raises(AttnError) as caught:
        load_weights(tmp_path / "lacking.safetensors", graph, opened.weights)
    (told,) = caught.value.diagnostics
    assert (told.code, "1.1.down.weight" in told.message) == ("E0605", True)
    assert "h.1.moe.experts.1.down.weight" in (told.primary.text if told.primary else "")


@pytest.mark.parametrize(
    ("lines", "code", "said"),
    [
        ('"{i}.{e}.up." <-> linear(h[i].moe.experts[e].up)', "E0622", "`h[i].moe.experts[i].down.weight`"),
        (EACH.replace("[e][map]", "[2*e][map]"), "E0623", "in every layer"),
        (EACH + WHOLE, "E0621", "is mapped twice"),
        (EACH + '\n"x.{i}.{e}": [out, in] <-> h[i].moe.experts[e].side.weight', "E0620", "no layer"),
    ],
)
def test_what_does_not_fit_is_told(lines: str, code: str, said: str) -> None:
    opened = spec(lines)
    with pytest.raises(AttnError) as caught:
        attndsl.weights.mapping.WeightMap(opened.weights[0], elaborate(opened, {}))
    assert {told.code for told in caught.value.diagnostics} == {code}
    assert any(said in told.message for told in caught.value.diagnostics)


def test_mixtures_of_mixtures_have_an_index_for_each(tmp_path: Path) -> None:
    text = """model M(width=3) {
  input x: [B, T, width]
  input a: int[B, T] where a < 2
  input b: int[B, T] where b < 3
  inner = take(mlp(4), b, over=[inner=3])
  output y = x |> take(inner, a, over=[outer=2]) as moe
}
weights M from huggingface {
  config { width = d }
  "{i}.{j}.{map in [up, down]}." <-> linear(moe[i][j][map])
}"""
    opened = open_text(text)
    graph = elaborate(opened, {})
    given = arrays(graph)
    export_huggingface(tmp_path / "out", graph, given, opened.weights[0])
    same(load_weights(tmp_path / "out", graph, opened.weights), given)
    assert attndsl.parse(text).compare(gradients=True, sizes={"B": 2, "T": 3}).ok
