"""Looking at values inside a run by the addresses that authors know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from attndsl.addresses import filled
from attndsl.backends.numpy_reference.plan import values
from attndsl.diagnostics import AttnError, Diagnostic, did_you_mean
from attndsl.graph import Graph, Value

Array = np.ndarray[Any, Any]


class Watch:
    """Keeps the values at some addresses. `h.3.attn` is what `h.*.attn` is in the fourth iteration of `h`. What is
    computed several times at one address, in the steps of a scan or by a layer that is applied again, is kept as it was
    the last time."""

    def __init__(self, graph: Graph, addresses: Sequence[str]) -> None:
        self.addresses = tuple(addresses)
        self.graph = graph
        self.found: dict[str, Array] = {}
        self.values: frozenset[Value] = frozenset(
            value
            for value in (values(graph.body) if addresses else ())
            if any(_pattern(name).fullmatch(address) for name in value.names for address in addresses)
        )

    def see(self, value: Value, array: Array, loops: Mapping[str, int]) -> None:
        """Note what `value` is in this round of the repeats around."""
        if value not in self.values:
            return
        for name in value.names:
            address = filled(name, loops)
            if address in self.addresses:
                self.found[address] = array

    def collected(self) -> dict[str, Array]:
        """What was asked for; raises E0808 for an address that no value had."""
        missing = [address for address in self.addresses if address not in self.found]
        if missing:
            raise AttnError(
                *(
                    Diagnostic(
                        "E0808", f"no value has the address `{address}`", helps=did_you_mean(address, self.names)
                    )
                    for address in missing
                )
            )
        return {address: self.found[address] for address in self.addresses}

    @cached_property
    def names(self) -> list[str]:
        return [name.replace("*", "0") for value in values(self.graph.body) for name in value.names]


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(r"\d+".join(re.escape(part) for part in name.split("*")))
