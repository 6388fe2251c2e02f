"""Totals against closed formulas and published sizes; the tree; sizes and their defaults; the JSON form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import load
from attndsl.inspection import LayerReport, Report, inspect, render_tree
from attndsl.inspection.table import memory, quantity
from tests.costs import less_than
from tests.std.meaning import written

MIXED = Path(__file__).parent.parent / "drawing" / "specs" / "alternating.attn"
TRANSFORMER = MIXED.with_name("transformer.attn")


def layer(report: Report, path: str) -> LayerReport:
    (found,) = [entry for entry in report.walk() if entry.path == path]
    return found


def write(folder: Path, text: str) -> str:
    file = folder / "spec.attn"
    file.write_text(text)
    return str(file)


# ---------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("spec", "parameters"),
    [
        ("gpt2", 124_439_808),
        ("gpt2:medium", 354_823_168),
        ("gpt2:large", 774_030_080),
        ("gpt2:xl", 1_557_611_200),
        ("gpt3:175b", 174_604_259_328),
    ],
)
def test_published_sizes(spec: str, parameters: int) -> None:
    report = inspect(load(spec, {}), {})
    assert report.totals.parameters == parameters
    assert sum(entry.parameters_total for entry in report.layers) == parameters
    assert report.totals.parameter_bytes == 4 * parameters


def test_parameters_of_one_copy_and_of_all() -> None:
    report = inspect(load("gpt2", {}), {})
    width = 768
    attention, norm, mlp = 4 * (width * width + width), 2 * width, 8 * width * width + 5 * width
    assert layer(report, "h.*.attn").parameters == attention
    assert layer(report, "h.*.attn").parameters_total == 12 * attention
    assert layer(report, "h.*.attn").copies == 12
    assert layer(report, "h").parameters == attention + 2 * norm + mlp
    assert layer(report, "h").parameters_total == 12 * (attention + 2 * norm + mlp)
    assert layer(report, "h").repeats == 12
    assert layer(report, "wte").parameters == layer(report, "wte").parameters_total == 50257 * width


def test_what_passes_move_out_of_a_repeat_is_still_its_own() -> None:
    from attndsl.passes.pipeline import optimize

    plain = load("gpt2", {})
    before, after = inspect(plain, {}), inspect(optimize(plain)[0], {})
    for path in ("h.*.attn", "h.*.attn.q", "h"):
        assert layer(after, path).copies == layer(before, path).copies
        assert layer(after, path).parameters == layer(before, path).parameters
    assert after.totals.parameters == before.totals.parameters
    assert after.totals.activation_bytes < before.totals.activation_bytes


def test_layers_that_exist_in_some_iterations() -> None:
    report = inspect(load(str(MIXED), {"depth": "7"}), {})
    assert layer(report, "h.*.attn").copies == 4
    assert layer(report, "h.*.gate").copies == 3
    one = layer(report, "h.*.attn").parameters
    assert layer(report, "h.*.attn").parameters_total == 4 * one
    assert layer(report, "t.step").copies == 1  # a scan's steps share their parameters
    assert layer(report, "t").repeats == 64
    assert sum(entry.parameters_total for entry in report.layers) == report.totals.parameters


def test_shared_parameters_count_once() -> None:
    report = inspect(load(str(TRANSFORMER), {}), {})
    assert [item.address for item in report.shared] == ["shared.table"]
    assert sum(entry.parameters_total for entry in report.layers) == report.totals.parameters == 63_606_784


# ---------------------------------------------------------------- operations


@pytest.mark.parametrize(("B", "T", "depth"), [(1, 1024, 12), (3, 7, 2), (2, 1, 1)])
def test_products_of_gpt2_by_hand(B: int, T: int, depth: int) -> None:
    report = inspect(load("gpt2", {"depth": str(depth)}), {"B": B, "T": T})
    width, vocab = 768, 50257
    projections = 2 * B * T * (4 * width * width + 8 * width * width)  # q, k, v, out; up, down
    scores = 2 * 2 * B * T * T * width  # queries with keys, weights with values
    assert report.totals.contraction_flops == depth * (projections + scores) + 2 * B * T * width * vocab
    assert 0 <= report.totals.flops - report.totals.contraction_flops < 0.5 * report.totals.flops


def test_a_scan_counts_every_step() -> None:
    short, long = (inspect(load(str(MIXED), {}), {"T": T}) for T in (8, 32))
    assert layer(long, "t.step").flops == 4 * layer(short, "t.step").flops
    assert layer(short, "t.step").flops >= 8 * 2 * (2 * 32) * 32


def test_costs_add_up() -> None:
    for spec in ("gpt2", str(MIXED), str(TRANSFORMER)):
        report = inspect(load(spec, {}), {})
        assert sum(entry.flops for entry in report.layers) == report.totals.flops
        assert sum(entry.activation_bytes for entry in report.layers) == report.totals.activation_bytes
        for entry in report.walk():
            assert sum(child.flops for child in entry.children) <= entry.flops


def test_a_billion_layers_are_counted_not_walked() -> None:
    with less_than(5):
        report = inspect(load("gpt2", {"depth": str(10**9)}), {})
        assert report.totals.parameters == 10**9 * 7_087_872 + 39_385_344
        assert layer(report, "h").copies == 1
        assert layer(report, "h.*.mlp").copies == 10**9
        render_tree(report)


def test_no_layers_cost_nothing() -> None:
    report = inspect(load(str(TRANSFORMER), {"depth": "0"}), {})
    for path in ("encoder.layer", "decoder.layer", "decoder.layer.*.cross"):
        entry = layer(report, path)
        assert (entry.parameters_total, entry.flops, entry.activation_bytes) == (0, 0, 0)


# ---------------------------------------------------------------- sizes


def test_defaults_are_what_the_constraints_allow() -> None:
    sizes = {size.name: (size.value, size.given) for size in inspect(load("gpt2", {"context": "77"}), {"B": 4}).sizes}
    assert sizes == {"B": (4, True), "T": (77, False)}


def test_a_length_that_must_divide(tmp_path: Path) -> None:
    spec = write(
        tmp_path,
        "model M(P=7, C=3, D=8) {\n  input x: [B, T, C] where T % P == 0\n  output y = linear(x, D) as l\n}\n",
    )
    (t,) = [size for size in inspect(load(spec, {}), {}).sizes if size.name == "T"]
    assert t.value % 7 == 0
    assert t.value >= 128


@pytest.mark.parametrize(
    ("sizes", "code", "help"),
    [
        ({"S": 3}, "E0803", None),
        ({"width": 3}, "E0803", "`width` is a hyperparameter: use `--set width=3`"),
        ({"T": 0}, "E0911", "give one: `--size T=2`"),
        ({"T": 1025}, "E0211", None),
    ],
)
def test_sizes_that_cannot_be(sizes: dict[str, int], code: str, help: str | None) -> None:
    with pytest.raises(AttnError) as caught:
        inspect(load("gpt2", {}), sizes)
    (problem,) = caught.value.diagnostics
    assert problem.code == code
    assert help is None or help in problem.helps


# ---------------------------------------------------------------- the forms


def test_shapes_in_names_and_in_numbers() -> None:
    report = inspect(load("gpt2", {}), {"B": 2, "T": 16})
    assert layer(report, "h.*.mlp.up").output == ("B", "T", "4*width")
    assert layer(report, "h.*.mlp.up").shape == (2, 16, 3072)
    assert layer(report, "wpe").shape == (16, 768)


def test_json_has_a_schema_and_every_layer() -> None:
    report = inspect(load("gpt2", {}), {"B": 2})
    data = json.loads(json.dumps(report.to_json()))
    assert data["schema"] == "attndsl.inspect/1"
    assert set(data) == {
        "schema", "model", "variant", "doc", "hyperparameters", "sizes", "conventions", "shared", "states", "totals",
        "layers",
    }  # fmt: skip
    assert data["totals"]["parameters"] == 124_439_808
    assert data["hyperparameters"]["width"] == 768
    assert data["sizes"][0] == {"name": "B", "value": 2, "given": True, "reason": None}
    assert data["sizes"][1]["reason"] == "default: the largest that `T <= context` allows"

    def count(layers: list[dict[str, object]]) -> int:
        return sum(1 + count(entry["children"]) for entry in layers)  # type: ignore[arg-type]

    assert count(data["layers"]) == len(list(report.walk()))
    assert {entry["kind"] for entry in data["layers"]} >= {"embedding", "repeat", "layer_norm"}


@pytest.mark.parametrize("spec", ["gpt2", "gpt2:xl", "gpt3:175b", "gpt_nano", str(MIXED), str(TRANSFORMER)])
def test_the_tree_fits_and_lines_up(spec: str) -> None:
    text = render_tree(inspect(load(spec, {}), {}), width=100)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    assert not any(line.endswith(" ") for line in lines)
    (heading,) = [line for line in lines if line.startswith("layer ")]
    end = heading.index("parameters") + len("parameters")
    table = lines[lines.index(heading) + 1 :]
    for line in table[: table.index("")]:
        assert len(line) <= end or line[end] == " ", "columns of numbers end together"


def test_the_tree_shows_a_repeat_once_and_marks_what_is_shared() -> None:
    text = render_tree(inspect(load("gpt2", {}), {}))
    assert text.count("attn attention") == 1
    assert "h × 12" in text
    assert "wte* embedding" in text
    assert "* wte.table is shared, counted once" in text
    assert "parameters   124,439,808" in text
    assert "dropout" not in text  # costs nothing to list


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1000, "1.0 k"), (291_648_307_200, "291.6 G"), (2 * 10**15, "2.0 P")]
)
def test_quantities(value: int, text: str) -> None:
    assert quantity(value) == text


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (3 * 2**30, "3.0 GiB")])
def test_memory(size: int, text: str) -> None:
    assert memory(size) == text


def test_operations_are_those_in_use_and_memory_that_of_training() -> None:
    """A branch for training costs no operations in use, and one for use keeps nothing for a backward pass."""
    text = """
model M(width=8) {
  input x: [B, width]
  output y = (x |> linear(16) as wide |> tanh |> linear(width) as back) if training else linear(x, width) as short
}
"""
    report = inspect(written(text), {"B": 3})
    layers = {layer.path: layer for layer in report.layers}
    assert [layers[path].flops for path in ("wide", "back", "short")] == [0, 0, 3 * (2 * 8 * 8 + 8)]
    assert report.totals.activation_bytes == 4 * 3 * 16
    assert layers["short"].activation_bytes == 0
    assert report.totals.parameters == 8 * 16 + 16 + 16 * 8 + 8 + 8 * 8 + 8


def test_states_are_listed_with_their_axes(tmp_path: Path) -> None:
    text = """model M(width=4, depth=3, M=5) {
  input x: [B, T, width]
  state seen: int[B] = 0
  seen <- seen + T
  repeat h in depth {
    state memory: [B, M, width] = zeros
    past = concat(memory, x, over=[M, T] -> K)
    x += attention(x, past, 2) as attn
    memory <- past[K=T:]
  }
  output y = x
  output z = seen
}
"""
    report = inspect(load(write(tmp_path, text)), {"B": 2, "T": 7})
    assert [(s.address, s.dtype, s.axes, s.shape, s.copies, s.bytes) for s in report.states] == [
        ("seen", "int", ("B",), (2,), 1, 16),
        ("h.*.memory", "float", ("B", "M", "width"), (2, 5, 4), 3, 480),
    ]
    shown = render_tree(report)
    assert "state seen: int[B], 2, 16 B" in shown
    assert "state h.*.memory: float[B, M, width] in each of 3 layers, 2×5×4, 480 B" in shown
    assert report.to_json()["states"][1]["axes"] == ["B", "M", "width"]
