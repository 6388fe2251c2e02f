"""Nodes, names and constants of an ONNX graph that is being written.

A node is held to the schema that the opset has of its operator: an operator that this opset lacks, or lacks in the form
that is written here, is reported with the line that asked for it (E0652). No table says since when what exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from attndsl.addresses import filled
from attndsl.diagnostics import error
from attndsl.graph import Node, Type
from attndsl.lazy import Array, np
from attndsl.records import Frozen
from attndsl.types import BOOL, INT, Axis

TENSOR_TYPES = {"float32": 1, "int64": 7, "bool": 9}
"""The numbers of dtypes in a file (`onnx.TensorProto.DataType`)."""

DTYPES = {INT: "int64", BOOL: "bool"}
OPSET = 23
"""The version of ONNX's operators that is written unless another one is asked for: the first with `Attention` and
`RMSNormalization`."""

FEW = 8  # elements of a constant whose name says them


def dtype_of(type: Type) -> str:
    """NumPy's name for what a value of this type is in the file: floats are float32."""
    return DTYPES.get(type.dtype, "float32")


class Tensor(Frozen):
    """A value of the file, by its name."""

    name: str
    type: Type

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.type.axes


@lru_cache(maxsize=1024)
def schema(kind: str, opset: int) -> Any:
    """The schema of an operator in an opset; None where it has none."""
    from onnx import defs

    try:
        found = defs.get_schema(kind, opset, "")
    except defs.SchemaError:
        return None
    return None if found.deprecated else found


class OnnxWriter:
    """What is written so far. `read` gives the array of a parameter by its address."""

    def __init__(self, opset: int, read: Callable[[str], Array]) -> None:
        self.opset = opset
        self.read = read
        self.nodes: list[Any] = []  # of the body that is being written
        self.top = self.nodes  # of the graph itself
        self.initializers: dict[str, Array] = {}
        self.loops: Mapping[str, int] = {}  # the round of each repeat around, by its address
        self.node: Node | None = None  # of our graph, for names and messages
        self._taken: dict[str, int] = {}  # how often a name was asked for
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    # ------------------------------------------------------------ names

    def fresh(self, wanted: str) -> str:
        """A name that nothing else has: `wanted`, or with a number behind it."""
        count = self._taken.get(wanted, -1) + 1
        self._taken[wanted] = count
        return wanted if not count else self.fresh(f"{wanted}_{count}")

    def address(self, address: str) -> str:
        """An address in the rounds around."""
        return filled(address, self.loops)

    @property
    def scope(self) -> str:
        return self.address(self.node.scope) if self.node is not None else ""

    # ------------------------------------------------------------ nodes

    def emit(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output, whose name it gives. An input that is left out is an empty name."""
        return self.several(kind, inputs, 1, **attributes)[0]

    def several(self, kind: str, inputs: tuple[str, ...], count: int, **attributes: Any) -> tuple[str, ...]:
        """Append a node with `count` outputs, whose names it gives."""
        from onnx import helper

        self._require(kind, len(inputs), attributes)
        name = self.fresh(f"{self.scope}/{kind}" if self.scope else kind)
        names = (name, *(self.fresh(f"{name}:{i}") for i in range(1, count)))
        self.nodes.append(helper.make_node(kind, inputs, names, name, **attributes))
        return names

    def can(self, kind: str) -> bool:
        """Whether the opset has the operator."""
        return schema(kind, self.opset) is not None

    def _require(self, kind: str, inputs: int, attributes: Mapping[str, Any]) -> None:
        def says(opset: int) -> bool:
            found = schema(kind, opset)
            return found is not None and inputs <= found.max_input and attributes.keys() <= found.attributes.keys()

        if says(self.opset):
            return
        from onnx import defs

        first = next(filter(says, range(self.opset + 1, defs.onnx_opset_version() + 1)), None)
        what = f"`{self.node.op.name}`" if self.node is not None else "the lengths of axes"
        raise error(
            "E0652",
            f"opset {self.opset} of ONNX cannot say {what}: its `{kind}` is missing, or does less",
            self.node.at if self.node is not None else None,
            note=f"`{kind}` is so since opset {first}" if first else (),
            help=f"`--opset {max(first, OPSET)}`" if first else (),
        )

    @contextmanager
    def body(self) -> Iterator[list[Any]]:
        """The nodes of a body, into which what is emitted inside the `with` goes."""
        outer, self.nodes = self.nodes, []
        try:
            yield self.nodes
        finally:
            self.nodes = outer

    @contextmanager
    def outermost(self) -> Iterator[None]:
        """What is emitted inside the `with` goes before all bodies, and belongs to no layer."""
        outer, node = self.nodes, self.node
        self.nodes, self.node = self.top, None
        try:
            yield
        finally:
            self.nodes, self.node = outer, node

    def named(self, tensor: str, wanted: str) -> str:
        """Give a value that the last node made another name, if that is free."""
        if not self.nodes or tensor not in self.nodes[-1].output or wanted in self._taken:
            return tensor
        name = self.fresh(wanted)
        self.nodes[-1].output[list(self.nodes[-1].output).index(tensor)] = name
        return name

    def give(self, tensor: str, output: str) -> None:
        """Give a value back under the name of an output, which was set aside for it."""
        from onnx import helper

        self.nodes.append(helper.make_node("Identity", [tensor], [output], self.fresh(f"give {output}")))

    # ------------------------------------------------------------ constants

    def constant(self, value: object, dtype: str) -> str:
        """The name of a constant; the same one for the same array."""
        with np.errstate(over="ignore"):
            array = np.asarray(value, dtype, order="C")
        key = array.dtype.name, array.shape, array.tobytes()
        if key not in self._constants:
            said = str(array.tolist()) if array.size <= FEW else " × ".join(map(str, array.shape))
            name = self._constants[key] = self.fresh(f"{array.dtype.name} {said}")
            self.initializers[name] = array
        return self._constants[key]

    def ints(self, *values: int) -> str:
        """A vector of whole numbers."""
        return self.constant(values, "int64")

    def parameter(self, address: str) -> str:
        """The name of a parameter: its address."""
        name = self.address(address)
        if name not in self.initializers:
            self.initializers[name] = np.asarray(self.read(name), "float32")
            self._taken.setdefault(name, 0)
        return name
