"""Folding, canonical forms, common subexpressions, hoisting, dead code: each on a few lines of text."""

from __future__ import annotations

import pytest

from attndsl.graph import Graph
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.graph.verify import verify
from attndsl.passes.base import Pass
from attndsl.passes.canonicalise import Canonicalise
from attndsl.passes.cse import CommonSubexpressions
from attndsl.passes.dce import DeadCode
from attndsl.passes.fold import ConstantFolding
from attndsl.passes.hoist import Hoist

HEAD = """\
graph M
size width = 8
size heads = 2
size depth = 2
input x %0: float[B, T, width]
input i %1: int[B, T]
parameter w: float[width] = ones
"""


def graph(body: str, result: str) -> Graph:
    made = parse_text(f"{HEAD}body {{\n{body}\n}}\noutput y = {result}\n")
    verify(made)
    return made


def after(step: Pass, body: str, result: str) -> str:
    """The body's lines after a pass and the removal of what it left dead; the output's value is named `-> %n`."""
    rewritten, _ = step.run(graph(body, result))
    verify(rewritten)
    text = to_text(DeadCode().run(rewritten)[0])
    lines = [line.strip() for line in text[text.index("body {") :].splitlines()[1:]]
    return "\n".join(line for line in lines if line != "}").replace("output y =", "->")


NUMBERS = {
    "a square root": ("%2: int[] = constant(value=4)\n%3: float[] = sqrt(%2)", "%3", "constant(value=2.0)"),
    "integers stay integers": (
        "%2: int[] = constant(value=7)\n%3: int[] = constant(value=-2)\n%4: int[] = floor_div(%2, %3)",
        "%4",
        "constant(value=-4)",
    ),
    "a known size": ("%2: int[] = size_of(size=width/heads)", "%2", "constant(value=4)"),
    "a chain": (
        "%2: int[] = size_of(size=width)\n%3: float[] = constant(value=-0.5)\n%4: float[] = pow(%2, %3)\n"
        "%5: float[] = add(%4, %4)",
        "%5",
        "constant(value=0.7071067811865476)",
    ),
    "a comparison": (
        "%2: int[] = constant(value=1)\n%3: float[] = constant(value=1.0)\n%4: bool[] = eq(%2, %3)",
        "%4",
        "constant(value=true)",
    ),
    "a bool as a number": ("%2: bool[] = constant(value=true)\n%3: float[] = cast(%2, dtype=\"float\")", "%3", "1.0"),
}  # fmt: skip


@pytest.mark.parametrize("name", NUMBERS)
def test_known_numbers_are_computed(name):
    body, result, expected = NUMBERS[name]
    found = after(ConstantFolding(), body, result)
    assert expected in found
    assert found.count("\n") == 1, "nothing but the number is left"


UNKNOWN = {
    "a size that the inputs bind": "%2: int[] = size_of(size=T)",
    "division by zero": "%3: int[] = constant(value=0)\n%2: int[] = floor_div(%3, %3)",
    "no number": "%3: float[] = constant(value=-1.0)\n%2: float[] = sqrt(%3)",
    "infinity": "%3: float[] = constant(value=0.0)\n%4: float[] = constant(value=1.0)\n%2: float[] = div(%4, %3)",
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_has_no_value_yet_stays(name):
    before = graph(UNKNOWN[name], "%2")
    assert ConstantFolding().run(before)[0] is before


NOTHING = {  # what does nothing goes: the output is the input itself
    "x + 0": "%2: int[] = constant(value=0)\n%3: float[B, T, width] = add(%0, %2)",
    "0 + x": "%2: int[] = constant(value=0)\n%3: float[B, T, width] = add(%2, %0)",
    "x - 0": "%2: float[] = constant(value=0.0)\n%3: float[B, T, width] = sub(%0, %2)",
    "1 * x": "%2: int[] = constant(value=1)\n%3: float[B, T, width] = mul(%2, %0)",
    "x / 1": "%2: int[] = constant(value=1)\n%3: float[B, T, width] = div(%0, %2)",
    "x ^ 1": "%2: int[] = constant(value=1)\n%3: float[B, T, width] = pow(%0, %2)",
    "--x": "%2: float[B, T, width] = neg(%0)\n%3: float[B, T, width] = neg(%2)",
    "renamed to and fro": (
        "%2: float[B, S=T, width] = rename(%0, old=T, new=S=T)\n%3: float[B, T, width] = rename(%2, old=S=T, new=T)"
    ),
    "transposed to and fro": (
        "%2: float[T, B, width] = transpose(%0, axes=[T, B, width])\n"
        "%3: float[B, T, width] = transpose(%2, axes=[B, T, width])"
    ),
    "taken apart and put together": (
        "%2: float[B, T, heads, width/heads] = unflatten(%0, axis=width, parts=[heads, width/heads])\n"
        "%3: float[B, T, width] = flatten(%2, parts=[heads, width/heads], axis=width)"
    ),
    "all of it": "%3: float[B, T, width] = slice(%0, axis=T, start=0, target=T)",
    "repeated along nothing": "%3: float[B, T, width] = broadcast(%0, axes=[B, T, width])",
    "dropout of nothing": '%3: float[B, T, width] = dropout(%0, p=0.0, site="d", shared=[])',
    "the same either way": (
        "%4: int[] = constant(value=2)\n%2: bool[B, T] = lt(%1, %4)\n%3: float[B, T, width] = where(%2, %0, %0)"
    ),
    "a choice that is known": (
        "%2: bool[] = constant(value=false)\n%4: float[B, T, width] = neg(%0)\n"
        "%3: float[B, T, width] = where(%2, %4, %0)"
    ),
}


@pytest.mark.parametrize("name", NOTHING)
def test_what_does_nothing_goes(name):
    assert after(ConstantFolding(), NOTHING[name], "%3") == "-> %0"


def test_a_cast_to_itself_goes_unless_it_says_how_precise_its_operand_is():
    assert after(ConstantFolding(), '%2: int[B, T] = cast(%1, dtype="int")', "%2") == "-> %1"
    kept = '%2: float[B, T, width] = cast(%0, dtype="float")'
    assert after(ConstantFolding(), kept, "%2") == f"{kept}\n-> %2"


def test_a_constant_takes_no_other_precision():
    """A float32 is computed where it is, since a constant has the model's precision."""
    body = '%2: float[] = constant(value=0.1)\n%3: float32[] = cast(%2, dtype="float32")\n%4: float32[] = add(%3, %3)'
    assert after(ConstantFolding(), body, "%4") == f"{body}\n-> %4"


KEPT = {  # what looks as if it did nothing, and changes the type
    "an int times a float one": "%2: float[] = constant(value=1.0)\n%3: float[B, T] = mul(%1, %2)",
    "an int as a float": '%3: float[B, T] = cast(%1, dtype="float")',
    "an int over one": "%2: int[] = constant(value=1)\n%3: float[B, T] = div(%1, %2)",
    "one that has other axes": (
        "%2: float[width] = parameter(address=\"w\", type=float[width])\n%4: int[] = constant(value=0)\n"
        "%5: int[T] = range(axis=T)\n%6: int[T] = mul(%5, %4)\n%3: float[B, T, width] = add(%0, %6)"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", KEPT)
def test_what_changes_the_type_stays(name):
    before = graph(KEPT[name], "%3")
    assert ConstantFolding().run(before)[0] is before


def test_layouts_that_do_not_matter():
    body = """\
%2: float[T, B, width] = transpose(%0, axes=[T, B, width])
%3: float[B, T] = dot(%0, %2, over=[width])
%4: int[T] = range(axis=T)
%5: int[S=T] = range(axis=S=T)
%6: bool[S=T, T] = le(%5, %4)
%7: bool[T, S=T] = transpose(%6, axes=[T, S=T])
%8: float[T, S=T, B] = where(%7, %3, %1)"""
    found = after(ConstantFolding(), body, "%8")
    assert "transpose" not in found
    assert "dot(%0, %0, over=[width])" in found
    assert "ge(" in found


CANONICAL = {
    "a mean": (
        "%2: float[B, T] = sum(%0, over=[width])\n%3: int[] = constant(value=8)\n%4: float[B, T] = div(%2, %3)",
        "mean(%0, over=[width])",
    ),
    "a mean, the size not known yet": (
        "%2: float[B, width] = sum(%0, over=[T])\n%3: int[] = size_of(size=T)\n%4: float[B, width] = div(%2, %3)",
        "mean(%0, over=[T])",
    ),
    "a sum over something else": (
        "%2: float[B, width] = sum(%0, over=[T])\n%3: int[] = size_of(size=B)\n%4: float[B, width] = div(%2, %3)",
        "div(",
    ),
    "one over a root": (
        "%2: float[B, T, width] = sqrt(%0)\n%3: int[] = constant(value=1)\n%4: float[B, T, width] = div(%3, %2)",
        "rsqrt(%0)",
    ),
    "a power": ("%2: float[] = constant(value=0.5)\n%4: float[B, T, width] = pow(%0, %2)", "sqrt(%0)"),
    "a sigmoid": (
        "%2: float[B, T, width] = neg(%0)\n%3: float[B, T, width] = exp(%2)\n%5: int[] = constant(value=1)\n"
        "%6: float[B, T, width] = add(%3, %5)\n%4: float[B, T, width] = div(%5, %6)",
        "sigmoid(%0)",
    ),
    "a softmax": (
        "%2: float[B, T, width] = exp(%0)\n%3: float[B, T] = sum(%2, over=[width])\n"
        "%4: float[B, T, width] = div(%2, %3)",
        "softmax(%0, over=[width], sink=false)",
    ),
    "a log of a softmax": (
        "%2: float[B, T, width] = softmax(%0, over=[width], sink=false)\n%4: float[B, T, width] = log(%2)",
        "log_softmax(%0, over=[width])",
    ),
    "exp over the sum along two axes": (
        "%2: float[B, T, width] = exp(%0)\n%3: float[B] = sum(%2, over=[T, width])\n"
        "%4: float[B, T, width] = div(%2, %3)",
        "softmax(%0, over=[T, width], sink=false)",
    ),
    "exp over another's sum": (
        "%5: float[B, T, width] = exp(%0)\n%2: float[B, T, width] = exp(%5)\n%3: float[B, T] = sum(%2, over=[width])\n"
        "%4: float[B, T, width] = div(%5, %3)",
        "div(",
    ),
    "greater": ("%2: int[] = constant(value=3)\n%4: bool[B, T] = gt(%1, %2)", "lt("),
    "constants last": (
        "%2: int[] = constant(value=3)\n%3: float[B, T, width] = mul(%2, %0)\n%4: float[B, T, width] = abs(%3)",
        "mul(%0, %1)",
    ),
}


@pytest.mark.parametrize("name", CANONICAL)
def test_canonical_forms(name):
    body, expected = CANONICAL[name]
    assert expected in after(Canonicalise(), body, "%4").replace("%2)", "%1)")


def test_common_subexpressions():
    body = """\
%2 {one}: float[B, T, width] = exp(%0)
%3 {two}: float[B, T, width] = exp(%0)
%4: float[B, T, width] = mul(%2, %3)
%5: float[B, T, width] = sin(%0)
%6: float[B, T, width] = add(%2, %5)
%7: float[B, T, width] = add(%5, %3)
%8: float[B, T, width] = sub(%6, %7)
%9: float[B, T, width] = add(%4, %8)"""
    found = after(CommonSubexpressions(), body, "%9")
    assert found.count("exp(") == 1
    assert "{one, two}" in found, "the names of what was merged go to what is left"
    assert "sub(%5, %5)" in found


def test_dropout_and_layouts_are_not_common():
    body = """\
%2: float[B, T, width] = dropout(%0, p=0.5, site="a", shared=[])
%3: float[B, T, width] = dropout(%0, p=0.5, site="b", shared=[])
%4: int[T] = range(axis=T)
%5: int[S=T] = range(axis=S=T)
%6: int[T, S=T] = add(%4, %5)
%7: int[S=T, T] = add(%5, %4)
%8: int[T, S=T] = transpose(%7, axes=[T, S=T])
%9: int[T, S=T] = mul(%6, %8)
%10: float[B, T, width] = mul(%2, %3)
%11: int[] = sum(%9, over=[T, S=T])
%12: float[B, T, width] = mul(%10, %11)"""
    before = graph(body, "%12")
    assert CommonSubexpressions().run(before)[0] is before


REPEAT = """\
%2: int[T] = range(axis=T)
%3: float[B, T, width] = repeat(%0, path="h", count=depth, cases=none, carried=1, stacked=[]) {{
  given %4: int[], %5: float[B, T, width]
{}
  give %20
}}
%30: float[B, T, width] = mul(%3, %2)"""


def test_a_body_sees_what_was_computed_around_it():
    inner = "%6: int[T] = range(axis=T)\n%7: int[] = constant(value=2)\n%20: float[B, T, width] = mul(%5, %6)"
    found = after(CommonSubexpressions(), REPEAT.format(inner), "%30")
    assert found.count("range(") == 1
    outer_constant = REPEAT.replace("%2: int[T] = range(axis=T)", "%2: int[] = constant(value=2)")
    inner = "%7: int[] = constant(value=2)\n%20: float[B, T, width] = mul(%5, %7)"
    before = graph(outer_constant.format(inner), "%30")
    assert CommonSubexpressions().run(before)[0] is before, "a constant is not fetched from around a body"


def test_hoisting():
    inner = """\
  %6: int[S=T] = range(axis=S=T)
  %7: int[] = constant(value=2)
  %8: int[S=T] = mul(%6, %7)
  %9: bool[T, S=T] = ge(%2, %8)
  %10: float[width] = parameter(address="w", type=float[width])
  %11: float[width] = exp(%10)
  %12: int[] = add(%4, %7)
  %13: float[T, S=T] = cast(%9, dtype="float")
  %14: float[T] = sum(%13, over=[S=T])
  %15: float[B, T, width] = mul(%5, %14)
  %16: float[B, T, width] = mul(%15, %11)
  %17: float[B, T, width] = dropout(%0, p=0.5, site="d", shared=[])
  %18: float[B, T, width] = add(%16, %17)
  %20: float[B, T, width] = mul(%18, %12)"""
    before = graph(REPEAT.format(inner), "%30")
    rewritten, report = Hoist().run(before)
    verify(rewritten)
    repeat = next(node for node in rewritten.body.nodes if node.regions)
    inside = [node.op.name for node in repeat.regions[0].nodes]
    assert inside == ["constant", "add", "mul", "mul", "dropout", "add", "mul"], "nothing reads the parameter there now"
    outside = [node.op.name for node in rewritten.body.nodes]
    assert outside == [
        "range", "range", "constant", "mul", "ge", "parameter", "exp", "cast", "sum", "repeat", "mul",
    ]  # fmt: skip
    assert report.count == 6
    assert Hoist().run(rewritten)[0] is rewritten


@pytest.mark.parametrize(("depth", "hoisted"), [(0, False), (2, True)])
def test_what_may_raise_an_error_leaves_only_a_body_that_runs(spec, depth, hoisted):
    """An int to a negative power is none: where no round computes it, nothing may."""
    text = """
model M(depth=DEPTH) {
  input x: [B]
  input n: int[B]
  repeat i in depth {
    x += float(n ^ (-n)) + x ^ 2
  }
  output y = x
}
"""
    rewritten, _ = Hoist().run(spec(text.replace("DEPTH", str(depth))))
    assert ("pow" in [node.op.name for node in rewritten.body.nodes]) is hoisted


def test_parameters_of_a_layer_stay_in_it():
    head = HEAD + "parameter h.*.s: float[width] = ones layers [0:2]\n"
    inner = (
        '  %6: float[width] = parameter(address="h.*.s", type=float[width])\n  %7: float[width] = exp(%6)\n'
        "  %20: float[B, T, width] = mul(%5, %7)"
    )
    before = parse_text(f"{head}body {{\n{REPEAT.format(inner)}\n}}\noutput y = %30\n")
    verify(before)
    assert Hoist().run(before)[0] is before


def test_dead_code():
    body = REPEAT.format("  %6: float[B, T, width] = exp(%5)\n  %20: float[B, T, width] = sin(%5)")
    found = after(DeadCode(), body.replace("%30: float[B, T, width] = mul(%3, %2)", "%31: int[B, T] = neg(%1)"), "%3")
    assert "exp" not in found
    assert "neg" not in found
    assert "range" not in found
    assert "sin" in found
    unused = body.replace("%30: float[B, T, width] = mul(%3, %2)", "%30: float[B, T, width] = mul(%0, %2)")
    assert "repeat" not in after(DeadCode(), unused, "%30")


def test_the_larger_of_one_stays():
    """At NaN both operands of a maximum get all of its gradient: one is not two."""
    assert after(ConstantFolding(), "%3: float[B, T, width] = maximum(%0, %0)", "%3") != "-> %0"
