"""What a `weights` section writes once and means several times: lists in names, prefixes, `maps`, sums."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attndsl.diagnostics import AttnError, Diagnostic
from attndsl.elaborate import elaborate, open_spec, open_text
from attndsl.graph import Graph
from attndsl.storage.safetensors import TensorFile, write_tensors
from attndsl.weights import check_section, export_huggingface, load_weights
from attndsl.weights.mapping import WeightMap
from tests.weights.models import arrays_for, graph_of, parameter, section_of

WIDTH = "width"


def graph(**settings: object) -> Graph:
    """`a` and `b` with a norm each, a stack `h` of two layers, and a map `f` with a bias only where `biased`."""
    values = {"width": 3, "depth": 2, "biased": True, **settings}
    h = (range(2),)
    found = [parameter(f"{side}.norm.{part}", WIDTH) for side in "ab" for part in ("scale", "shift")]
    found += [parameter(f"h.*.attn.{part}.weight", "in=width", "out=width", layers=h) for part in ("q", "k")]
    found += [parameter(f"h.*.norm_{n}.scale", WIDTH, layers=h) for n in (1, 2)]
    found.append(parameter("f.weight", "in=width", "out=2*width"))
    if values["biased"]:
        found.append(parameter("f.bias", "out=2*width"))
    return graph_of("M", values, *found)


WRONG_NORM = 'maps norm(at) { "weight" <-> at.scael, "bias" <-> at.shift }'
REST = {
    "a": '"a." <-> layer_norm(a.norm)',
    "b": '"b." <-> layer_norm(b.norm)',
    "q": '"h.{i}.{part in [q, k]}" : [out, in] <-> h[i].attn[part].weight',
    "n": '"h.{i}.{n in [1 -> norm_1, 2 -> norm_2]}" <-> h[i][n].scale',
    "f": '"f." <-> linear(f)',
}


def section(*lines: str, without: str = "") -> str:
    body = [*lines, *(line for key, line in REST.items() if key not in without)]
    return "weights M from x {\n  " + "\n  ".join(body) + "\n}\n"


def items(text: str, **settings: object) -> dict[str, list[str]]:
    """The parameters by the published name that holds them."""
    mapped = WeightMap(section_of(text), graph(**settings)).items()
    return {item.full_name(True): [address for address, _ in item.form.leaves()] for item in mapped}


def wrong(text: str, **settings: object) -> list[Diagnostic]:
    return check_section(section_of(text), graph(**settings))


# ---------------------------------------------------------------- lists and prefixes


def test_lists_name_both_sides() -> None:
    found = items(section())
    assert found["h.1.k"] == ["h.1.attn.k.weight"]
    assert found["h.0.2"] == ["h.0.norm_2.scale"]
    assert len(found) == 4 + 4 + 4 + 2


def test_lists_multiply_in_the_order_written() -> None:
    text = '"{side in [a, b]}.{part in [w -> scale, b -> shift]}" <-> side.norm[part]'
    found = items(section(text, without="ab"))
    assert list(found)[:4] == ["a.w", "a.b", "b.w", "b.b"]
    assert found["b.b"] == ["b.norm.shift"]


def test_an_element_may_be_a_path_or_a_layer() -> None:
    assert items(section('"{of in [x -> a.norm, y -> b.norm]}." <-> layer_norm(of)', without="ab"))["y.bias"]
    found = items(
        section('"first.{n in [one -> 1, none -> 0]}.{p in [q, k]}": [out, in] <-> h[n].attn[p].weight', without="q")
    )
    assert found["first.one.k"] == ["h.1.attn.k.weight"]


def test_prefixes_go_before_what_they_surround() -> None:
    text = """prefix "m." optional {
    prefix "{side in [a, b]}." { "norm." <-> layer_norm(side.norm) }
    prefix "h.{i}." { "{part in [q, k]}": [out, in] <-> h[i].attn[part].weight }
    ignore "{old in [a, b]}.{i}"
  }"""
    mapping = WeightMap(section_of(section(text, without="abq")), graph())
    names = {item.full_name(False): item.full_name(True) for item in mapping.items()}
    assert names["a.norm.weight"] == "m.a.norm.weight"
    assert names["h.1.q"] == "m.h.1.q"
    assert names["f.bias"] == "f.bias"
    assert [family.matches("m.b.3") and family.matches("b.3") for family in mapping.families] == [False, True]


def test_a_prefix_without_braces_goes_before_all_below_it_up_to_the_next() -> None:
    lines = ['prefix "a." optional', '"norm." <-> layer_norm(a.norm)', 'prefix "b."', '"norm." <-> layer_norm(b.norm)']
    braces = 'prefix "a." optional { "norm." <-> layer_norm(a.norm) }; prefix "b." { "norm." <-> layer_norm(b.norm) }'
    rest = [REST[key] for key in "qnf"]
    found = WeightMap(section_of(section(*rest, *lines, without="abqnf")), graph()).items()
    same = WeightMap(section_of(section(*rest, *braces.split("; "), without="abqnf")), graph()).items()
    assert [item.full_name(True) for item in found] == [item.full_name(True) for item in same]
    assert {"norm.weight", "b.norm.bias", "h.1.k"} <= {item.full_name(False) for item in found}


def test_a_condition_reads_a_word() -> None:
    text = """prefix "{side in [a, b]}." {
    if side == "a" and biased { "first." <-> layer_norm(side.norm) } else { "other." <-> layer_norm(side.norm) }
  }"""
    found = items(section(text, without="ab"))
    assert "a.first.weight" in found
    assert "b.other.bias" in found
    assert "a.other.weight" in items(section(text, without="ab"), biased=False)


# ---------------------------------------------------------------- maps


def test_maps_use_maps_with_what_they_are_given() -> None:
    text = """maps named(name, at, map) { "{name}.norm." <-> map(at) }
  maps both(one, other) { "{w in [x -> one, y -> other]}." <-> named("it", w.norm, layer_norm) }
  "all." <-> both(a, other=b)"""
    found = items(section(text, without="ab"))
    assert found["all.x.it.norm.weight"] == ["a.norm.scale"]
    assert found["all.y.it.norm.bias"] == ["b.norm.shift"]


def test_a_name_that_is_given_is_a_layer_below_another() -> None:
    found = items(section('maps below(at, name) { "{name}" <-> at[name].scale }\n  "h.{i}." <-> below(h[i], norm_1)\n'
                          '  "h.{i}.2" <-> h[i].norm_2.scale', without="n"))  # fmt: skip
    assert found["h.1.norm_1"] == ["h.1.norm_1.scale"]


def test_a_layer_is_given_by_its_index() -> None:
    text = 'maps at(n) { "at.{n}.and.{n+1}" <-> h[n].norm_1.scale }\n  "i{i}." <-> at(i)'
    text += '\n  "h.{i}.2" <-> h[i].norm_2.scale'
    assert items(section(text, without="n"))["i1.at.1.and.2"] == ["h.1.norm_1.scale"]
    text = (
        'maps at(n) { "{2*n}" <-> h[n].norm_1.scale }\n  "{n in [0, 1]}." <-> at(n)\n  "h.{i}.2" <-> h[i].norm_2.scale'
    )
    assert items(section(text, without="n"))["1.2"] == ["h.1.norm_1.scale"]


def test_sizes_and_axes_may_be_given() -> None:
    text = 'maps wide(at, first) { "": [first, in] <-> at.weight }\n  "f.w" <-> wide(f, out)\n  "f.b" <-> f.bias'
    assert items(section(text, without="f"))["f.w"] == ["f.weight"]


def test_a_line_without_its_parameter_is_left_out_where_it_is_optional() -> None:
    assert "f.bias" in items(section())
    assert "f.bias" not in items(section(), biased=False)
    (found,) = wrong(section('"f.weight": [out, in] <-> f.weight\n  "f.bias" <-> f.bias', without="f"), biased=False)
    assert (found.code, found.message) == ("E0620", "the model has no parameter `f.bias`")


@pytest.mark.parametrize(("arrow", "takes", "gives"), [("<->", True, True), ("<-", True, False), ("->", False, True)])
def test_a_use_goes_the_ways_of_its_arrow(arrow: str, takes: bool, gives: bool) -> None:
    text = section(f'"copy." {arrow} layer_norm(a.norm)', without="a" if arrow == "<->" else "")
    mapped = WeightMap(section_of(text), graph()).items()
    (copy,) = (item for item in mapped if item.name == "copy.bias")
    assert (copy.line.takes, copy.line.gives) == (takes, gives)


def test_a_line_of_the_other_way_is_left_out() -> None:
    text = section('maps old(at) { "gamma" <- at.scale, "weight" -> at.scale }\n  "copy." <- old(a.norm)')
    assert "copy.gamma" in items(text)
    assert "copy.weight" not in items(text)


def test_an_index_in_maps_is_their_own() -> None:
    """`{i}` inside counts the layers of `at`, and not those of the name before it."""
    values = {"width": 3}
    stack = graph_of("M", values, parameter("out.*.in.*.scale", WIDTH, layers=(range(2), range(3))))
    text = 'weights M from x {\n  maps inner(at) { "{i}" <-> at[i].scale }\n  "{i}." <-> inner(out[i].in)\n}\n'
    names = {item.name: [a for a, _ in item.form.leaves()] for item in WeightMap(section_of(text), stack).items()}
    assert names["1.2"] == ["out.1.in.2.scale"]
    assert len(names) == 6


def test_maps_beside_a_section_and_imported_ones_are_found(tmp_path: Path) -> None:
    (tmp_path / "names.attn").write_text('maps affine(at) { "w" <-> at.scale, "b" <-> at.shift }\n')
    model = "model M(width=4) {\n  input x: [B, width]\n  output y = layer_norm(x) as norm\n}\n"
    weights = 'weights M from x { "n." <-> %s(norm) }\n'
    heads = (
        'use "names.attn"\n',
        'use "names.attn": affine as given\n',
        'maps given(at) { "w" <-> at.scale, "b" <-> at.shift }\n',
    )
    for at, head in enumerate(heads):
        path = tmp_path / f"{at}.attn"
        path.write_text(head + model + weights % ("given" if "given" in head else "affine"))
        spec = open_spec(str(path))
        assert check_section(spec.weights[0], elaborate(spec, {}), spec) == []


# ---------------------------------------------------------------- mistakes

WRONG = [
    # lines, which of the rest they replace, the code, what is underlined, a part of the message, what is labelled too
    ('"n." <-> layer_norm(a.nrom)', "a", "E0620", "a.nrom", "no layer `a.nrom`", "layer_norm(a.nrom)"),
    (WRONG_NORM + '\n  "n." <-> norm(a.norm)', "a", "E0620", "at.scael", "`a.norm.scael`", "norm(a.norm)"),
    ('"n." <-> layer_nrom(a.norm)', "a", "E0633", "layer_nrom", "did you mean `layer_norm`?", None),
    ('"n." <-> layer_norm(a, norm)', "a", "E0633", "layer_norm(a, norm)", "what it takes", "layer_norm"),
    ('"n." <-> layer_norm(to=a.norm)', "a", "E0633", "layer_norm(to=a.norm)", "what it takes", "layer_norm"),
    ('"n.": [width] <-> layer_norm(a.norm)', "a", "E0633", "[width]", "state their own axes", None),
    ('"n." + "m." <-> layer_norm(a.norm)', "a", "E0633", '"m."', "cannot be added", None),
    ('maps more(at) { "x" <-> more(at) }\n  "n." <-> more(a.norm)', "a", "E0633", "more(at)", "use themselves", None),
    ('maps own(at) { "x" <-> at[i].norm_1.scale }', "", "E0633", "i", "not an index of the maps `own`", None),
    ('maps own(at) { "x{at}" <-> at.scale }\n  "{i}" <-> own(h[i].norm_1)', "n", "E0626", "{at}", "not a string", None),
    ('prefix "a." { prefix "m." optional { } }', "", "E0633", '"m."', "must be outermost", None),
    ('"{x in [q k]}" <-> a', "", "E0626", "{x in [q k]}", "no list of names", None),
    ('"{x in q}" <-> a', "", "E0626", "{x in q}", "[query -> q, key -> k]", None),
    ('"n.{x in [q -> a, q -> b]}" <-> a', "", "E0626", "{x in [q -> a, q -> b]}", "in this list twice", None),
    ('"a." <-> layer_norm(a.norm)', "", "E0629", "layer_norm(a.norm)", "`a.weight` is mapped twice", '"weight"'),
    ('"x." <-> layer_norm(a.norm)', "", "E0621", "layer_norm(a.norm)", "`a.norm.scale` is mapped twice", "at.scale"),
    ('if side == "a" { }', "", "E0630", "side", "no hyperparameter", None),
    ('maps own(at) { if biasd { "x" <-> at } }', "", "E0630", "biasd", "did you mean `biased`?", None),
    ('"n" + "m.{i}" <-> a.norm.scale', "a", "E0626", '"m.{i}"', "the same indices", None),
    ('"n" + "m" <- 0', "", "E0625", '"m"', "added up", None),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "without", "code", "at", "says", "other"), WRONG)
def test_a_mistake_is_told_where_it_is(
    lines: str, without: str, code: str, at: str, says: str, other: str | None
) -> None:
    found = wrong(section(lines, without=without))
    first = found[0]
    assert (first.code, first.primary and first.primary.span.text) == (code, at)
    assert says in " ".join([first.message, *first.notes, *first.helps])
    assert other is None or other in [label.span.text for label in first.secondary]


def test_one_mistake_in_maps_is_one_error_however_often_they_are_used() -> None:
    text = section(WRONG_NORM + '\n  "{s in [a, b]}." <-> norm(s.norm)', without="ab")
    (found,) = wrong(text)
    assert "also: the model has no parameter `b.norm.scael`" in found.notes


def test_a_layer_that_is_not_there_is_one_error() -> None:
    (found,) = wrong(section('"n." <-> layer_norm(c.norm)'))
    assert found.message == "the model has no layer `c`"


def test_maps_that_double_are_refused_in_time() -> None:
    lines = ['maps m0(at) { ignore "x" }'] + [
        f'maps m{n}(at) {{ "a" <-> m{n - 1}(at), "b" <-> m{n - 1}(at) }}' for n in range(1, 40)
    ]
    for first in (lines[0], "maps m0(at) { }"):
        (found,) = wrong(section(first, *lines[1:], '"n" <-> m39(a)'))
        assert (found.code, "20,000" in found.message) == ("E0633", True)
    names = "".join(f"{{x{n} in [0, 1]}}" for n in range(40))
    for line in (f'ignore "{names}"', f'prefix "{names}" {{ }}', f'"{names}" <- a.norm.scale'):
        assert [it.code for it in wrong(section(line))] == ["E0633"]


def test_a_name_alone_goes_behind_ignore() -> None:
    for line in ('"x"', '"a." <-> layer_norm(a.norm), "x"', 'ignore "y"\n  "x"'):
        with pytest.raises(AttnError) as raised:
            section_of(section(line))
        (found,) = raised.value.diagnostics
        assert (found.code, found.primary and found.primary.span.text) == ("E0010", '"x"')
    assert wrong(section('ignore "x", "y{i}", "{z in [a, b]}"')) == []


def test_several_mistakes_are_told_at_once_each_with_its_use() -> None:
    lines = ('maps own(at) { "x{at}" <-> at.scale }', '"{i}" <-> own(h[i].norm_1)', '"n." <-> layer_norm(a, b)')
    found = wrong(section(*lines, '"{x in}" <-> a.scale'))
    assert [it.code for it in found] == ["E0626", "E0633", "E0626"]
    assert found[0].secondary[-1].span.text == "own(h[i].norm_1)"


# ---------------------------------------------------------------- sums


def test_two_biases_are_one(tmp_path: Path) -> None:
    """As nn.RNN and nn.LSTM have it: what is loaded is the sum, what is written has the sum in the first."""
    model = graph_of("M", {"hidden": 3}, parameter("cell.*.bias", "hidden", layers=(range(2),)))
    text = 'weights M from x { prefix "rnn." { "bias_ih_l{i}" + "bias_hh_l{i}" <-> cell[i].bias } }\n'
    section = section_of(text)
    assert check_section(section, model) == []
    random = np.random.default_rng(0)
    names = [f"rnn.bias_{of}_l{i}" for i in range(2) for of in ("ih", "hh")]
    file = {name: random.standard_normal(3).astype(np.float32) for name in names}
    write_tensors(tmp_path / "model.safetensors", file, {})
    back = load_weights(tmp_path / "model.safetensors", model, [section])
    for i in range(2):
        assert np.array_equal(back[f"cell.{i}.bias"], file[f"rnn.bias_ih_l{i}"] + file[f"rnn.bias_hh_l{i}"])
    export_huggingface(tmp_path / "hf", model, back, section)
    with TensorFile(tmp_path / "hf" / "model.safetensors") as written:
        assert np.array_equal(written.read("rnn.bias_ih_l1"), back["cell.1.bias"])
        assert not written.read("rnn.bias_hh_l1").any()
    again = load_weights(tmp_path / "hf", model, [section])
    assert all(np.array_equal(again[name], back[name]) for name in back)


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        ({"rnn.bias_hh_l1": None}, "E0605", "rnn.bias_hh_l1"),
        ({"rnn.bias_ih_l0": np.zeros(4, np.float32)}, "E0607", "rnn.bias_ih_l0"),
        ({"rnn.bias_hh_l0": np.zeros(3, np.int32)}, "E0608", "rnn.bias_hh_l0"),
    ],
)
def test_each_of_two_biases_has_to_be_there(tmp_path: Path, change: dict[str, object], code: str, says: str) -> None:
    model = graph_of("M", {"hidden": 3}, parameter("cell.*.bias", "hidden", layers=(range(2),)))
    section = section_of('weights M from x { "rnn.bias_ih_l{i}" + "rnn.bias_hh_l{i}" <-> cell[i].bias }\n')
    file = {f"rnn.bias_{of}_l{i}": np.ones(3, np.float32) for i in range(2) for of in ("ih", "hh")}
    write_tensors(tmp_path / "m.safetensors", {k: v for k, v in {**file, **change}.items() if v is not None}, {})
    with pytest.raises(AttnError) as raised:
        load_weights(tmp_path / "m.safetensors", model, [section])
    (found,) = raised.value.diagnostics
    assert found.code == code
    assert says in found.message


def test_arrays_are_a_round_trip_through_maps(tmp_path: Path) -> None:
    model, text = graph(), section_of(section())
    arrays = arrays_for(model)
    export_huggingface(tmp_path / "hf", model, arrays, text)
    back = load_weights(tmp_path / "hf", model, [text])
    assert all(np.array_equal(back[name], arrays[name]) for name in arrays)


def test_std_maps_fit_the_blocks_that_they_are_called_after() -> None:
    text = """model M(width=4) {
  input x: [B, width]
  x = linear(x, 2 * width) as a |> linear(width, bias=false) as b
  output y = x |> layer_norm as c |> rms_norm as d
}
weights M from x { "a." <-> linear(a), "b." <-> linear(b), "c." <-> layer_norm(c), "d." <-> rms_norm(d) }
"""
    spec = open_text(text)
    assert check_section(spec.weights[0], elaborate(spec, {}), spec) == []
