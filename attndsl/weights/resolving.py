"""Which parameters a line of a `weights` section speaks of, and in which layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

from attndsl.diagnostics import AttnError, did_you_mean, error
from attndsl.graph import ParameterInfo
from attndsl.records import Frozen, replace
from attndsl.syntax import tree
from attndsl.weights.lines import Computed, MapLine
from attndsl.weights.patterns import AddressPattern, reached

Parameters = Mapping[str, list[ParameterInfo]]
"""The parameters by the pattern of their addresses (`h.*.scale`), one for each group of layers."""

LAYERS_LOOKED_AT = 4096
"""How many layers of a repeat the check walks through where an index is not simply the layer's."""

SHOWN = 6
"""Parameters of a layer that a message names."""


class Resolved(Frozen):
    """A line with the parameters of its addresses."""

    line: MapLine
    parameters: Parameters

    def assignments(self, limit: int | None) -> Iterator[dict[str, int]]:
        """The values of the line's variables, in order; with a `limit`, those of the first and last layers only. They
        are those at which one of its addresses gives a layer."""
        names = sorted(self.line.variables)
        whole: dict[tuple[int, ...], None] = {}
        domains: dict[str, dict[int, None]] = {name: {} for name in names}
        for address in self.line.addresses:
            for info in self.parameters[address.pattern]:
                look = LAYERS_LOOKED_AT if limit is not None and not address.reaches_all else limit
                found = {name: values[:limit] for name, values in reached(address, info, look).items()}
                for name, values in found.items():
                    domains[name].update(dict.fromkeys(values))
                if found.keys() == domains.keys():
                    whole.update(dict.fromkeys(product(*(found[name] for name in names))))
        for choice in sorted(whole) or product(*(sorted(values) for values in domains.values())):
            yield dict(zip(names, choice, strict=True))

    def parameter(self, address: AddressPattern, values: Mapping[str, int]) -> ParameterInfo:
        """The parameter at an address for these values of the variables; E0620 where no layer is there."""
        layers = address.layers(values)
        for info in self.parameters[address.pattern]:
            if all(layer in indices for layer, indices in zip(layers, info.layers, strict=True)):
                return info
        written = address.render(values)
        raise error("E0620", f"the model has no parameter `{written}`", address.span, "there is no such layer")


def holders(parameters: Parameters) -> Mapping[str, list[str]]:
    """The address of each parameter, and of all that holds some (`h`, `h.*`, `h.*.attn`), with the first few of those
    that it holds."""
    found: dict[str, list[str]] = {}
    for pattern in sorted(parameters):
        parts = pattern.split(".")
        for end in range(1, len(parts)):
            held = found.setdefault(".".join(parts[:end]), [])
            held += [pattern] if len(held) < SHOWN else []
        found.setdefault(pattern, [])
    return found


def resolve(line: MapLine, parameters: Parameters, known: Mapping[str, list[str]]) -> Resolved | None:
    """The line with its parameters, or None for an optional one that has none; E0620 for an address of none, E0625
    where an expression that cannot be undone speaks of one, E0626 where a variable stands on one side only. On the
    right of `<-` may stand an expression of no parameter at all. `known` are the parameters' `holders`."""
    unknown = [address for address in line.addresses if address.pattern not in parameters]
    if line.tree.optional and unknown and len(unknown) == len(line.addresses):
        return None
    if line.tree.direction == "<-" and not any(name.text in known for name in tree.names(line.tree.value)):
        if unknown:
            computed = Computed(line.tree.value, lambda: _unknown(unknown[0], parameters, known))
            line = replace(line, value=computed, addresses=())
    elif isinstance(line.value, Computed):
        raise line.value.reason()
    elif unknown:
        raise _unknown(unknown[0], parameters, known)
    if line.is_fixed:
        return Resolved(line, {})
    for address in line.addresses:
        for info in parameters[address.pattern]:
            if len(info.layers) != len(address.indices):
                raise error("E0620", f"`{address.text}` is not one parameter", address.span)
    spoken = frozenset().union(*(address.variables for address in line.addresses))
    for variable in sorted(line.variables ^ spoken):
        if variable in spoken:
            span = next(a.span for a in line.addresses if variable in a.variables)
            message = f"`{variable}` does not occur in the published name"
            raise error("E0626", message, span, help=f"write it there: `{{{variable}}}`")
        raise error(
            "E0626",
            f"`{variable}` occurs in the published name only",
            line.tree.name.span,
            help=f"write it on the right too: `h[{variable}]`",
        )
    return Resolved(line, {address.pattern: parameters[address.pattern] for address in line.addresses})


def _unknown(address: AddressPattern, parameters: Parameters, known: Mapping[str, list[str]]) -> AttnError:
    written, parts = address.text, address.pattern.split(".")
    paths = [".".join(parts[: end + 1]) for end in range(len(parts))]
    lost = next((end for end, path in enumerate(paths) if path not in known), None)
    if lost is not None and lost < len(parts) - 1:
        layers = [path for path, inside in known.items() if inside]
        layer = address.text_of(paths[lost])
        helps = [h.replace(".*", "[i]") for h in did_you_mean(paths[lost], layers)]
        if not helps:
            before = "".join(f"{path}." for path in paths[:lost][-1:])
            beside = [p for p in layers if p.startswith(before) and p.count(".") == before.count(".")]
            holder = f"`{address.text_of(before[:-1])}`" if before else "the model"
            names = ", ".join(f"`{p}`" for p in beside[:SHOWN]).replace(".*", "[i]")
            helps = [f"{holder} has {names}"] if beside else []
        return error("E0620", f"the model has no layer `{layer}`", address.spans[lost], help=helps)
    helps = [h.replace(".*", "[i]") for h in did_you_mean(address.pattern, parameters)]
    if inside := known.get(address.pattern):
        members = ", ".join(f"`{p.replace('.*', '[i]')}`" for p in inside)
        helps = [f"`{written}` is a layer; its parameters are {members}"]
    return error("E0620", f"the model has no parameter `{written}`", address.span, help=helps)
