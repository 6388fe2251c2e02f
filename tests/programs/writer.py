"""Random programs in the language, well-formed by construction: `Program.random(seed)`.

A writer keeps the tensors in sight with their axes in order, and grows a model statement by statement: arithmetic by
name, reductions, softmax under masks, slices, `rearrange`, `concat`, attention with any mask and position, layers that
are shared between repeats inside one another, conditions on the index, scans. Lengths of 0 and 1, and inputs that hold
infinities and NaN, are part of it. What a comparison decides is computed from whole numbers only, so that no decision
hangs on the last bit of a float.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.programs.bodies import Bodies
from tests.programs.expressions import Expressions
from tests.programs.layers import Layers
from tests.programs.running import Running
from tests.programs.sight import FREE, Tensor


@dataclass(frozen=True, slots=True)
class Program:
    """A text in the language, and what to run it with. `poison` is the share of float inputs' elements that are
    infinite or NaN."""

    seed: int
    text: str
    sizes: dict[str, int]
    poison: float

    @classmethod
    def causal(cls, seed: int) -> Program:
        """A program whose texts can be read on; one in ten takes positions together, and most of these cannot."""
        choice = random.Random(f"causal {seed}")
        sizes = {"B": choice.choice((1, 2, 3)), "T": choice.choice((1, 5, 9, 14)), "S": choice.choice((1, 2, 4))}
        writer = Writer(choice, apart=frozenset("BT" if choice.random() < 0.9 else "B"))
        return cls(seed, writer.model(), sizes, 0.0)

    @classmethod
    def random(cls, seed: int) -> Program:
        choice = random.Random(seed)
        sizes = {name: choice.choice((0, 1, 1, 2, 3, 3, 4, 5)) for name in FREE}
        poison = choice.choice((0.0, 0.0, 0.0, 0.05))
        return cls(seed, Writer(choice).model(), sizes, poison)


class Writer(Expressions, Layers, Bodies, Running):
    """Grows a model statement by statement."""

    def model(self) -> str:
        pick = self.choice
        self.depth = pick.choice((0, 1, 2, 3))
        width, heads = pick.choice(((4, 2), (6, 3), (4, 1), (6, 2), (2, 1)))
        steps = [pick.choice((1, 2, 3)) for _ in range(pick.choice((1, 2, 3)))]
        self.steps = len(steps)
        head = f"depth={self.depth}, steps={steps}, width={width}, heads={heads}, hidden={pick.choice((2, 3, 5))}"
        self.declare_index_functions()
        for name, dtype, axes in (
            ("x", "float", ("B", "T", "width")), ("m", "float", ("B", "S", "width")), ("g", "float", ("width",)),
            ("n", "int", ("B", "T")), ("valid", "bool", ("B", "T")), ("seen", "bool", ("B", "S")),
        ):  # fmt: skip
            bound = " where n < vocab, T <= longest" if name == "n" else ""
            tensor = Tensor(name, dtype, axes)
            self.put(f"input {name}: {tensor.type}{bound}")
            self.seen.append(tensor)
        if pick.random() < 0.3:
            self.seen.append(Tensor("o", "float", ("B", "T", "width")))
            self.put("input o: float[B, T, width] optional = 0.5 * x + g")
        self.put("head = width / heads")
        if self.is_text:
            self.bind(("B", "T", "width"), "x + embedding(n, vocab, width, init=normal(0.5)) as token")
        for _ in range(pick.randint(0, 2)):
            self.declare_layer()
        for _ in range(pick.randint(4, 11)):
            self.statement()
        self._outputs()
        body = "\n".join(self.lines)
        return "\n".join([*self.declarations, f"model M({head}, vocab=7, longest=16) {{", body, "}", ""])

    def _outputs(self) -> None:
        floats = [tensor for tensor in self.seen if tensor.dtype == "float" and tensor.name not in ("x", "m", "g")]
        if self.is_text:
            floats = [tensor for tensor in floats if {"B", "T"} <= {*tensor.axes}]
            self.put("output token = v0")
        for place, tensor in enumerate([self._float("v0" if self.is_text else "x"), *floats][-3:]):
            axes = self.choice.sample(tensor.axes, len(tensor.axes))
            type = f": [{', '.join(axes)}]" if self.choice.random() < 0.4 else ""
            self.put(f"output out{place}{type} = {tensor.name} * 1")
        whole = [tensor for tensor in self.seen if tensor.dtype != "float" and tensor.name.startswith("v")]
        if self.is_text:
            whole = [tensor for tensor in whole if {"B", "T"} <= {*tensor.axes}]
        if whole:
            self.put(f"output whole = {whole[-1].name}")

    def _float(self, name: str) -> Tensor:
        return next(tensor for tensor in self.seen if tensor.name == name)
