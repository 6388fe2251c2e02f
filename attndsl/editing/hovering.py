"""What an editor shows of the thing under the pointer: its type with axes, what a layer costs, the doc of a block."""

from __future__ import annotations

from attndsl.diagnostics import shortened
from attndsl.editing.things import Thing, thing_at
from attndsl.editing.workspace import Analysis
from attndsl.elaborate.values import (
    CompileTimeValue,
    LayerValue,
    Several,
    describe,
    shown,
)
from attndsl.graph import Value
from attndsl.inspection.table import quantity
from attndsl.syntax import tree
from attndsl.values import Number


def hover(analysis: Analysis, offset: int) -> str | None:
    """Markdown about what stands at an offset; None where there is nothing to say."""
    thing = thing_at(analysis, offset)
    if thing is None:
        return None
    parts = [part for part in (*_code(analysis, thing), _cost(analysis, thing), _doc(thing)) if part]
    return "\n\n".join(parts) or None


def signature(declared: tree.Declared | tree.Model) -> str:
    """How a block is declared, on one line: `block rms_norm(eps=1e-6)(x: [*, D]) -> [*, D]`."""
    text = declared.span.text
    if isinstance(declared, tree.IndexFunction) and "\n" not in text[declared.name.span.end - declared.span.start :]:
        return text[declared.name.span.start - declared.span.start - len(declared.kind) - 1 :]
    ends = [node.span.end for node in (*declared.hyperparameters, *getattr(declared, "tensors", ()))]
    ends += [node.span.end for node in getattr(declared, "results", ())]
    if isinstance(declared, tree.IndexFunction):
        ends += [variable.span.end for variable in declared.variables]
    end = max([declared.name.span.end, *ends]) - declared.span.start
    close = len(text) if "\n" not in text[end:] else text.index("\n", end)
    tail = text[end:close].split("{")[0].split(" = ")[0]
    return " ".join((text[:end] + tail).split()).removesuffix(" =")


def _code(analysis: Analysis, thing: Thing) -> list[str]:
    lines: list[str] = []
    if thing.parameter is not None:
        whose = f"  # of {thing.declared.name.text}" if thing.declared is not None else ""
        lines.append(shortened(thing.parameter.span.text, 100) + whose)
    elif thing.declared is not None:
        lines.append(signature(thing.declared))
    elif thing.said is not None:
        lines.append(thing.said[0])
    elif thing.rule is not None:
        operands = ["x", "y", "z"][: thing.rule.operands[0]]
        lines.append(f"{thing.name}({', '.join([*operands, *(f'{name}=…' for name in thing.rule.keywords)])})")
    result = _result(analysis, thing)
    if result:
        lines.append(result)
    return ["```attn\n" + "\n".join(lines) + "\n```"] if lines else []


def _result(analysis: Analysis, thing: Thing) -> str:
    """What the name is, or what the call of it gives."""
    value = thing.value
    if thing.call is not None:
        found = analysis.model_of(analysis.declaration_at(thing.at.in_file.start))
        given = found.recorder.values.get(thing.call) if found is not None else None
        if given is not None:
            made = f"{thing.name} = {typed(value)}\n" if isinstance(value, LayerValue) else ""
            return f"{made}→ {typed(given)}"
    if value is None or (thing.declared is not None and thing.parameter is None):
        return ""
    if isinstance(value, Value):
        return f"{thing.name}: {value.type}"
    return f"{thing.name} = {typed(value)}"


def typed(value: CompileTimeValue) -> str:
    """A value by its type, or by what it is."""
    if isinstance(value, Value):
        return str(value.type)
    if isinstance(value, Several):
        return ", ".join(map(typed, value.values))
    if isinstance(value, Number):
        known = shown(value) if value.value is not None else "a size of the inputs"
        formula = str(value.size) if value.size is not None and value.size.symbols else ""
        return f"{known} ({formula})" if formula and formula != known and value.value is not None else known
    if isinstance(value, LayerValue):
        return f"{shown(value.callee)}, the layer `{value.path}`"
    return describe(value)


def _cost(analysis: Analysis, thing: Thing) -> str:
    """What the layer costs."""
    for model in analysis.models if thing.path else ():
        layer = model.layers.get(thing.path)
        if layer is None:
            continue
        times = f" × {layer.copies:,} = {layer.parameters_total:,}" if layer.copies > 1 else ""
        sizes = ", ".join(f"{axis}={size}" for axis, size in model.sizes.items())
        at = f" at {sizes}" if sizes else ""
        return f"`{thing.path}`: {layer.parameters:,}{times} parameters, {_flops(layer.flops)} forward{at}"
    return ""


def _flops(count: int) -> str:
    return f"{quantity(count)}FLOPs" if count >= 1000 else f"{count} FLOPs"


def _doc(thing: Thing) -> str:
    if thing.said is not None:
        return thing.said[1]
    if thing.declared is not None and thing.parameter is None:
        return thing.declared.doc or ""
    if thing.rule is not None:
        return thing.rule.doc
    return thing.value.callee.block.doc or "" if isinstance(thing.value, LayerValue) else ""
