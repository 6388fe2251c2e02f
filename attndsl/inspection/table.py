"""The report as a table for a terminal: a tree of layers, columns aligned, in a given width."""

from __future__ import annotations

from collections.abc import Iterator

from attndsl.inspection.report import KEPT_CONVENTION, LayerReport, Report, first_sentence
from attndsl.records import Frozen
from attndsl.tables import GAP
from attndsl.values import shown_setting

ELSE = "everything else"
HEADINGS = ("layer", "output", "shape", "parameters", "total", "FLOPs", "kept")


def render_tree(report: Report, *, width: int = 100) -> str:
    """The report as text, no line wider than `width` (at least 60) where names allow.

    Layers that nobody labelled and that have no parameters are not listed; their costs are in the layer around them.
    """
    width = max(width, 60)
    blocks = [_header(report, width), _table(report, width), _totals(report, width)]
    return "\n".join("\n".join(line.rstrip() for line in block) + "\n" for block in blocks)


def quantity(value: int | float) -> str:
    """Three to four digits and a prefix: `291.6 G`, `0`; exact below a thousand."""
    for factor, prefix in ((10**18, "E"), (10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if abs(value) >= factor:
            return f"{value / factor:.1f} {prefix}"
    return f"{value:.0f}"


def memory(size: int) -> str:
    """Bytes in binary units: `3.0 MiB`."""
    for power, prefix in ((6, "Ei"), (5, "Pi"), (4, "Ti"), (3, "Gi"), (2, "Mi"), (1, "Ki")):
        if size >= 1024**power:
            return f"{size / 1024**power:.1f} {prefix}B"
    return f"{size} B"


# ---------------------------------------------------------------- header and totals


def _header(report: Report, width: int) -> list[str]:
    lines = [_cut(report.title, width)]
    if report.doc:
        lines += _wrap(first_sentence(report.doc).split(), "", width)
    settings = [f"{name} = {shown_setting(value)}" for name, value in report.hyperparameters.items()]
    if settings:
        lines += _wrap(settings, "hyperparameters  ", width, ", ")
    if report.sizes:
        sizes = [f"{s.name} = {s.value}" + (f" ({s.reason})" if s.reason else "") for s in report.sizes]
        lines += _wrap(sizes, "sizes            ", width, ", ")
    return lines


def _totals(report: Report, width: int) -> list[str]:
    rows = totals(report)
    first = max(len(name) for name, _, _ in rows)
    second = max(len(value) for _, value, _ in rows)
    lines = []
    for name, value, remark in rows:
        lines += _wrap(remark.split(), f"{name:<{first}}{GAP}{value:>{second}}{GAP}", width)
    for said in remarks(report):
        lines += _wrap(said.split(), "", width)
    return lines


def totals(report: Report) -> tuple[tuple[str, str, str], ...]:
    """What the whole model takes: what is counted, how much, and how it is counted."""
    all = report.totals
    return (
        ("parameters", f"{all.parameters:,}", f"{memory(all.parameter_bytes)} in float32"),
        (
            "forward",
            f"{quantity(all.flops)}FLOPs" if all.flops >= 1000 else f"{all.flops} FLOPs",
            f"{quantity(all.contraction_flops)}FLOPs of it in matrix products; a multiply-add counts as two",
        ),
        ("kept", memory(all.activation_bytes), KEPT_CONVENTION),
    )


def remarks(report: Report) -> Iterator[str]:
    """What is kept from call to call, and which parameters are shared."""
    for state in report.states:
        layers = f" in each of {state.copies} layers" if state.copies > 1 else ""
        shape = "×".join(map(str, state.shape)) or "scalar"
        yield f"state {state.address}: {state.dtype}[{', '.join(state.axes)}]{layers}, {shape}, {memory(state.bytes)}"
    for item in report.shared:
        yield f"* {item.address} is shared, counted once; also read by: {', '.join(item.used_by)}"


def _wrap(words: list[str], lead: str, width: int, separator: str = " ") -> list[str]:
    lines, line = [], lead
    for number, word in enumerate(words):
        text = word + (separator.rstrip() if number < len(words) - 1 else "")
        fresh = not line.strip() or line == lead
        if not fresh and len(line) + 1 + len(text) > width:
            lines.append(line)
            line, fresh = " " * len(lead), True
        line += text if fresh else " " + text
    return [*lines, line]


# ---------------------------------------------------------------- the table


class LayerRow(Frozen):
    """A layer's, named by `path` (empty: what is summed up): `cells` are under the `HEADINGS` after the first."""

    path: str
    label: str
    cells: tuple[str, ...]


def _table(report: Report, width: int) -> list[str]:
    for exact in (True, False):  # parameters to the digit, unless that takes too much room
        lines = list(table_rows(report, exact))
        rest = [max(map(len, column)) for column in zip(HEADINGS[1:], *(line.cells for line in lines), strict=True)]
        layer = max([len(HEADINGS[0]), *(len(line.label) for line in lines)])
        missing = layer + sum(rest) + len(GAP) * len(rest) - width
        if missing <= 0:
            break
    widths = [layer, *rest]
    for index, least in ((0, 24), (1, 8), (2, 8)):  # cut names before numbers
        cut = max(min(missing, widths[index] - least), 0)
        widths[index] -= cut
        missing -= cut
    return [
        GAP.join(_align(text, size, right=i > 2) for i, (text, size) in enumerate(zip(row, widths, strict=True)))
        for row in (HEADINGS, *((line.label, *line.cells) for line in lines))
    ]


def table_rows(report: Report, exact: bool = True) -> Iterator[LayerRow]:
    """The rows of the table, parameters to the digit where `exact`. What is not listed at the top is summed up in a
    last row, so that the columns add up."""
    shared = {item.address.rpartition(".")[0] for item in report.shared}
    yield from _branch(report.listed, "", shared, exact)
    rest = report.unlisted
    flops, kept = sum(layer.flops for layer in rest), sum(layer.activation_bytes for layer in rest)
    if flops or kept:
        cells = ("", "", "", "", quantity(flops) if flops else "", memory(kept) if kept else "")
        yield LayerRow("", ELSE, cells)


def _branch(
    layers: tuple[LayerReport, ...], indent: str, shared: set[str], exact: bool, is_top: bool = True
) -> Iterator[LayerRow]:
    for index, layer in enumerate(layers):
        last = index == len(layers) - 1
        label = "" if is_top else indent + ("└ " if last else "├ ")
        label += layer.name + (f" × {layer.repeats:,}" if layer.repeats is not None else "")
        label += "*" if layer.path in shared else ""
        label += f" {layer.said_kind}" if layer.said_kind else ""
        yield LayerRow(
            layer.path,
            label,
            (
                f"[{', '.join(layer.output)}]" if layer.output else "",
                "×".join(map(str, layer.shape)) if layer.shape else "",
                f"{layer.parameters:,}" if layer.parameters else "",
                "" if not layer.parameters_total
                else f"{layer.parameters_total:,}" if exact else quantity(layer.parameters_total),
                quantity(layer.flops) if layer.flops else "",
                memory(layer.activation_bytes) if layer.activation_bytes else "",
            ),
        )  # fmt: skip
        inner = tuple(child for child in layer.children if child.is_listed)
        yield from _branch(inner, "" if is_top else indent + ("  " if last else "│ "), shared, exact, False)


def _align(text: str, width: int, right: bool = False) -> str:
    cut = _cut(text, width)
    return cut.rjust(width) if right else cut.ljust(width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
