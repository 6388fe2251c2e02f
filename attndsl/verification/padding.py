"""Which inputs say what is padding: those of a recipe's role for it, or, without a recipe, those that hide keys from
attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attndsl.graph import BOOL, Graph, Value
from attndsl.objectives.roles import VALID
from attndsl.ops import Attention
from attndsl.passes import optimize
from attndsl.recipe.recipe import read_recipe
from attndsl.values.hyperparameters import hyperparameters_of

if TYPE_CHECKING:
    from attndsl.elaborate.spec import Spec


def padding_inputs(spec: Spec, graph: Graph) -> tuple[str, ...]:
    """The inputs of bools, `[rows, time]`, that are false where there is padding."""
    flags = [info for info in graph.own_inputs if info.value.type.dtype == BOOL and info.value.type.rank == 2]
    sections = [each for each in spec.scope.trains if each.model.text == spec.model.name.text]
    if sections:
        recipes = [read_recipe(section, hyperparameters_of(graph)) for section in sections]
        filled = {recipe.objective.roles.get(VALID.name) for recipe in recipes}
        return tuple(info.name for info in flags if info.name in filled)
    hidden = _hiding(graph)
    return tuple(info.name for info in flags if info.value in hidden)


def _hiding(graph: Graph) -> set[Value]:
    """The inputs that the masks of attentions are made of, where these say the same to all queries."""
    plain, _ = optimize(graph)
    makers = {value: node for node in plain.body.walk() for value in node.outputs}
    masks = [
        node.inputs[3]
        for node in plain.body.walk()
        if isinstance(node.op, Attention) and node.op.mask.keys_only and node.op.mask.data
    ]
    found: set[Value] = set()
    while masks:
        value = masks.pop()
        if value in makers:
            masks += makers[value].inputs
        else:
            found.add(value)
    return found
