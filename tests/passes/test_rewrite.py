"""The engine: what edits do to a graph, that producers and readers are kept up, and how rules are applied."""

from __future__ import annotations

from collections import Counter

import pytest

from attndsl.graph import Graph, Node, Value
from attndsl.graph.reader import parse_text
from attndsl.graph.text import to_text
from attndsl.graph.verify import verify
from attndsl.ops import Abs, Add, Constant, Cos, Exp, Log, Mul, Neg, Op, Sin
from attndsl.passes.base import Refusal
from attndsl.passes.rewrite import Rewriter
from attndsl.passes.rules import Match, Put, Rule, apply, simple

TEXT = """\
graph M
size width = 4
size depth = 2
input x %0: float[B, width]
body {
  %1 {e}: float[B, width] = exp(%0) in a.b at m.attn:1:1
  %2: float[B, width] = sin(%1) in a.c at m.attn:2:1
  %3 {twice}: float[B, width] = mul(%2, %2)
  %4: float[B, width] = repeat(%3, path="h", count=depth, cases=none, carried=1, stacked=[]) {
    given %5: int[], %6: float[B, width]
    %7 {inner}: float[B, width] = cos(%6)
    %8: float[B, width] = add(%7, %1)
    give %8
  }
  %9: float[B, width] = abs(%2)
}
output y = %4
output z = %9
"""


@pytest.fixture
def graph() -> Graph:
    made = parse_text(TEXT)
    verify(made)
    return made


def made_by(rewriter: Rewriter, op: type[Op]) -> Node:
    (node,) = [place.node for place in rewriter.walk() if place.node is not None and isinstance(place.node.op, op)]
    return node


def known(rewriter: Rewriter) -> dict[Value, tuple[object, ...]]:
    """What is known of each value: how it is made, and who reads it (a node that has bodies is made anew with them)."""
    made = {value: (node.op, node.inputs) for value, node in rewriter.producers.items()}
    read = {value: Counter(node and node.outputs for node in rewriter.uses(value)) for value in made}
    return {value: (made[value], read[value]) for value in made}


def consistent(rewriter: Rewriter) -> Graph:
    """The finished graph, after a look at whether what the rewriter knows is what a fresh one reads off it."""
    made = rewriter.finish(named=False)
    verify(made)
    assert known(rewriter) == known(Rewriter(made))
    return rewriter.finish()


def test_nothing_done_is_the_same_graph(graph: Graph) -> None:
    assert Rewriter(graph).finish() is graph


def test_put_keeps_the_value(graph: Graph) -> None:
    rewriter = Rewriter(graph)
    sine = made_by(rewriter, Sin)
    rewriter.put(sine, Node(Cos(), sine.inputs, sine.outputs, (), sine.scope, sine.span, sine.site))
    after = to_text(consistent(rewriter))
    assert "sin(" not in after
    assert after.count("cos(") == 2


def test_replacing_hands_names_on_and_drops_what_is_unread(graph: Graph) -> None:
    rewriter = Rewriter(graph)
    product = made_by(rewriter, Mul)
    rewriter.replace(product, made_by(rewriter, Exp).output)
    after = to_text(consistent(rewriter))
    assert "{e, twice}" in after
    assert "mul(" not in after
    rewriter.replace(made_by(rewriter, Abs), made_by(rewriter, Exp).output)
    assert "sin(" not in to_text(consistent(rewriter)), "nothing reads it any more"


def test_a_reader_of_both_reads_the_one_twice(graph: Graph) -> None:
    rewriter = Rewriter(graph)
    exponential = made_by(rewriter, Exp).output
    rewriter.replace(made_by(rewriter, Cos), exponential)
    total = made_by(rewriter, Add)
    assert total.inputs == (exponential, exponential)
    assert rewriter.uses(exponential).count(total) == 2
    consistent(rewriter)


def test_what_is_emitted_for_a_node_makes_its_value(graph: Graph) -> None:
    rewriter = Rewriter(graph)
    sine = made_by(rewriter, Sin)
    out = rewriter.at(sine)
    rewriter.replace(sine, out.emit(Log(), out.emit(Neg(), *sine.inputs)))
    log = made_by(rewriter, Log)
    assert log.outputs == sine.outputs
    assert (log.scope, log.span) == (sine.scope, sine.span)
    after = to_text(consistent(rewriter))
    assert after.index("neg(") < after.index("log(") < after.index("mul(")


def test_erasing_goes_on_to_what_nothing_else_needs(graph: Graph) -> None:
    rewriter = Rewriter(graph)
    (repeat,) = [place.node for place in rewriter.walk() if place.node is not None and place.node.regions]
    rewriter.give(rewriter.body, (rewriter.graph.body.parameters[0], rewriter.graph.body.results[1]))
    assert repeat not in rewriter.places
    names = [node.op.name for node in consistent(rewriter).body.walk()]
    assert names == ["exp", "sin", "abs"], "with the repeat its body went, and the product that it began with"


def test_what_is_kept_is_made_to_the_end(graph: Graph) -> None:
    inner = next(node.output for node in graph.body.walk() if isinstance(node.op, Cos))
    rewriter = Rewriter(graph, kept=(inner,))
    rewriter.give(rewriter.body, (graph.body.parameters[0], graph.body.results[1]))
    rewriter.replace(made_by(rewriter, Add), made_by(rewriter, Exp).output)
    assert inner in rewriter.producers
    assert not rewriter.used_once(made_by(rewriter, Cos).output)


def test_moving_out_of_a_body(graph: Graph) -> None:
    rewriter = Rewriter(graph)
    (repeat,) = [place.node for place in rewriter.walk() if place.node is not None and place.node.regions]
    cosine = made_by(rewriter, Cos)
    rewriter.move(cosine, repeat)
    rewriter.put(cosine, Node(Cos(), repeat.inputs, cosine.outputs, (), cosine.scope, cosine.span, cosine.site))
    assert [node.op.name for node in consistent(rewriter).body.nodes] == ["exp", "sin", "mul", "cos", "repeat", "abs"]


def test_a_long_chain_goes_without_recursion() -> None:
    count = 5000
    lines = "\n".join(f"  %{i + 1}: float[B] = sin(%{i})" for i in range(count))
    made = parse_text(f"graph M\ninput x %0: float[B]\nbody {{\n{lines}\n}}\noutput y = %{count}\n")
    rewriter = Rewriter(made)
    rewriter.give(rewriter.body, made.body.parameters)
    assert not list(rewriter.walk())


# ---------------------------------------------------------------- rules


@pytest.mark.parametrize("backward", [False, True])
def test_rules_see_what_operands_have_become(backward: bool, graph: Graph) -> None:
    """Forward, a node is looked at after what it reads; backward, it is looked at again where that has changed."""
    rules = (
        simple("first", (Exp,), lambda algebra, node: Put(Abs(), node.inputs)),
        simple(
            "second",
            (Sin,),
            lambda algebra, node: Put(Neg(), node.inputs) if algebra.made_by(node.inputs[0], Abs) else None,
        ),
    )
    rewriter = Rewriter(graph)
    done, misses = apply(rewriter, rules, backward=backward)
    assert [(rewrite.rule, rewrite.detail) for rewrite in done] == [
        ("first", "`exp` becomes `abs`"), ("second", "`sin` becomes `neg`"),
    ]  # fmt: skip
    assert not misses
    consistent(rewriter)


def test_what_is_emitted_is_looked_at_too(graph: Graph) -> None:
    rules = (
        simple(
            "parts", (Sin,), lambda algebra, node: Match("", lambda out: out.emit(Log(), out.emit(Neg(), *node.inputs)))
        ),
        simple("parts of parts", (Neg,), lambda algebra, node: Put(Abs(), node.inputs)),
    )
    rewriter = Rewriter(graph)
    apply(rewriter, rules)
    assert {"log", "abs"} <= {node.op.name for node in consistent(rewriter).body.walk()}
    assert "neg" not in {node.op.name for node in rewriter.finish().body.walk()}


def test_backward_the_largest_group_wins_and_stands_in_the_layer_round_it(graph: Graph) -> None:
    def find(algebra, node):  # type: ignore[no-untyped-def]
        inner = algebra.made_by(node.inputs[0], Sin, Exp)
        found = (node, inner) if inner is not None else (node,)
        return Match(
            f"{len(found)} nodes", lambda out: out.emit(Neg(), inner.inputs[0] if inner else node.inputs[0]), found
        )

    rewriter = Rewriter(graph)
    done, _ = apply(rewriter, (simple("group", (Sin, Exp), find),), backward=True)
    assert [(rewrite.detail, rewrite.scope) for rewrite in done] == [("2 nodes", "a")]
    consistent(rewriter)


def test_of_refusals_about_one_node_the_furthest_is_told(graph: Graph) -> None:
    sine = next(node for node in graph.body.walk() if isinstance(node.op, Sin))

    def check(algebra, node, candidate):  # type: ignore[no-untyped-def]
        raise Refusal("far", candidate, 2) if isinstance(node.op, Abs) else Refusal("near", candidate, 1)

    rule = Rule("rule", (Abs, Mul), lambda algebra, node: (sine,), check, core=lambda candidate: candidate)
    _, misses = apply(Rewriter(graph), (rule,))
    assert [(miss.rule, miss.reason, miss.culprit) for miss in misses] == [("rule", "far", "sin")]


def test_rules_that_undo_one_another_are_stopped(graph: Graph) -> None:
    rules = (
        simple("there", (Sin,), lambda algebra, node: Put(Cos(), node.inputs)),
        simple("back", (Cos,), lambda algebra, node: Put(Sin(), node.inputs)),
    )
    with pytest.raises(AssertionError, match="undo one another"):
        apply(Rewriter(graph), rules)


def test_a_rule_that_changes_a_type_does_nothing(graph: Graph) -> None:
    rules = (simple("wrong", (Abs,), lambda algebra, node: Put(Constant(1.0), ())),)
    rewriter = Rewriter(graph)
    assert apply(rewriter, rules) == ([], [])
    assert rewriter.finish() is graph
    node = made_by(rewriter, Abs)
    with pytest.raises(AssertionError, match=r"replaces float\[B, width\] by int"):
        rewriter.replace(node, Value(node.output.type.with_dtype("int")))
