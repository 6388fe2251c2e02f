"""What a published tensor must hold where no parameter is in it: `"…": [1, 1, q=context, k=context] <- causal`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from attndsl.diagnostics import AttnError
from attndsl.elaborate.model import VALUE, constant_graph
from attndsl.graph import Axis, Graph, ParameterInfo
from attndsl.lazy import Array, np
from attndsl.sizes import Size
from attndsl.syntax import tree
from attndsl.values import hyperparameters_of, to_setting
from attndsl.weights.axes import AxisTerm
from attndsl.weights.forms import Form
from attndsl.weights.lines import Computed

if TYPE_CHECKING:
    from attndsl.weights.forms import Read

TOLERANCE = {"F64": 1e-5, "F32": 1e-5, "F16": 1e-2, "BF16": 1e-2}
"""How far a table may be off, by the dtype of the file: published ones were computed in single precision."""


class Computation(Form):
    """What a graph without inputs and parameters computes."""

    graph: Graph

    def leaves(self) -> Iterator[tuple[str, ParameterInfo]]:
        return iter(())

    def evaluate(self, read: Read) -> Array:
        from attndsl.running.backends import reference

        return reference().program(self.graph, dtype="float64").run({})[VALUE]

    def invert(self, array: Array) -> Iterator[tuple[str, Array]]:
        return iter(())


def computed(side: Computed, axes: tuple[AxisTerm, ...], graph: Graph) -> Form:
    """The form of an expression of the hyperparameters and the stated axes alone. What is wrong with it as one of
    parameters is said where it has a name that means nothing else."""
    expression = side.expression
    values = hyperparameters_of(graph)
    settings = {n.text: to_setting(values[n.text]) for n in tree.names(expression) if n.text in values}
    settings |= {n: to_setting(values[n]) for term in axes for n in sorted(term.size.symbols) if n in values}
    named = [Axis(term.name, term.size) for term in axes if term.size != Size.of(1) and term.name != str(term.size)]
    try:
        made = constant_graph(expression, settings, named)
    except AttnError as raised:
        if raised.diagnostics[0].code == "E0101" and (reason := side.reason()).diagnostics[0].code == "E0620":
            raise reason from None
        raise
    type = made.outputs[0].value.type
    return Computation(type.axes, type.shape(made.sizes), made)


def difference(published: Array, expected: Array, dtype: str) -> str | None:
    """Where a published tensor first differs from what it must be, in words; None where it does not."""
    expected = np.broadcast_to(expected, published.shape)
    close = np.isclose(
        published.astype(np.float64),
        expected.astype(np.float64),
        TOLERANCE.get(dtype, 0),
        TOLERANCE.get(dtype, 0),
        equal_nan=True,
    )
    if close.all():
        return None
    at = tuple(int(i) for i in np.argwhere(~close)[0])
    return f"at {list(at)} it has {published[at]:.6g}, and the spec {float(expected[at]):.6g}"
