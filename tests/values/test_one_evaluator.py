"""One expression has one value, or one diagnostic, wherever it is written: as a hyperparameter's default, in a `train`
section, in the `config`, in a condition and in the axes of a `weights` section."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from attndsl.diagnostics import AttnError, Diagnostic, Source
from attndsl.elaborate import Spec, elaborate, open_text
from attndsl.graph import Graph
from attndsl.recipe.written import evaluate as evaluate_recipe
from attndsl.syntax import tree
from attndsl.syntax.parser import parse
from attndsl.values import Evaluator, Number, hyperparameters_of, to_python
from attndsl.weights.axes import SizeNames
from attndsl.weights.conditions import Conditions
from attndsl.weights.keys import Keys, lookup_in

NAMES = {"width": 8, "heads": 2, "p": 0.5, "flag": True, "mode": "sum", "depths": [2, 2, 6], "kinds": ["a", "b"]}
HYPERPARAMETERS = (
    'width=8, heads=2, p=0.5, flag=true, mode="sum", act=gelu, gate=none, depths=[2, 2, 6], kinds=["a", "b"]'
)


def spec_with(default: str) -> Spec:
    body = "{\n  input x: [B, width]\n  output y = x\n}\n"
    return open_text(f"model M({HYPERPARAMETERS}, result={default}) {body}")


@cache
def graph() -> Graph:
    return elaborate(spec_with("0"), {})


def node(text: str) -> tree.Expr:
    file, problems = parse(Source("spec.attn", f"train M {{ result = {text} }}\n"))
    assert not problems
    (section,) = file.declarations
    assert isinstance(section, tree.Train)
    return section.settings[0].value


def in_model(text: str) -> object:
    return to_python(hyperparameters_of(elaborate(spec_with(text), {}))["result"])


def in_train(text: str) -> object:
    return evaluate_recipe(node(text), hyperparameters_of(graph())).value


def at(place: Callable[[], Evaluator]) -> Callable[[str], object]:
    return lambda text: to_python(place().evaluate(node(text)))


PLACES = {
    "model": in_model,
    "train": in_train,
    "config": at(lambda: Keys(lookup_in(NAMES))),
    "condition": at(lambda: Conditions(graph())),
}

VALUES = [
    ("1 / 49 * 49", 1),
    ("1 / 49 * 49 == 1", True),
    ("width / 49 * 49 == 8", True),
    ("1 / 3 + 1 / 6 == 1 / 2", True),
    ("1 / 10 == 0.1", True),
    ("0.1 + 0.2", 0.1 + 0.2),
    ("7 // 2 + -7 // 2", -1),
    ("-7 % 3", 2),
    ("2 ^ 3 ^ 2", 512),
    ("-2 ^ 2", -4),
    ("width ^ -1", 0.125),
    ("2 ^ 0.5", 2**0.5),
    ("10 ^ 30 / 10 ^ 29", 10),
    ("width ^ 2 == 64", True),
    ("3 * width - heads", 22),
    ("1 / sqrt(width + 1)", 1 / 3),
    ("8 if width > 4 else 4", 8),
    ("1 if not flag else 2 if width == 3 else 3", 3),
    ("width > 4 and not flag", False),
    ("flag or 1 / 0 == 1", True),
    ("false and 1 / 0 == 1", False),
    ("true | false & false", True),
    ("2 == 2.0", True),
    ('mode == "sum"', True),
    ('mode != "sum"', False),
    ("mode == none", False),
    ("none == none", True),
    ("true * 3", 3),
    ("minimum(width, 3) + maximum(heads, 3)", 6),
    ("round(2.5) + round(3.5)", 6),
    ("int(-2.5)", -2),
    ("floor(width / 3) + ceil(width / 3)", 5),
    ("abs(-3) * sign(-0.5)", -3),
    ("exp(log(8))", math.exp(math.log(8))),
    ("sigmoid(0) + tanh(0) + erf(0)", 0.5),
    ("float(3) + int(flag)", 4.0),
    ("bool(0)", False),
    ("pi", math.pi),
    ("rsqrt(4) + sin(0) + cos(0)", 1.5),
    ("kind(width)", "number"),
    ("kind(mode)", "string"),
    ('"4+4"', "4+4"),
    ("p * width", 4.0),
    ("depths", [2, 2, 6]),
    ("[width, 2 * width, -1]", [8, 16, -1]),
    ("depths[1 + 1] + depths[0]", 8),
    ("kinds[1]", "b"),
    ("[[1, 2], [3]][0][1]", 2),
    ("(1, 2) == [1, 2]", True),
    ("((1, 2,), [3])[0][1] + (1)", 3),
    ("len(depths) + len([])", 3),
    ("sum(depths) + max(depths) + min(depths)", 18),
    ("sum([0.5, p]) + sum([])", 1.0),
    ("6 in depths", True),
    ("3 in depths or not (2 in depths)", False),
    ('"a" in kinds and not mode in kinds', True),
    ("1 in kinds", False),
    ("depths == [2, 2, 6]", True),
    ("depths != [2, 2]", True),
    ("kinds == none", False),
    ('kinds[0] if "c" in kinds else [mode]', ["sum"]),
    ("kind(depths)", "list"),
]

MISTAKES = [
    ("width / 0", "E0405", "this number cannot be computed: division by zero", "width / 0"),
    ("0 ^ -1", "E0405", "this number cannot be computed: division by zero", "0 ^ -1"),
    ("10 ^ 400", "E0405", "this number cannot be computed: it is too large", "10 ^ 400"),
    ("9 ^ 9 ^ 9 ^ 9", "E0405", "this number cannot be computed: it is too large", "9 ^ 9 ^ 9"),
    ("10.0 ^ 400", "E0405", "this number cannot be computed: it is too large", "10.0 ^ 400"),
    ("1e308 * 10", "E0405", "this number cannot be computed: it is too large", "1e308 * 10"),
    ("exp(1000)", "E0405", "this number cannot be computed: it is too large", "exp(1000)"),
    ("sqrt(-1)", "E0405", "this number cannot be computed: it is not a real number", "sqrt(-1)"),
    ("log(0)", "E0405", "this number cannot be computed: it is not a real number", "log(0)"),
    ("true == 1", "E0104", "`true == 1` compares the boolean `true` with the number `1`", "true == 1"),
    ('"a" == 1', "E0104", '`"a" == 1` compares the string "a" with the number `1`', '"a" == 1'),
    ("true + 1", "E0104", "`+` takes numbers, but this is the boolean `true`", "true"),
    ('"a" < 3', "E0104", '`<` takes numbers, but this is the string "a"', '"a"'),
    ('-"a"', "E0104", '`-` takes numbers, but this is the string "a"', '"a"'),
    ("flag and 3", "E0104", "`and` takes booleans, but this is the number `3`", "3"),
    ("not 3", "E0104", "`not` takes booleans, but this is the number `3`", "3"),
    ("sqrt(true)", "E0104", "`sqrt` takes numbers, but this is the boolean `true`", "true"),
    ("[1, 2][2]", "E0211", "the index is 2, and the list has 2 elements", "2"),
    ("[1][-1]", "E0211", "the index is -1, and the list has 1 element", "-1"),
    ("[1, 2][0.5]", "E0104", "an element of a list is selected by a whole number, but this is the number `0.5`", "0.5"),
    ("3 in 4", "E0104", "`in` takes a list, but this is the number `4`", "4"),
    ("len(3)", "E0104", "`len` takes a list, but this is the number `3`", "3"),
    ('sum([1, "a"])', "E0104", '`sum` takes a list of numbers, but this one holds the string "a"', '[1, "a"]'),
    ("max([])", "E0405", "this number cannot be computed: `max` of a list without elements", "max([])"),
    ("[1, 2] + 3", "E0104", "`+` takes numbers, but this is a list of 2 elements", "[1, 2]"),
    ("[1] == 1", "E0104", "`[1] == 1` compares a list of 1 element with the number `1`", "[1] == 1"),
    ("[1 / 0]", "E0405", "this number cannot be computed: division by zero", "1 / 0"),
    (
        "1 if 3 else 2",
        "E0404",
        "a condition must be a boolean that is known at compile time, but this is the number `3`",
        "3",
    ),
]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("gone or 7", 7),
        ("gone or lost or 7", 7),
        ("gone == 1 or width == 3 or width == 8", True),
        ("gone == 1 or width == 3 or width == 4", False),
        ("width == 8 or gone == 1", True),
    ],
)
def test_what_is_absent_leaves_the_choice_to_what_stands_behind_it(text: str, value: object) -> None:
    assert PLACES["config"](text) == value


NO_SIZES = ("flag", "true", "depths", "kind")
IN_AXES = [text for text, value in VALUES if type(value) is int and not any(name in text for name in NO_SIZES)]


@pytest.mark.parametrize("place", ["model", "train", "condition"])  # a configuration has no blocks
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('act == "gelu"', True),
        ('act != "relu"', True),
        ("act == none", False),
        ("gate == none", True),
        ('gate == "none"', False),
        ("kind(act)", "rotation"),
        ("kind(gate)", "none"),
    ],
)
def test_a_block_is_the_same_in_every_place(text: str, value: object, place: str) -> None:
    assert PLACES[place](text) == value


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("text", "value"), VALUES)
def test_a_value_is_the_same_in_every_place(text: str, value: object, place: str) -> None:
    found = PLACES[place](text)
    assert type(found) is type(value) or {type(found), type(value)} == {int, float}
    assert found == value


@pytest.mark.parametrize("text", IN_AXES)
def test_a_size_is_the_same_in_axes(text: str) -> None:
    found = SizeNames({"width": 8, "heads": 2}).evaluate(node(text))
    assert isinstance(found, Number)
    assert found.value == dict(VALUES)[text]


@pytest.mark.parametrize("place", [*PLACES, "axes"])
@pytest.mark.parametrize(("text", "code", "message", "underlined"), MISTAKES)
def test_a_mistake_is_told_alike_in_every_place(
    text: str, code: str, message: str, underlined: str, place: str
) -> None:
    if place == "axes" and "flag" in text:
        return
    evaluated = PLACES.get(place) or (lambda text: SizeNames({"width": 8}).evaluate(node(text)))
    with pytest.raises(AttnError) as raised:
        evaluated(text)
    (found,) = raised.value.diagnostics
    assert (found.code, found.message) == (code, message)
    assert found.primary is not None
    assert found.primary.span.text == underlined


@contextmanager
def suppress_too_large() -> Iterator[None]:
    problems: tuple[Diagnostic, ...] = ()
    try:
        yield
    except AttnError as raised:
        problems = raised.diagnostics
    assert {d.code for d in problems} <= {"E0405"}


@pytest.mark.parametrize("text", [" * ".join(["10 ^ 30"] * 400), " + ".join(["1 / 7 ^ 9"] * 300), "9" * 30 + " ^ 99"])
@pytest.mark.parametrize("place", PLACES)
def test_every_number_is_bounded(text: str, place: str) -> None:
    with suppress_too_large():
        assert abs(float(PLACES[place](text))) < 1e300  # type: ignore[arg-type]


def test_formulas_of_sizes_are_bounded() -> None:
    """A condition goes on with the value alone, an axis is refused."""
    text = "(width + heads + 1) ^ 12 * (width - heads + 1) ^ 12"
    assert at(lambda: Conditions(graph()))(text) == 11**12 * 7**12
    with pytest.raises(AttnError, match="too long a formula for an axis"):
        SizeNames({}).evaluate(node(text))


# ---------------------------------------------------------------- at random

ATOMS = [
    "width", "heads", "p", "flag", "mode", "pi", "true", "false", "0", "1", "2", "0.5", "2.0", '"sum"', "1e300",
    "depths", "kinds", "[2, 2, 6]", '["a", 1]', "depths[1]",
]  # fmt: skip
SIGNS = ["+", "-", "*", "/", "//", "%", "^", "==", "!=", "<", "<=", ">", ">=", "and", "or", "&", "|", "in"]
CALLED = ["sqrt", "exp", "log", "abs", "floor", "round", "int", "float", "bool", "sign", "kind", "len", "sum", "max"]


def random_expression(pick: random.Random, depth: int) -> str:
    def inside() -> str:
        return random_expression(pick, depth - 1)

    if depth == 0 or pick.random() < 0.15:
        return pick.choice(ATOMS)
    kind = pick.randrange(9)
    if kind < 5:
        return f"({inside()} {pick.choice(SIGNS)} {inside()})"
    if kind == 5:
        return f"({pick.choice(['-', 'not '])}{inside()})"
    if kind == 6:
        return f"({inside()} if {inside()} else {inside()})"
    return f"{pick.choice(CALLED)}({inside()})" if kind == 7 else f"maximum({inside()}, {inside()})"


def outcome(place: str, text: str) -> tuple[str, ...]:
    """The value and its type, or the diagnostic."""
    try:
        value = PLACES[place](text)
    except AttnError as raised:
        (found,) = raised.diagnostics
        assert found.primary is not None
        return found.code, found.message, found.primary.span.text
    return repr(value), type(value).__name__


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_written_means_the_same_in_every_place(seed: int) -> None:
    pick = random.Random(seed)
    for _ in range(60):
        text = random_expression(pick, pick.randrange(1, 4))
        found = {place: outcome(place, text) for place in ("model", "train", "condition")}
        if found["model"][0] != "E0403":  # a hyperparameter has bounds of its own
            assert len(set(found.values())) == 1, (text, found)
