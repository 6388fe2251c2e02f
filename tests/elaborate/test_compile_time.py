"""Values that are known at compile time, where they meet blocks, masks and sizes."""

from __future__ import annotations

import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, meanings, open_text
from attndsl.values import equal
from tests.samples.anonymous import unlabelled


def body(text: str, hyperparameters: str = "width=8, heads=2", before: str = "") -> str:
    return f"{before}model M({hyperparameters}) {{\n  input x: [B, T, width]\n  {text}\n}}\n"


def graph_text(text: str, **options: str) -> str:
    return unlabelled(elaborate(open_text(body(text, **options)), {}))


@pytest.mark.parametrize("operator", "+-*/")
def test_an_assignment_with_an_operator_is_the_operator_on_biases(operator: str) -> None:
    """`place += alibi(heads)` is `place = place + alibi(heads)`, and so is every other."""
    use = "\n  output y = attention(x, heads, position=place)"
    short = f"place = alibi(heads)\n  place {operator}= 2 * alibi(heads)" + use
    long = f"place = alibi(heads)\n  place = place {operator} (2 * alibi(heads))" + use
    assert graph_text(short) == graph_text(long)


def test_masks_are_told_alike_with_either() -> None:
    told = []
    for text in ("seen += causal", "seen = seen + causal"):
        with pytest.raises(AttnError) as raised:
            graph_text(f"seen = causal\n  {text}\n  output y = attention(x, heads, mask=seen)")
        told.append([(d.code, d.message) for d in raised.value.diagnostics])
    assert told[0] == told[1]
    assert told[0][0][0] == "E0302"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('act == "gelu"', True),
        ("act == gelu", True),
        ("act != relu", True),
        ("act == tanh", False),
        ("act == none", False),
        ("seen == causal & window(2)", True),
        ("seen == causal", False),
        ("seen == causal & window(3)", False),
        ("start == normal(0.02)", True),
        ("start == zeros", False),
    ],
)
def test_blocks_masks_and_initialisers_are_compared_by_what_they_are(condition: str, expected: bool) -> None:
    hyperparameters = "width=8, act=gelu, seen=causal & window(2), start=normal(0.02)"
    found = graph_text(f"output y = (1 if {condition} else 2) * x", hyperparameters=hyperparameters)
    assert f"value={1 if expected else 2}" in found


def test_a_size_may_come_from_a_float() -> None:
    spec = open_text(body("n = floor(share * width)\n  output y = x[width<n]", "width=16, share=0.25"))
    assert str(elaborate(spec, {}).outputs[0].value.type) == "float[B, T, 4]"


BLOCKS = "block act_by(n, m=1)(x: [*]) -> [*] { return x * n * m }\n"


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("act_by(3)", "act_by(n=3)", True),
        ("act_by(3)", "act_by(1 + 2)", True),
        ("act_by(m=2, n=3)", "act_by(3, 2)", True),
        ("act_by(3)", "act_by(4)", False),
        ("causal & window(4)", "causal & window(2 * 2)", True),
        ("causal & window(4)", "causal", False),
    ],
)
def test_settings_are_compared_by_what_they_mean(one: str, other: str, expected: bool) -> None:
    name = "seen" if "causal" in one else "act"
    spec = open_text(body("output y = x", "width=8, act=relu, seen=causal", BLOCKS))
    assert equal(meanings(spec, {name: one})[name], meanings(spec, {name: other})[name]) is expected


def test_a_text_is_a_text() -> None:
    """Whatever it would be as an expression, in a setting for a text or in quotes."""
    spec = open_text(body("output y = x", 'width=8, mode="sum"'))
    assert elaborate(spec, {"mode": "4+4"}).hyperparameters["mode"] == "4+4"
    assert elaborate(spec, {"mode": '"4+4"'}).hyperparameters["mode"] == "4+4"
    with pytest.raises(AttnError, match="whole number"):
        elaborate(spec, {"width": '"4+4"'})
