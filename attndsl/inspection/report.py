"""The report that `inspect` gives, and its JSON form."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attndsl.records import Frozen
from attndsl.values import storable

SCHEMA = "attndsl.inspect/1"
BODIES = ("repeat", "scan", "scope")


class SizeChoice(Frozen):
    """The value taken for a size that the inputs bind. `reason` is empty where the user gave it."""

    name: str
    value: int
    reason: str = ""

    @property
    def given(self) -> bool:
        return not self.reason


class Sharing(Frozen):
    """A parameter that more than its own layer reads: counted once, at `address`'s layer."""

    address: str
    used_by: tuple[str, ...]


class LayerReport(Frozen):
    """One line of the tree. `copies` counts how often the layer exists (the depth of the repeats around it).

    `output` and `shape` are the axes and lengths of its result (None where it gives nothing away); `parameters` are
    those of one copy, children included, `parameters_total` those of all copies. `flops` (one forward pass) and
    `activation_bytes` are of all copies, children included.
    """

    path: str
    name: str
    kind: str
    labelled: bool
    copies: int
    output: tuple[str, ...] | None
    shape: tuple[int, ...] | None
    dtype: str | None
    parameters: int
    parameters_total: int
    flops: int
    activation_bytes: int
    children: tuple[LayerReport, ...] = ()
    repeats: int | None = None  # for a repeat or scan: how often its body runs

    @property
    def is_listed(self) -> bool:
        """Whether tables have a row for it: an author named it, it has parameters, or it is a body of others. What
        others cost is in the layer around them."""
        return self.labelled or self.parameters_total > 0 or self.kind in BODIES

    @property
    def said_kind(self) -> str:
        """The block that it is a call of, where that says more than its name; else nothing."""
        return "" if self.kind in BODIES or self.kind == self.name else self.kind

    def walk(self) -> Iterator[LayerReport]:
        """This layer and everything in it, each before its children."""
        yield self
        for child in self.children:
            yield from child.walk()

    def to_json(self) -> dict[str, object]:
        return {
            "path": self.path,
            "name": self.name,
            "kind": self.kind,
            "labelled": self.labelled,
            "copies": self.copies,
            "repeats": self.repeats,
            "output": None if self.output is None else list(self.output),
            "shape": None if self.shape is None else list(self.shape),
            "dtype": self.dtype,
            "parameters": self.parameters,
            "parameters_total": self.parameters_total,
            "flops": self.flops,
            "activation_bytes": self.activation_bytes,
            "children": [child.to_json() for child in self.children],
        }


class StateReport(Frozen):
    """What is kept from one call to the next at one address: `copies` layers of `axes` (their lengths are `shape`), and
    the bytes of all."""

    address: str
    dtype: str
    axes: tuple[str, ...]
    shape: tuple[int, ...]
    copies: int
    bytes: int

    def to_json(self) -> dict[str, object]:
        return {
            "address": self.address,
            "dtype": self.dtype,
            "axes": list(self.axes),
            "shape": list(self.shape),
            "copies": self.copies,
            "bytes": self.bytes,
        }


class Totals(Frozen):
    """Of the whole model. `parameter_bytes` are at float32; `contraction_flops` is the part of `flops` that matrix
    products (attention's included) take."""

    parameters: int
    parameter_bytes: int
    flops: int
    contraction_flops: int
    activation_bytes: int

    def to_json(self) -> dict[str, int]:
        return {
            "parameters": self.parameters,
            "parameter_bytes": self.parameter_bytes,
            "flops": self.flops,
            "contraction_flops": self.contraction_flops,
            "activation_bytes": self.activation_bytes,
        }


class Report(Frozen):
    model: str
    variant: str | None
    doc: str | None
    hyperparameters: Mapping[str, object]
    sizes: tuple[SizeChoice, ...]
    layers: tuple[LayerReport, ...]
    shared: tuple[Sharing, ...]
    totals: Totals
    states: tuple[StateReport, ...] = ()

    @property
    def title(self) -> str:
        """Its name, with the variant's: `GPT2:medium`."""
        return self.model if self.variant is None else f"{self.model}:{self.variant}"

    @property
    def listed(self) -> tuple[LayerReport, ...]:
        """The layers at the top that tables have rows for."""
        return tuple(layer for layer in self.layers if layer.is_listed)

    @property
    def unlisted(self) -> tuple[LayerReport, ...]:
        """The others at the top, which tables sum up in a last row."""
        return tuple(layer for layer in self.layers if not layer.is_listed)

    def walk(self) -> Iterator[LayerReport]:
        for layer in self.layers:
            yield from layer.walk()

    def to_json(self) -> dict[str, object]:
        """The report as plain data; `schema` changes whenever a key changes its meaning or goes away."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "variant": self.variant,
            "doc": self.doc,
            "hyperparameters": {name: storable(value) for name, value in self.hyperparameters.items()},
            "sizes": [
                {"name": size.name, "value": size.value, "given": size.given, "reason": size.reason or None}
                for size in self.sizes
            ],
            "conventions": {
                "flops": "forward pass; a multiply-add counts as two",
                "activation_bytes": KEPT_CONVENTION,
                "parameters": "a shared parameter counts once, in the layer that made it",
            },
            "shared": [{"address": item.address, "used_by": list(item.used_by)} for item in self.shared],
            "states": [state.to_json() for state in self.states],
            "totals": self.totals.to_json(),
            "layers": [layer.to_json() for layer in self.layers],
        }


def first_sentence(doc: str) -> str:
    """What a spec's comment begins with: up to the first full stop before a capital."""
    return re.split(r"(?<=\.)\s+(?=[A-Z])", " ".join(doc.split()), maxsplit=1)[0]


KEPT_CONVENTION = (
    "values that the gradients of the operations as written read again, each once, "
    "float32 (int 8 bytes, bool 1); parameters, inputs and optimizer state not included"
)
