"""Writes docs/coming-from.md: what is written in other libraries, and what the compiler says to write instead.

The left cells of the tables of expressions are written by hand, in the page itself; the right ones are what the
compiler answers when it reads them. The tables of names come from `attndsl.habits.table`. `python
scripts/habits_page.py` writes the page; with `--check` it writes nothing, and exits with 1 if the page is out of date.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from attndsl.diagnostics import AttnError  # noqa: E402
from attndsl.elaborate import elaborate, open_text  # noqa: E402
from attndsl.habits import table  # noqa: E402

PAGE = ROOT / "docs" / "coming-from.md"
_HOLE = re.compile(r"\{\w+\|(\w+)\}")
NAMES = {
    "ARGUMENTS": table.ARGUMENTS,
    "DTYPES": table.DTYPES,
    "HYPERPARAMETERS": table.HYPERPARAMETERS,
    "RECIPE": table.RECIPE,
    "VERBS": table.VERBS,
    "MARKS": table.MARKS,
    "WORDS": table.WORDS,
    "STATEMENTS": {word: _HOLE.sub(r"\1", advice) for word, advice in table.STATEMENTS.items()},
}
_ROW = re.compile(r"^\| `(?P<written>.+?)` \| .* \|$")
_CODE = re.compile(r"write (`.+`)(?:: .*)?")


def frame(text: str) -> str:
    """The model that the expressions of a page stand in, at the place of `…`."""
    found = re.search(r"```attn frame\n(.*?)```", text, re.DOTALL)
    assert found is not None
    return found[1]


def in_frame(text: str, statement: str) -> str:
    """A whole file with `statement` in the frame of the page; what is no statement is given a name."""
    first = re.match(r"\w+", statement)
    is_statement = first is not None and (
        first.group() in table.STATEMENTS or re.match(r"(?:param|state|repeat|self|[\w, ]+ =)[ .]", statement)
    )
    names = "a, b" if statement.startswith("split(") else "y"
    return frame(text).replace("…", statement if is_statement or statement[0] == "@" else f"{names} = {statement}")


def answer(text: str, written: str) -> str:
    """What the compiler says to write instead, as a cell."""
    try:
        elaborate(open_text(in_frame(text, unescaped(written))), {})
    except AttnError as problem:
        (diagnostic,) = problem.diagnostics
        help = diagnostic.helps[0]
        code = _CODE.fullmatch(help)
        return (code[1] if code else help).replace("|", "\\|")
    raise AssertionError(f"`{written}` is right here as well")


def unescaped(cell: str) -> str:
    return cell.replace("\\|", "|")


def page() -> str:
    """The whole text of the page, with right cells anew."""
    text = PAGE.read_text(encoding="utf-8")
    lines = [
        f"| `{found['written']}` | {answer(text, found['written'])} |" if (found := _ROW.match(line)) else line
        for line in text.split("<!-- names")[0].splitlines()
    ]
    parts = ["\n".join(lines).rstrip(), ""]
    for name, intro in re.findall(r"<!-- names (\w+) -->\n(.*?)\n\n\|", text, re.DOTALL):
        parts += [f"<!-- names {name} -->", intro, "", *_rows(NAMES[name]), ""]
    return "\n".join(parts).rstrip() + "\n"


def _rows(names: Mapping[str, str]) -> Iterator[str]:
    yield "| elsewhere | here |"
    yield "|---|---|"
    for here in dict.fromkeys(names.values()):
        others = ", ".join(f"`{other}`" for other, own in names.items() if own == here)
        yield f"| {others} | {here if '`' in here or ' ' in here else f'`{here}`'} |".replace("||", "\\|\\|")


def main(arguments: list[str]) -> int:
    text = page()
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/coming-from.md is out of date: run `python scripts/habits_page.py`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
