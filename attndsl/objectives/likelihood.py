"""The cross entropy of what an objective asks for, told apart from whatever is minimised.

A loss may be smoothed, penalised, or the sum of several; how well the answers are said is the mean negative
log-likelihood of the right ones, and only that is what perplexity and nats per byte are made of.
"""

from __future__ import annotations

from collections.abc import Sequence

from attndsl.graph import Graph, InputInfo, Node, OutputInfo, Region, Value
from attndsl.graph.builder import Builder
from attndsl.objectives.base import Objective
from attndsl.objectives.predictions import prediction_output
from attndsl.ops.arithmetic import Div, Maximum, Where
from attndsl.ops.comparison import Ge
from attndsl.ops.control import Given
from attndsl.ops.elementwise import Neg
from attndsl.ops.generators import Constant
from attndsl.ops.pieces import Take
from attndsl.ops.reductions import LogSoftmax, Sum
from attndsl.passes.cse import CommonSubexpressions
from attndsl.passes.rewrite import Rewriter
from attndsl.records import Frozen, replace

NAME = "cross_entropy"


class Scored(Frozen, eq=False):
    """An objective's `graph` with one more output, called `name`: the cross entropy of the answers in nats; the graph
    as it is and None where no output says the answers. It `costs_nothing` where the model computes that very number by
    itself, as its loss or on the way to it."""

    graph: Graph
    name: str | None = None
    costs_nothing: bool = False


def with_cross_entropy(objective: Objective) -> Scored:
    """Written as the standard library's `cross_entropy` is, so that equal parts are computed once."""
    graph = objective.graph
    if objective.scored is None:
        return Scored(graph)
    answer = next((info for info in graph.inputs if info.name == objective.input(objective.scored)), None)
    said = _said(objective, answer) if answer is not None else None
    if answer is None or said is None:
        return Scored(graph)
    name = NAME
    while name in {info.name for info in graph.outputs}:
        name += "_"
    builder = Builder()
    value = _cross_entropy(builder, said.value, _read(graph, answer))
    needs = {answer.name} if answer.optional and answer.default is None else set()
    added = OutputInfo(name, value, said.needs | needs)
    wider = _giving(graph, added, builder.nodes)
    own = _merged(wider)
    if own in {output for node in graph.body.nodes for output in node.outputs}:
        return Scored(_giving(graph, replace(added, value=own)), name, costs_nothing=True)
    return Scored(wider, name)


def _giving(graph: Graph, added: OutputInfo, nodes: Sequence[Node] = ()) -> Graph:
    body = graph.body
    region = Region(body.parameters, (*body.nodes, *nodes), (*body.results, added.value))
    return replace(graph, outputs=(*graph.outputs, added), body=region)


def _merged(graph: Graph) -> Value:
    """The last output, where everything that is equal is computed once: the first time."""
    rewriter = Rewriter(graph)
    CommonSubexpressions().rewrite(rewriter)
    return rewriter.finish(named=False).body.results[-1]


def _read(graph: Graph, info: InputInfo) -> Value:
    """An input as it is read: with its default, if it has one."""
    for node in graph.body.nodes if info.default is not None else ():
        if isinstance(node.op, Given) and node.inputs[0] is info.value:
            return node.output
    return info.value


def _said(objective: Objective, answer: InputInfo) -> OutputInfo | None:
    classes = len(objective.labels or ()) if objective.scored == objective.classes else objective.tokenizer.vocab
    hidden = {objective.choice.roles.get(role) for role in objective.answers}
    given = {*objective.choice.roles.values()} - hidden
    return prediction_output(objective.graph, answer.name, classes, given)


def _cross_entropy(builder: Builder, logits: Value, answers: Value) -> Value:
    """The mean over the answers that are not below zero; `logits` has the axes of `answers` and one more."""
    (over,) = [axis for axis in logits.type.axes if axis not in answers.type.axes]
    counted = builder.emit(Ge(), answers, builder.emit(Constant(0)))
    likely = builder.emit(LogSoftmax((over,)), logits)
    right = builder.emit(Take(over), likely, builder.emit(Maximum(), answers, builder.emit(Constant(0))))
    lost = builder.emit(Where(), counted, builder.emit(Neg(), right), builder.emit(Constant(0)))
    number = builder.emit(Maximum(), builder.emit(Sum(answers.type.axes), counted), builder.emit(Constant(1)))
    return builder.emit(Div(), builder.emit(Sum(lost.type.axes), lost), number)
