"""Mapping expressions: what they compute, and that each undoes itself."""

from __future__ import annotations

import numpy as np
import pytest

from attndsl.diagnostics import AttnError
from attndsl.graph import Axis, Graph, Initializer, ParameterInfo, Type
from attndsl.sizes import Size
from attndsl.weights.forms import Form
from attndsl.weights.mapping import WeightMap
from tests.weights.models import arrays_for, axis, codes, graph_of, parameter, section_of

SIZES = {"width": 6, "heads": 3, "vocab": 5, "depth": 2, "channels": 3, "patch": 2, "context": 4}
PLACES = Axis.of(Size.symbol("context") + Size.of(2))


def graph() -> Graph:
    h = (range(2),)
    return graph_of(
        "M", SIZES,
        *(parameter(f"{n}.weight", "in=width", "out=width") for n in ("q", "k", "v")),
        *(parameter(f"{n}.bias", "out=width") for n in ("q", "k", "v")),
        parameter("table", "vocab", "width"),
        parameter("conv", "width", "3", "heads"),
        parameter("wide", "in=width", "out=4*width"),
        parameter("h.*.scale", "width", layers=h),
        parameter("patches", "in=channels*patch*patch", "out=width"),
        ParameterInfo("places", Type("float", (PLACES, axis("width"))), Initializer("zeros")),
    )  # fmt: skip


def form_of(line: str) -> Form:
    text = "weights M from x {\n  " + line + "\n}\n"
    with pytest.raises(AttnError) as raised:  # one line never maps the whole model
        WeightMap(section_of(text), graph())
    if set(codes(raised.value)) - {"E0622", "E0623"}:
        raise raised.value
    whole = WeightMap.__new__(WeightMap)
    with pytest.raises(AttnError):
        whole.__init__(section_of(text), graph())  # type: ignore[misc]
    return whole.items()[0].form


def interleaved(a: dict[str, np.ndarray]) -> np.ndarray:
    heads = [[a[f"{n}.weight"].reshape(6, 3, 2)[:, h].T for n in ("q", "k", "v")] for h in range(3)]
    return np.concatenate([part for head in heads for part in head])


CASES = {
    '"a": [vocab, width] <-> table': lambda a: a["table"],
    '"a": [width, vocab] <-> table': lambda a: a["table"].T,
    '"a": [out, in] <-> q.weight': lambda a: a["q.weight"].T,
    '"a": [heads, width, 3] <-> conv': lambda a: a["conv"].transpose(2, 0, 1),
    '"a": [4 * width, width] <-> wide': lambda a: a["wide"].T,
    '"a": [out, in] <-> concat(q.weight, k.weight, v.weight, over=out)': lambda a: np.concatenate(
        [a["q.weight"].T, a["k.weight"].T, a["v.weight"].T]
    ),
    '"a": [in, out] <-> concat(q.weight, wide, over=out)': lambda a: np.concatenate([a["q.weight"], a["wide"]], 1),
    '"a" <-> concat(q.bias, k.bias, v.bias, over=out)': lambda a: np.concatenate([a[f"{n}.bias"] for n in "qkv"]),
    '"a": [part, out] <-> concat(q.bias, k.bias, over=part)': lambda a: np.stack([a["q.bias"], a["k.bias"]]),
    '"a": [in, part, out] <-> concat(q.weight, k.weight, over=part)': lambda a: np.stack(
        [a["q.weight"], a["k.weight"]], 1
    ),
    '"a": [width, all] <-> concat(rearrange(table, [vocab] -> [rows]), conv |> rearrange([3, heads] -> [r=3*heads]), '
    "over=[rows, r] -> all)": lambda a: np.concatenate([a["table"].T, a["conv"].reshape(6, 9)], 1),
    '"a": [heads, head, in] <-> rearrange(q.weight, [out=heads*head] -> [heads, head])': lambda a: a["q.weight"]
    .T.reshape(3, 2, 6),
    '"a": [out, in] <-> concat(q.weight, k.weight, v.weight, over=part) '
    "|> rearrange([part, out=heads*head] -> [out=heads*part*head])": interleaved,
    '"a": [out, C, P, Q] <-> rearrange(patches, [in] -> [C=channels, P=patch, Q=patch])': lambda a: a["patches"]
    .T.reshape(6, 3, 2, 2),
    '"a": [P, out, C, Q] <-> rearrange(patches, [in] -> [Q=patch, C, P=patch])': lambda a: a["patches"]
    .reshape(2, 3, 2, 6).transpose(2, 3, 1, 0),
    '"a": [out, in] <-> rearrange(rearrange(patches, [in] -> [C=channels, rest]), [rest, C] -> [in])': lambda a: a[
        "patches"
    ].reshape(3, 4, 6).transpose(2, 1, 0).reshape(6, 12),
    '"a": [heads, head, in] <-> rearrange(q.weight, [out] -> [heads, head])': lambda a: a["q.weight"]
    .T.reshape(3, 2, 6),
    '"a": [context + 2, width] <-> places': lambda a: a["places"],
    '"a": [1, width, 1, context + 2] <-> places': lambda a: a["places"].T[None, :, None],
    '"a": [1, 1, out] <-> q.bias': lambda a: a["q.bias"][None, None],
    '"a" <-> h[0].scale - 1': lambda a: a["h.0.scale"] - 1,
    '"a" <-> 3 - 2 * h[1].scale': lambda a: 3 - 2 * a["h.1.scale"],
    '"a" <-> -exp(h[1].scale / 4)': lambda a: -np.exp(a["h.1.scale"] / 4),
}  # fmt: skip


@pytest.mark.parametrize("line", CASES)
def test_a_form_computes_what_it_says_and_its_inverse_undoes_it(line: str) -> None:
    form = form_of(line)
    arrays = arrays_for(graph(), dtype="float64")
    published = form.evaluate(arrays.__getitem__)
    expected = CASES[line](arrays)
    assert published.shape == form.shape
    assert np.allclose(published, expected, rtol=1e-15, atol=1e-15)
    back = dict(form.invert(expected))
    assert back.keys() == {address for address, _ in form.leaves()}
    for address, array in back.items():
        assert array.shape == arrays[address].shape
        assert np.allclose(array, arrays[address], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("line", "code", "at"),
    [
        ('"a" <-> table', "E0624", '"a"'),
        ('"a": [width] <-> table', "E0624", "[width]"),
        ('"a": [width, width] <-> table', "E0624", "width"),
        ('"a": [vocab, widht] <-> table', "E0624", "widht"),
        ('"a": [width, width] <-> q.weight', "E0624", "width"),
        ('"a": [*] <-> q.bias', "E0624", "*"),
        ('"a" <-> concat(q.bias, table, over=out)', "E0624", "out"),
        ('"a": [out, in] <-> concat(q.weight, wide, over=in)', "E0624", "concat(q.weight, wide, over=in)"),
        ('"a" <-> concat(q.bias, k.bias)', "E0625", "concat(q.bias, k.bias)"),
        ('"a" <-> rearrange(q.bias, [out=heads*4] -> [heads, four])', "E0624", "out=heads*4"),
        ('"a" <-> rearrange(q.bias, [out=a*b] -> [a, b])', "E0624", "out=a*b"),
        ('"a" <-> rearrange(q.bias, [out=heads*head] -> [heads])', "E0624", "[out=heads*head] -> [heads]"),
        ('"a" <-> rearrange(q.bias, [out=heads*head] -> [heads, head, had])', "E0624", "had"),
        ('"a" <-> rearrange(q.bias, [out=heads*head] -> [heads, heads])', "E0624", "heads"),
        ('"a": [C, P, out] <-> rearrange(patches, [in] -> [C=channels, P=patch])', "E0624", "[C=channels, P=patch]"),
        ('"a": [C, P, out] <-> rearrange(patches, [in] -> [C, P])', "E0624", "[C, P]"),
        ('"a": [C, out] <-> rearrange(patches, [in] -> [C=channels])', "E0624", "C=channels"),
        ('"a": [C, P, Q, in] <-> rearrange(patches, [in] -> [C=channels, P=patch, P=patch])', "E0624", "[in]"),
        ('"a": [1, 1] <-> table', "E0624", "[1, 1]"),
        ('"a" <-> tanh(q.bias)', "E0625", "tanh(q.bias)"),
        ('"a" <-> q.bias + k.bias', "E0625", "q.bias + k.bias"),
        ('"a" <-> q.bias * 0', "E0625", "q.bias * 0"),
        ('"a" <-> 1 / q.bias', "E0625", "1 / q.bias"),
        ('"a" <-> q.bias ^ 2', "E0625", "q.bias ^ 2"),
        ('"a" <-> q.biass', "E0620", "q.biass"),
        ('"a" <-> q', "E0620", "q"),
        ('"a" <-> h.scale', "E0620", "h.scale"),
        ('"a" <-> h[5].scale', "E0620", "h[5].scale"),
        ('"a.{i}" <-> q.bias', "E0626", '"a.{i}"'),
        ('"a" <-> h[i].scale', "E0626", "h[i].scale"),
        ('"a.{i}" -> 1', "E0626", '"a.{i}"'),
        ('"a" <-> "text"', "E0625", '"text"'),
    ],
)  # fmt: skip
def test_what_has_no_inverse_or_no_axes_is_refused_where_it_stands(line: str, code: str, at: str) -> None:
    with pytest.raises(AttnError) as raised:
        form_of(line)
    (diagnostic,) = raised.value.diagnostics
    assert diagnostic.code == code
    assert diagnostic.primary is not None
    assert diagnostic.primary.span.text == at
