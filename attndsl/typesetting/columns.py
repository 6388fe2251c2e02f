"""What papers say of models in tables: hyperparameters and sizes, and the layers, with models as columns side by side.

With one model, the table of layers has its operations too. With several, what all have in common is said once, and a
layer has one row where several have it: the same name in the same place, with the same axes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from attndsl.inspection.report import LayerReport, Report, first_sentence
from attndsl.inspection.table import ELSE, quantity
from attndsl.records import Frozen
from attndsl.typesetting.tables import Cell, PaperTable
from attndsl.values import shown_setting

NONE = "–"
COUNTED = "FLOPs are those of one forward pass; a multiply-add counts as two."

Row = tuple[Cell, ...]
Key = tuple[object, ...]


def paper_tables(reports: Mapping[str, Report]) -> tuple[PaperTable, PaperTable]:
    """The table of sizes and the table of layers of one model or of several, each under the name of its spec. Columns
    are headed by the models' titles, or by these names where two models have one title."""
    titles = [report.title for report in reports.values()]
    own = len(set(titles)) == len(titles)
    sides = [_Side(report.title if own else name, report) for name, report in reports.items()]
    return _sizes(sides), _layers(sides)


class _Side(Frozen):
    """A column: its heading, and the model."""

    title: str
    report: Report


# ---------------------------------------------------------------- sizes


def _sizes(sides: Sequence[_Side]) -> PaperTable:
    reports = [side.report for side in sides]
    names = list(dict.fromkeys(name for report in reports for name in report.hyperparameters))
    settings = {name: [_setting(report, name) for report in reports] for name in names}
    common = [name for name, cells in settings.items() if len(reports) > 1 and len(set(cells)) == 1]
    inputs = list(dict.fromkeys(size.name for report in reports for size in report.sizes))
    groups = (
        [(Cell(code=name), *cells) for name, cells in settings.items() if name not in common],
        [(Cell(code=name), *(_input(report, name) for report in reports)) for name in inputs],
        [
            (Cell("parameters"), *(Cell(f"{report.totals.parameters:,}") for report in reports)),
            (Cell("FLOPs"), *(Cell(quantity(report.totals.flops)) for report in reports)),
        ],
    )
    shared = ", ".join(f"`{name} = {shown_setting(reports[0].hyperparameters[name])}`" for name in common)
    return PaperTable(
        caption=_caption(sides, "Sizes"),
        head=(Cell(), *(Cell(side.title) for side in sides)),
        left=1,
        groups=tuple(tuple(group) for group in groups if group),
        notes=((f"In all of them {shared}.",) if shared else ()) + (COUNTED,),
    )


def _setting(report: Report, name: str) -> Cell:
    """Numbers as numbers; names of blocks and other words as a spec writes them."""
    if name not in report.hyperparameters:
        return Cell(NONE)
    value = report.hyperparameters[name]
    if isinstance(value, int) and not isinstance(value, bool):
        return Cell(_whole(value))
    return Cell(shown_setting(value)) if isinstance(value, float) else Cell(code=shown_setting(value))


def _input(report: Report, name: str) -> Cell:
    return Cell(next((_whole(size.value) for size in report.sizes if size.name == name), NONE))


def _whole(value: int) -> str:
    """Digits in groups, from the fifth on."""
    return f"{value:,}" if abs(value) >= 10_000 else str(value)


def _caption(sides: Sequence[_Side], what: str) -> str:
    names = [f"`{side.title}`" for side in sides]
    if len(sides) > 1:
        return f"{what} of {', '.join(names[:-1])} and {names[-1]}."
    doc = sides[0].report.doc
    return f"{what} of {names[0]}." + (f" {first_sentence(doc)}" if doc else "")


# ---------------------------------------------------------------- layers


class _Joined(Frozen):
    """A layer, with what it is in each of the models (None: that one lacks it)."""

    each: tuple[LayerReport | None, ...]
    children: tuple[_Joined, ...]

    @property
    def first(self) -> LayerReport:
        return next(layer for layer in self.each if layer is not None)


def _layers(sides: Sequence[_Side]) -> PaperTable:
    reports = [side.report for side in sides]
    joined = _join([report.listed for report in reports])
    shared = dict.fromkeys(item.address for report in reports for item in report.shared)
    marked = {address.rpartition(".")[0] for address in shared}
    notes = tuple(f"* `{address}` is shared and counted once." for address in shared)
    if len(sides) > 1:
        return PaperTable(
            caption=_caption(sides, "Parameters of the layers"),
            head=(Cell("layer"), Cell("output"), *(Cell(side.title) for side in sides)),
            left=2,
            groups=(
                tuple(_rows(joined, marked, _side_by_side)),
                ((Cell("all"), Cell(), *(Cell(quantity(report.totals.parameters)) for report in reports)),),
            ),
            notes=notes,
        )
    totals = reports[0].totals
    rest = sum(layer.flops for layer in reports[0].unlisted)
    others = ((Cell(ELSE), Cell(), Cell(), Cell(), Cell(quantity(rest))),) if rest else ()
    return PaperTable(
        caption=f"Layers of `{sides[0].title}`.",
        head=tuple(map(Cell, ("layer", "output", "parameters", "all copies", "FLOPs"))),
        left=2,
        groups=(
            (*_rows(joined, marked, _alone), *others),
            (tuple(map(Cell, ("all", "", "", f"{totals.parameters:,}", quantity(totals.flops)))),),
        ),
        notes=(*notes, COUNTED),
    )


def _join(sides: Sequence[Sequence[LayerReport]]) -> tuple[_Joined, ...]:
    """The layers of several models as one tree: what only some have comes before what follows it there."""
    keyed = [_keyed(side) for side in sides]
    order: list[Key] = []
    for side in keyed:
        new: list[Key] = []
        for key in side:
            if key in order:
                at = order.index(key)
                order[at:at] = new
                new = []
            else:
                new.append(key)
        order += new
    joined = []
    for key in order:
        each = tuple(side.get(key) for side in keyed)
        inner = [tuple(c for c in layer.children if c.is_listed) if layer is not None else () for layer in each]
        joined.append(_Joined(each, _join(inner)))
    return tuple(joined)


def _keyed(side: Sequence[LayerReport]) -> dict[Key, LayerReport]:
    """The layers by what makes two of them one row; the number tells those of one model apart."""
    found: dict[Key, LayerReport] = {}
    for layer in side:
        same = (layer.name, layer.kind, layer.output)
        number = sum(key[:-1] == same for key in found)
        found[(*same, number)] = layer
    return found


def _rows(
    layers: Sequence[_Joined], shared: set[str], numbers: Callable[[_Joined], Row], indent: int = 0
) -> Iterator[Row]:
    for layer in layers:
        name = layer.first.name + _repeats(layer) + ("*" if layer.first.path in shared else "")
        output = f"[{', '.join(layer.first.output)}]" if layer.first.output else ""
        label = f"{name} {layer.first.said_kind}" if layer.first.said_kind else name
        yield Cell(label, indent=indent), Cell(code=output), *numbers(layer)
        yield from _rows(layer.children, shared, numbers, indent + 1)


def _repeats(layer: _Joined) -> str:
    """How often a body runs, in each model where they differ: ` × 12, 24`."""
    counts = dict.fromkeys(each.repeats for each in layer.each if each is not None and each.repeats is not None)
    return f" × {', '.join(f'{count:,}' for count in counts)}" if counts else ""


def _side_by_side(layer: _Joined) -> Row:
    return tuple(
        Cell(NONE if each is None else quantity(each.parameters_total) if each.parameters_total else "")
        for each in layer.each
    )


def _alone(layer: _Joined) -> Row:
    (each,) = layer.each
    assert each is not None
    return (
        Cell(f"{each.parameters:,}" if each.parameters else ""),
        Cell(f"{each.parameters_total:,}" if each.parameters_total else ""),
        Cell(quantity(each.flops) if each.flops else ""),
    )
