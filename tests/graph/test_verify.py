"""The verifier: each rule broken in turn, and the node that broke it named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from attndsl.diagnostics import AttnError
from attndsl.graph import FLOAT, Graph, Node, Region, StateInfo, Value
from attndsl.graph.reader import parse_text
from attndsl.graph.verify import BODY_RULES, GRAPH_RULES, NODE_RULES, InvalidGraph, verify
from attndsl.ops import Range
from attndsl.sizes import Size
from attndsl.types import INT, Axis, Type

VALID = """\
graph M
size width = 8
size depth = 2
input x %0: float[B, T, width]
input y %1: float[B, T] optional
input v %18: float[B, T] optional = "mean(x, over=width)"
parameter w: float[width] = ones
parameter h.*.s: float[width] = ones layers [0:2]
body {
  %2: float[width] = parameter(address="w", type=float[width])
  %3: float[B, T, width] = mul(%0, %2)
  %4: float[B, T, width], %5: float[B, depth, T] = repeat(%3, path="h", count=depth, cases=none, carried=1, \
stacked=[depth]) in h {
    given %6: int[], %7: float[B, T, width]
    %8: float[width] = parameter(address="h.*.s", type=float[width]) in h.*
    %9: float[B, T, width] = mul(%7, %8) in h.*
    %10: float[B, T] = mean(%9, over=[width])
    give %9, %10
  }
  %11: float[B, T, width], %12: float[T, B, T2=T] = scan(%4, path="t", axis=T, carried=1, reverse=false, \
stacked=[T]) {
    given %13: int[], %14: float[B, T, width]
    %15: float[B, T2=T, width] = rename(%14, old=T, new=T2=T)
    %16: float[B, T2=T] = mean(%15, over=[width])
    give %14, %16
  }
  %17: float[B, T, width] = add(%11, %0)
  %19: float[B, T] = mean(%0, over=[width])
  %20: float[B, T] = given(%18, %19)
  %21: float[B, T] = neg(%20)
}
output z = %17 needs y
output u = %21
"""
VALID = VALID.replace("%12: float[T, B, T2=T]", "%12: float[B, T, T2=T]")

# name: (what to write instead of what, the rule that this breaks, a part of the reason)
MISTAKES: dict[str, tuple[str, str, str, str]] = {
    "another type": ("%3: float[B, T, width]", "%3: float[T, B, width]", "types are what the op infers", "it gives"),
    "operands that do not fit": ("mean(%9, over=[width])", "mean(%9, over=[B2])", "types are what", "do not fit"),
    "too many operands": ("add(%11, %0)", "add(%11, %0, %0)", "types are what", "3 operands"),
    "carried in another type": ("give %9, %10", "give %10, %9", "types are what", "makes that"),
    "fewer results than carried and emitted": ("give %9, %10", "give %9", "types are what", "does not take or give"),
    "stacked over another axis": (
        "%5: float[B, depth, T]", "%5: float[B, T, depth]", "types are what", "it gives",
    ),
    "more steps than are stacked": ("stacked=[depth]", "stacked=[n=3]", "stacked over as many", "stacked over n=3"),
    "cases for other iterations": ("cases=none", "cases=[0, 0, 0]", "stacked over as many", "3 cases for depth"),
    "a case without a body": ("cases=none", "cases=[0, 1]", "types are what", "selects another"),
    "an inner value read outside": ("add(%11, %0)", "add(%9, %0)", "in sight of its use", "not around it"),
    "the first inner value read outside": ("add(%11, %0)", "add(%11, %8)", "in sight of its use", "not around it"),
    "a parameter that is not declared": ('address="w"', 'address="v"', "parameters are declared", "`v`"),
    "a parameter of another type": (
        "parameter w: float[width]", "parameter w: float[w=width]", "parameters are", "read as",
    ),
    "a parameter per layer at the top": (
        'address="w", ', 'address="h.*.s", ', "parameters are declared", "outside of the repeat `h`",
    ),
    "a parameter of another loop": (
        'path="h"', 'path="g"', "parameters are declared", "outside of the repeat `h`",
    ),
    "a parameter of some layers alone": (
        "layers [0:2]", "layers [0:1]", "parameters are declared where they are read", "2 iterations, and exists in 1",
    ),
    "a loop of another loop": ('path="h"', 'path="g.*.h"', "a repeat stands in", "outside of the repeat `g`"),
    "a parameter declared twice": ("parameter h.*.s", "parameter w", "declared once", "0 indices"),
    "an input declared twice": ("input y %1", "input x %1", "inputs are", "`x` is declared twice"),
    "an output that needs no input": ("needs y", "needs x", "outputs are", "not optional inputs"),
    "an output that needs an input with a default": ("needs y", "needs v", "outputs are", "without a default"),
    "an output that is an input without its default": ("u = %21", "u = %18", "outputs are", "without its default"),
    "not an input, left out": ("given(%18", "given(%19", "given or left out", "not an input of the model"),
    "an input read without its default": ("neg(%20)", "neg(%18)", "read with its default", "`v` has a default"),
    "an axis renamed to one of another size": (
        "float[B, T2=T, width] = rename(%14, old=T, new=T2=T)", "float[B, T2=B, width] = rename(%14, old=T, new=T2=B)",
        "renamed to one of its size", "`T` becomes `T2=B`",
    ),
    "a default of another type": ("given(%18, %19)", "given(%18, %0)", "types are what", "the default is"),
}  # fmt: skip


def test_the_whole_is_valid():
    verify(parse_text(VALID))


@pytest.mark.parametrize(
    ("size", "required"), [("B", "B == T"), ("width+1", "T == width+1"), ("9", "T == depth+7"), ("B+S", "B == T-S")]
)
def test_an_axis_is_renamed_to_what_is_required_to_be_its_size(size, required):
    constraint = f"constraint {required} code E0210"
    text = VALID.replace("T2=T", f"T2={size}").replace("body {", f"{constraint}\nbody {{", 1)
    if "S" in size:
        text = text.replace("input y %1: float[B, T]", "input y %1: float[B, S]")
    verify(parse_text(text))
    with pytest.raises(InvalidGraph, match="nothing says that they are equal"):
        verify(parse_text(text.replace(" == ", " <= ", 1)))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_broken_rule_is_named(name):
    old, new, rule, reason = MISTAKES[name]
    assert old in VALID
    text = VALID.replace(old, new, 1)
    if name == "a parameter declared twice":
        reason, text = "`w`", text.replace('address="h.*.s"', 'address="w"')
    with pytest.raises(InvalidGraph) as caught:
        verify(parse_text(text))
    assert rule in caught.value.rule
    assert reason in str(caught.value)
    assert not isinstance(caught.value, AttnError)


def with_nodes(graph: Graph, *nodes: Node) -> Graph:
    return replace(graph, body=replace(graph.body, nodes=nodes))


def swapped(graph: Graph) -> Graph:
    first, second, *rest = graph.body.nodes
    return with_nodes(graph, second, first, *rest)


def doubled(graph: Graph) -> Graph:
    return with_nodes(graph, graph.body.nodes[0], *graph.body.nodes)


def body_on_a_parameter(graph: Graph) -> Graph:
    first, *rest = graph.body.nodes
    return with_nodes(graph, replace(first, regions=(Region((), (), ()),)), *rest)


def repeat_without_a_body(graph: Graph) -> Graph:
    first, second, repeat, *rest = graph.body.nodes
    return with_nodes(graph, first, second, replace(repeat, regions=()), *rest)


def no_results(graph: Graph) -> Graph:
    return replace(graph, body=replace(graph.body, results=()))


def fewer_inputs(graph: Graph) -> Graph:
    return replace(graph, inputs=graph.inputs[:1])


def a_stray_size(graph: Graph) -> Graph:
    axis = Axis.of(Size.symbol("Q"))
    made = Node(Range(axis), (), (Value(Type(INT, (axis,))),))
    return with_nodes(graph, made, *graph.body.nodes)


def half_a_state(graph: Graph) -> Graph:
    return replace(graph, states=(StateInfo("memory", Type(FLOAT), "memory"),))


CHANGES = [
    (half_a_state, "states are taken and given", "is not an input that there always is, and an output"),
    (swapped, "a value is made before it is used, in sight of its use", "used before it is made"),
    (doubled, "a value is made once", "made twice"),
    (body_on_a_parameter, "bodies belong to repeat and scan", "only `repeat` and `scan` have bodies"),
    (repeat_without_a_body, "bodies belong to repeat and scan", "it has no body"),
    (no_results, "outputs are the body's results", "not the outputs' values"),
    (fewer_inputs, "inputs are the body's parameters", "not the inputs' values"),
    (a_stray_size, "sizes are hyperparameters or bound by an input", "['Q']"),
]


@pytest.mark.parametrize(("change", "rule", "reason"), CHANGES)
def test_a_broken_graph_is_refused(change, rule, reason):
    with pytest.raises(InvalidGraph) as caught:
        verify(change(parse_text(VALID)))
    assert caught.value.rule == rule
    assert reason in caught.value.reason


def test_the_innermost_culprit_is_named():
    text = VALID.replace(
        "%9: float[B, T, width] = mul(%7, %8) in h.*", "%9: int[B, T, width] = mul(%7, %8) in h.* at m.attn:7:3"
    )
    broken = parse_text(text)
    with pytest.raises(InvalidGraph, match=r"\(node `mul` in h\.\*, m\.attn:7:3\)") as caught:
        verify(broken)
    assert caught.value.node is broken.body.nodes[2].regions[0].nodes[1]


def test_every_rule_is_broken_here():
    broken = {rule for _, _, rule, _ in MISTAKES.values()} | {rule for _, rule, _ in CHANGES}
    for rule, _ in (*BODY_RULES, *NODE_RULES, *GRAPH_RULES):
        assert any(part in rule for part in broken), rule
