"""Writes docs/library.md: every block, mask, bias and primitive, from their own documentation.

`python scripts/library_page.py` writes the page; with `--check` it writes nothing, and exits with 1 if the page is out
of date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from attndsl.elaborate.called import CallRule  # noqa: E402
from attndsl.elaborate.files import specs_folder  # noqa: E402
from attndsl.elaborate.primitives import CONSTANTS, names, rule_of  # noqa: E402
from attndsl.graph import Initializer  # noqa: E402
from attndsl.syntax import tree  # noqa: E402
from attndsl.syntax.parser import parse  # noqa: E402
from attndsl.syntax.reading import read_source  # noqa: E402

PAGE = ROOT / "docs" / "library.md"

HEAD = """\
# The library

What every spec can use without an import: the standard library, written in the language itself (`attndsl show NAME`
prints the file that has a name), and the primitives underneath it. [language.md](language.md) explains the notation:
the first list of a signature holds hyperparameters, the second tensors; `*` stands for any axes.

This page is written by `scripts/library_page.py` from the documentation of the code.
"""

# The order in which a reader wants them, not the alphabet's. A file that is not here comes last.
_ORDER = (
    "linear",
    "norms",
    "activations",
    "mlp",
    "attention",
    "masks",
    "positions",
    "rotary",
    "convolution",
    "resample",
    "orders",
    "losses",
    "published",
)

Callable = tree.Block | tree.IndexFunction


def page() -> str:
    """The whole text of the page."""
    return "\n".join([HEAD, *_standard(), *_primitives()]).rstrip() + "\n"


# ---------------------------------------------------------------- the standard library


def _standard() -> Iterator[str]:
    folder = specs_folder() / "std"
    rank = {name: place for place, name in enumerate(_ORDER)}
    for path in sorted(folder.glob("*.attn"), key=lambda p: (rank.get(p.stem, len(rank)), p.stem)):
        file, problems = parse(read_source(str(path)))
        assert not problems, path
        yield f"## std.{path.stem}"
        yield ""
        if file.doc:
            yield _joined(file.doc)
            yield ""
        for declaration in file.declarations:
            if isinstance(declaration, (tree.Block, tree.IndexFunction)) and not declaration.name.text.startswith("_"):
                yield from _entry(declaration)
        maps = [declaration for declaration in file.declarations if isinstance(declaration, tree.Maps)]
        if maps:
            yield f"### published names: {_listed([f'`{group.name.text}`' for group in maps])}"
            yield ""
        for group in maps:
            yield from ("```text", group.span.text, "```", "", _joined(group.doc or ""), "")


def _entry(declaration: Callable) -> Iterator[str]:
    yield f"### {declaration.name.text}"
    yield ""
    yield "```text"
    yield _signature(declaration)
    yield "```"
    yield ""
    if declaration.doc:
        yield _joined(declaration.doc)
        yield ""
    made = list(_parameters(declaration))
    if made:
        yield f"Makes {_listed(made)}."
        yield ""
    layers = list(dict.fromkeys(f"`{label}` ({kind})" for label, kind in _labels(declaration)))
    if layers:
        yield f"Has the layer{'s' if len(layers) > 1 else ''} {_listed(layers)}."
        yield ""


def _signature(declaration: Callable) -> str:
    """The declaration as it is written, without its body, its white space made single."""
    text = declaration.span.text
    start = text.index("{") if "{" in text else len(text)
    if isinstance(declaration, tree.IndexFunction) and declaration.body:
        body = declaration.body[0].span.start - declaration.span.start
        start = min(start, text.rindex("=", 0, body) if "{" not in text[:body] else text.index("{"))
    return " ".join(text[:start].split())


def _parameters(declaration: Callable) -> Iterator[str]:
    """Each parameter with its type, how it starts, and the condition that it stands under."""
    walked = list(tree.walk(declaration))
    branches = [node for node in walked if isinstance(node, tree.If)]
    for node in walked:
        if not isinstance(node, tree.ParamDecl):
            continue
        start = node.init.span.text if node.init is not None else "normal(0.02)"
        conditions = [f"if `{b.condition.span.text}`" for b in branches if any(node in tree.walk(s) for s in b.then)]
        yield f"`{node.name.text}: {node.type.span.text}` ({', '.join([f'`{start}`', *conditions])})"


def _labels(root: tree.Tree) -> Iterator[tuple[str, str]]:
    for node in tree.walk(root):
        if isinstance(node, tree.Labelled):
            made = node.value.callee if isinstance(node.value, tree.Call) else node.value
            yield node.label.text, made.span.text


# ---------------------------------------------------------------- primitives


def _primitives() -> Iterator[str]:
    yield "## Primitives"
    yield ""
    yield "Functions of tensors that the compiler knows by itself. Those of one element take compile-time numbers too."
    yield ""
    yield "| primitive | operands | keywords | what it gives |"
    yield "|---|---|---|---|"
    for name in names():
        rule = rule_of(name)
        assert rule is not None
        keywords = ", ".join(f"`{k}=`" for k in rule.keywords) or "–"
        yield f"| `{name}` | {_count(rule)} | {keywords} | {_cell(rule.doc)} |"
    yield ""
    yield "A primitive without all of its operands is a block value: `x |> softmax(over=S)`."
    yield ""
    yield "## Constants"
    yield ""
    starts = [f"`{name}`" for name, value in CONSTANTS.items() if isinstance(value, Initializer)]
    others = [f"`{name}`" for name, value in CONSTANTS.items() if not isinstance(value, Initializer)]
    yield f"{_listed(others)}; the initialisers {_listed(starts)}."
    yield ""


def _count(rule: CallRule) -> str:
    low, high = rule.operands
    return str(low) if low == high else f"{low} to {high}"


# ---------------------------------------------------------------- words


def _joined(doc: str) -> str:
    return " ".join(doc.split())


def _cell(text: str) -> str:
    return _joined(text).replace("|", "\\|")


def _listed(items: list[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def main(arguments: list[str]) -> int:
    text = page()
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/library.md is out of date: run `python scripts/library_page.py`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
