"""What a page shows besides its diagram, as data: the text, what is said of it, the table of layers, the masks."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from attndsl.diagnostics import AttnError, Source
from attndsl.diagnostics.report import to_json
from attndsl.graph import Graph
from attndsl.inspection import inspect
from attndsl.inspection.attending import attending, mask_of
from attndsl.inspection.report import Report
from attndsl.inspection.sizes import choose_sizes
from attndsl.inspection.table import HEADINGS, remarks, table_rows, totals
from attndsl.masks.sampled import SampledMask, sampled
from attndsl.model_page.examined import Examined
from attndsl.ops import Repeat, Scan
from attndsl.values import shown_setting

SCHEMA = "attndsl.page/1"

Data = dict[str, Any]


def contents(examined: Examined, sizes: Mapping[str, int] | None = None) -> Data:
    """The page of a spec at these sizes. `diagnostics` are as `attndsl check --json` gives them; `model` is null where
    there never was one, and `is_current` says whether it is that of the text. Sizes that do not fit are told in
    `sizes_problem`, and the page then shows those that the inputs have by default."""
    problem = ""
    model: Data | None = None
    if examined.graph is not None:
        try:
            choose_sizes(examined.graph, sizes or {})
        except AttnError as wrong:
            problem = "; ".join(it.message for it in wrong.diagnostics)
        report = inspect(examined.graph, chosen_sizes(examined.graph, sizes or {}))
        model = _model(examined, examined.graph, report)
    return {
        "schema": SCHEMA,
        "name": examined.name,
        "file": examined.source.name,
        "text": examined.source.text,
        **{key: value for key, value in to_json(examined.diagnostics).items() if key != "schema"},
        "is_current": examined.is_current,
        "model": model,
        "sizes_problem": problem,
    }


def chosen_sizes(graph: Graph, sizes: Mapping[str, int]) -> dict[str, int]:
    """The values of all sizes that the inputs bind: as given where that is possible, else by default."""
    try:
        choices = choose_sizes(graph, sizes)
    except AttnError:
        choices = choose_sizes(graph, {})
    return {choice.name: choice.value for choice in choices}


def _model(examined: Examined, graph: Graph, report: Report) -> Data:
    place = LinesNow(examined)
    lines = {path: place.of_layer(path) for path in graph.scopes}
    values = dict(graph.sizes) | {choice.name: choice.value for choice in report.sizes}
    said = report.to_json()
    return {
        "name": graph.name,
        "variant": graph.variant,
        "doc": graph.doc,
        "hyperparameters": [[name, shown_setting(value)] for name, value in graph.hyperparameters.items()],
        "sizes": said["sizes"],
        "totals": totals(report),
        "remarks": list(remarks(report)),
        "headings": HEADINGS,
        "layers": [
            {"path": row.path, "label": row.label, "cells": row.cells, "line": _line(row.path, lines)}
            for row in table_rows(report)
        ],
        "masks": _masks(graph, values, lines),
    }


class LinesNow:
    """Which line of the text a place in the spec stands on, also where the model is that of an earlier text."""

    def __init__(self, examined: Examined) -> None:
        self.examined = examined
        self._moved: dict[int, int] | None = None
        if examined.seen is not examined.source:
            before, now = (source.text.split("\n") for source in (examined.seen, examined.source))
            blocks = difflib.SequenceMatcher(None, before, now, autojunk=False).get_matching_blocks()
            self._moved = {a + i + 1: b + i + 1 for a, b, size in blocks for i in range(size)}
        self._layers: dict[str, int] = {}
        for node in examined.graph.body.walk() if examined.graph is not None else ():
            line = self.of(node)
            if not line:
                continue
            at, path = "", node.op.path if isinstance(node.op, (Repeat, Scan)) else node.scope
            for part in path.split("."):
                at = f"{at}.{part}" if at else part
                self._layers.setdefault(at, line)

    def of(self, placed: Any) -> int:
        """The line of something that has a place `at`; 0 where that is in no line of the text as it is now."""
        if placed.at is None:
            return 0
        span = placed.at.in_file
        if not _same(span.source, self.examined.seen):
            return 0
        line: int = span.line
        return line if self._moved is None else self._moved.get(line, 0)

    def of_layer(self, path: str) -> int:
        """The line where the layer at an address begins; 0 where that is in no line of the text as it is now."""
        return self._layers.get(path, 0)


def _same(one: Source, other: Source) -> bool:
    return one.whole is other.whole or one.name == other.name


def _masks(graph: Graph, sizes: Mapping[str, int], lines: Mapping[str, int]) -> list[Data]:
    """Every mask of attention that masks something, those that say the same together."""
    found: dict[SampledMask, list[str]] = {}
    makers = {value: node for node in graph.body.walk() for value in node.outputs}
    for node, queries in attending(graph).items():
        mask, (keys,) = mask_of(node), node.op.goes_over
        if mask is None:
            continue
        picture = sampled(mask, makers, queries, keys, graph.sizes, sizes)
        if picture.formula != "true":
            found.setdefault(picture, []).append(node.scope)
    return [
        {
            "formula": picture.formula,
            "words": picture.words,
            "steps": picture.steps,
            "rows": picture.rows,
            "layers": [{"path": path, "line": _line(path, lines)} for path in dict.fromkeys(paths)],
        }
        for picture, paths in found.items()
    ]


def _line(path: str, lines: Mapping[str, int]) -> int:
    """The line of a layer, or of the one around it."""
    while path and not lines.get(path):
        path = path.rpartition(".")[0]
    return lines.get(path, 0)
