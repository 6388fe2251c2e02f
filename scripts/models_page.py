"""Writes docs/models.md: every shipped spec and variant, with its size, its cost, and how far it is from the published
implementation.

`python scripts/models_page.py` measures everything (about a quarter of an hour on two cores; it needs `torch` and
`transformers`), keeps what it found in docs/models.json and writes the page. `--only SPEC` measures one spec again,
`--changed` what was measured of another text or of other hyperparameters, `--render` nothing: what is cheap to find
out, parameters, operations and lines, is found out each time.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from attndsl.elaborate import Spec, open_spec, shipped  # noqa: E402
from attndsl.graph import Graph  # noqa: E402
from attndsl.inspection import inspect  # noqa: E402
from attndsl.syntax import tree  # noqa: E402
from attndsl.syntax.printer import to_text  # noqa: E402
from tests.parity.harness import ALLOWED, Family, Trial, families  # noqa: E402
from tests.parity.rows import Row, measure, spec_lines  # noqa: E402
from tests.parity.variants import (  # noqa: E402
    comparisons,
    graph_of,
    hyperparameters,
    measure_comparison,
    names,
    oracle_name,
)

PAGE = ROOT / "docs" / "models.md"
RECORD = ROOT / "docs" / "models.json"
COMMAND = "python scripts/models_page.py"

LENGTH = 512
"""The number of tokens that operations are counted for, where a model takes as many."""
GRID = 32
"""The number of rows and columns that operations are counted for, where a model of pictures has no size of its own."""
LARGEST = 200_000_000
"""The number of parameters up to which a published size is compared as it is."""
LARGEST_DERIVED = 50_000_000
"""The same for sizes that nobody published: another head on a body that is compared as it is."""

Found = dict[str, Any]
Differences = dict[str, list[float]]
"""The largest ones of outputs, loss and gradients, by backend and precision ("numpy float32"): two digits of each."""


# ---------------------------------------------------------------- measuring


def measured_variant(name: str, known: dict[tuple[str, str], Found]) -> list[Found]:
    """How far a variant is from each of its oracles. What is `known` of the same hyperparameters is not measured again:
    a variant may be what the model is by default."""
    found = []
    for family, size in comparisons(name):
        of = digest(open_spec(name), made(name, **size.settings))
        if (family.name, of) not in known:
            with tempfile.TemporaryDirectory() as folder:
                largest = LARGEST if size in family.published else LARGEST_DERIVED
                row = measure_comparison(family, size, Path(folder), largest=largest)
            gc.collect()
            known[family.name, of] = {
                "name": name,
                "settings": dict(size.settings),
                "family": family.name,
                "oracle": oracle_name(family, size.config),
                "parameters": row.oracle_parameters,
                "whole": row.whole,
                "differences": differences([row]),
                "of": of,
            }
        found.append(known[family.name, of] | {"name": name, "settings": dict(size.settings)})
    return found


def measured_family(family: Family) -> Found:
    """The largest differences over all small configurations of a family."""
    rows = []
    for config in family.configs.values():
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(Trial(family, config, Path(folder)), ""))
    return {
        "name": family.name,
        "spec": family.spec,
        "oracle": oracle_name(family, next(iter(family.configs.values()))),
        "configurations": len(family.configs),
        "differences": differences(rows),
        "of": digest(open_spec(family.spec)),
    }


def differences(rows: Sequence[Row]) -> Differences:
    return {
        key: [
            float(f"{max(getattr(row, what)[key] for row in rows):.1e}") for what in ("outputs", "losses", "gradients")
        ]
        for key in rows[0].outputs
    }


def digest(spec: Spec, graph: Graph | None = None) -> str:
    """Of what a comparison speaks of: a model and its weights sections, whatever their layout, and the hyperparameters
    of a variant. What was measured of something else has to be measured again."""
    text = "\n".join(to_text(part) for part in (spec.model, *spec.weights))
    if graph is not None:
        text += json.dumps(hyperparameters(graph), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def measure_all(only: str | None = None, *, changed: bool = False) -> Iterator[str]:
    """Measure everything, or one spec, or what is new or was measured of something else, and keep what was found after
    each step. Says what was done."""
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    record = read_record()
    record["versions"] = {"torch": torch.__version__.partition("+")[0], "transformers": transformers.__version__}
    known = {"families": {family.name for family in families()}, "variants": set(names())}
    for kind, there in known.items():
        record[kind] = [row for row in record[kind] if row["name"] in there]

    def keep(kind: str, name: str, rows: list[Found]) -> None:
        record[kind] = [row for row in record[kind] if row["name"] != name] + rows
        write_record(record)

    began = time.perf_counter()
    old = {row["name"]: row for row in record["families"]} if changed else {}
    for family in families():
        same = family.name in old and old[family.name]["of"] == digest(open_spec(family.spec))
        if only in (None, family.spec) and not (same and old[family.name]["configurations"] == len(family.configs)):
            keep("families", family.name, [measured_family(family)])
            yield f"{time.perf_counter() - began:5.0f} s  {family.name}"
    measured = {(row["family"], row["of"]): row for row in record["variants"]} if changed else {}
    for name in names():
        if only in (None, name.partition(":")[0]):
            keep("variants", name, measured_variant(name, measured))
            yield f"{time.perf_counter() - began:5.0f} s  {name}"


def read_record() -> Found:
    if not RECORD.is_file():
        return {"versions": {}, "families": [], "variants": []}
    found: Found = json.loads(RECORD.read_text(encoding="utf-8"))
    return found


def write_record(record: Found) -> None:
    """A row on each line, in the order of the page."""
    families_, places = [family.name for family in families()], list(names())
    record["families"].sort(key=lambda row: families_.index(row["name"]))
    record["variants"].sort(key=lambda row: (places.index(row["name"]), families_.index(row["family"])))
    lists = [
        f'"{kind}": [\n' + ",\n".join(json.dumps(row, ensure_ascii=False) for row in record[kind]) + "\n]"
        for kind in ("families", "variants")
    ]
    text = ",\n".join([f'"versions": {json.dumps(record["versions"])}', *lists])
    RECORD.write_text(f"{{\n{text}\n}}\n", encoding="utf-8")


# ---------------------------------------------------------------- the page

HEAD = """\
# The shipped models

Every shipped spec and variant is compared with the published implementation: a checkpoint with random parameters that
all differ is written by the one and loaded by the other, through the spec's own `weights` section, and both are asked
the same. The numbers below are the largest differences that were found: of any output, at a position that counts; of
the loss; and of any parameter's gradient, relative to the largest element of that gradient (or to a hundredth of the
largest of all gradients, where that is more). They are given in pairs, float32 · float64, and the tests allow
{float32:.0e} · {float64:.0e}.

This page is written by `{command}`, which measures everything again (with `--only gpt2`, one spec). What it
measured, with PyTorch {torch} and transformers {transformers}, is in [models.json](models.json).
"""

VARIANTS = """\
## Size, cost and agreement

*Theirs* is the number of parameters of the published implementation at that size. FLOPs are those of a forward pass,
with the loss, over one text of so many tokens (source + target; {length} where the model takes as many) or one image of
so many pixels. Differences are the larger of those on NumPy and on PyTorch. They were measured at the size of the row,
or, where it is marked ↓, with the same depth and the same heads but few words and narrow layers. A body without a head
(–) has no loss; its gradients are compared with those heads that have one.

| spec | parameters | theirs | against | FLOPs | over | outputs | loss | gradients | lines |
|---|--:|--:|---|--:|--:|--:|--:|--:|--:|
"""

FAMILIES = """\
## Agreement by backend

The largest differences over all *small* configurations (odd numbers of heads, one layer, one head, no layers, a context
of one, sizes that are all equal; each with several batches: padded, of one row, of one token, at the limit) and over
all *sizes* above.

| against | spec | small | sizes | outputs, NumPy | PyTorch | loss, NumPy | PyTorch | gradients, NumPy | PyTorch |
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|
"""

PARTICULAR = """\
## What is particular about the published implementations

Where one needed something special to be compared, it is said here.

"""

PATCHES = """\
Some do not compute in float64 all the way when they are asked to. For the comparison in float64, and for nothing else,
this is changed:

"""

LINES = """\
## Lines

With comments, without empty lines. A `weights` section names every tensor of the published files, in both directions.

| spec | model | variants | weights | train |
|---|--:|--:|--:|--:|
"""


def page() -> str:
    """The text of docs/models.md."""
    record = read_record()
    parts = [
        HEAD.format(command=COMMAND, **ALLOWED, **record["versions"]).replace("e-0", "e-"),
        VARIANTS.format(length=LENGTH) + "".join(_variant_rows(record)),
        FAMILIES + "".join(_family_row(row, record) for row in record["families"]),
        PARTICULAR + "".join(f"- {f.name}: {_joined(f.oracle.__doc__)}\n" for f in families() if f.oracle.__doc__),
        PATCHES + "".join(f"- {f.name}: {_sentence(patch.why)}\n" for f in families() for patch in f.patches),
        LINES + "".join(_lines_row(name) for name in shipped()),
    ]
    return "\n".join(parts)


def _variant_rows(record: Found) -> Iterator[str]:
    for row in record["variants"]:
        graph = made(row["name"], **row["settings"])
        sizes = example_sizes(graph)
        both = [_worst(row["differences"], what) for what in _compared(row)]
        yield _row(
            f"`{' '.join([row['name'], *(f'--set {name}={value}' for name, value in row['settings'].items())])}`",
            f"{graph.parameter_count:,}",
            f"{row['parameters']:,}",
            f"`{row['oracle']}`" + ("" if row["whole"] else " ↓"),
            _si(inspect(graph, sizes).totals.flops),
            stated(graph, sizes),
            *[*both, *["–"] * (3 - len(both))],
            str(spec_lines(open_spec(row["name"]))),
        )


def _family_row(row: Found, record: Found) -> str:
    sizes = [other for other in record["variants"] if other["family"] == row["name"]]
    every = [found["differences"] for found in (row, *sizes)]
    distinct = len({other["of"] for other in sizes})
    cells = [
        _pair(*(max(found[f"{backend} {dtype}"][what] for found in every) for dtype in ALLOWED))
        for what in _compared(sizes[0])
        for backend in ("numpy", "torch")
    ]
    cells += ["–"] * (6 - len(cells))
    return _row(f"`{row['oracle']}`", f"`{row['spec']}`", str(row["configurations"]), str(distinct), *cells)


@cache
def made(name: str, **settings: Any) -> Graph:
    return graph_of(name, settings)


def _compared(row: Found) -> range:
    """Of outputs, loss and gradients, those that there are: a body alone has no loss."""
    has_loss = any(output.name == "loss" for output in made(row["name"], **row["settings"]).outputs)
    return range(3 if has_loss else 1)


def _lines_row(name: str) -> str:
    spec = open_spec(name)
    trains = [d for d in spec.file.declarations if isinstance(d, tree.Train)]
    others = [_lines(spec.variants), _lines(spec.weights), _lines(trains)]
    return _row(f"`{name}`", str(spec_lines(spec)), *(str(count) if count else "–" for count in others))


def _lines(declarations: Sequence[tree.Tree]) -> int:
    return sum(bool(line.strip()) for declared in declarations for line in declared.span.text.splitlines())


def example_sizes(graph: Graph) -> dict[str, int]:
    """One text of `LENGTH` tokens, or as many as the model takes, and one image of the size that it is made for."""
    values = graph.hyperparameters
    given = {"B": 1}
    for name in graph.free_sizes:
        if name == "N":
            given[name] = 1
        elif name in ("S", "T"):
            given[name] = min(LENGTH, values.get("context", LENGTH))
        elif name in ("Y", "X"):
            given[name] = values["size"] // values["patch"] if "size" in values else GRID
    return given


def stated(graph: Graph, sizes: Mapping[str, int]) -> str:
    """The sizes in words: `512`, `512 + 512`, `224 × 224`, `224 × 224 + 77`."""
    known = {**graph.sizes, **sizes}
    seen = [info.value.type.axes[-2:] for info in graph.inputs if info.name == "image" and "Y" in sizes]
    image = [" × ".join(str(axis.size.value(known)) for axis in axes) for axes in seen]
    return " + ".join(image + [str(sizes[name]) for name in ("S", "T") if name in sizes])


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |\n"


def _worst(found: Differences, what: int) -> str:
    return _pair(*(max(found[f"{backend} {dtype}"][what] for backend in ("numpy", "torch")) for dtype in ALLOWED))


def _pair(single: float, double: float) -> str:
    return f"{_short(single)} · {_short(double)}"


def _short(value: float) -> str:
    """`3e-6`: rounded up, since it is a bound."""
    if not value:
        return "0"
    digits, _, power = f"{value:.1e}".partition("e")
    up = -(-float(digits) // 1)
    return f"{up:.0f}e{int(power)}" if up < 10 else f"1e{int(power) + 1}"


def _si(count: int) -> str:
    for power, letter in ((12, "T"), (9, "G"), (6, "M")):
        if count >= 10**power:
            return f"{count / 10**power:.3g} {letter}"
    return f"{count:,}"


def _joined(doc: str) -> str:
    return " ".join(doc.split())


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Write docs/models.md.")
    parser.add_argument("--only", metavar="SPEC", choices=list(shipped()), help="measure one spec again")
    parser.add_argument("--changed", action="store_true", help="measure only what has changed since it was measured")
    parser.add_argument("--render", action="store_true", help="measure nothing, write the page")
    given = parser.parse_args(arguments)
    if not given.render:
        for line in measure_all(given.only, changed=given.changed):
            print(line, flush=True)
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
