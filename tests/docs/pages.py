"""The examples of docs/language.md: fenced blocks with what their first line says of them, and how each becomes a file.

- ```` ```attn ```` is a whole file; ```` ```attn file NAME ```` is one that later examples import;
- ```` ```attn frame ```` is the model that fragments stand in, at the place of `…`;
- ```` ```attn fragment ```` holds statements, and before or between them declarations;
- ```` ```attn wrong CODE ```` must give that code and no other; a ```` ```text error ```` behind it is what is printed.
- ```` ```attn warns CODE ```` is right, and gives that warning and no other.

A comment `# [B, T, width]` behind a statement is the type of the value that it names: an output is added that shows it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "language.md"

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_DECLARATION = re.compile(r"(?:model|block|mask|bias|variant|weights|train)[ \t]+[A-Za-z_]|use[ \t]+[\"A-Za-z_]")
_TYPED = re.compile(
    r"(?P<indent> *)(?P<output>output )?(?P<name>\w+)(?:: [^=]+)? = .*?\s# (?P<type>(?:int|bool)?\[[^\]]*\])"
)


@dataclass(frozen=True)
class Example:
    """A fenced block: its language and the words behind it, the line where it starts, its text."""

    language: str
    words: tuple[str, ...]
    line: int
    text: str

    @property
    def kind(self) -> str:
        return self.words[0] if self.words else "program"

    def __str__(self) -> str:
        return f"line_{self.line}"


def examples() -> list[Example]:
    text = PAGE.read_text(encoding="utf-8")
    return [
        Example(found[1], tuple(found[2].split()), text.count("\n", 0, found.start()) + 1, found[3])
        for found in _FENCE.finditer(text)
    ]


def frame() -> str:
    (found,) = [e.text for e in examples() if e.kind == "frame"]
    return found


def as_file(example: Example) -> str:
    """The text of the file that an example means."""
    if re.search(r"^model ", example.text, re.MULTILINE) or example.kind == "program":
        return example.text
    declarations, statements = parted(example.text)
    before, after = frame().split("  …\n")
    inside = "".join(f"  {line}" if line.strip() else line for line in statements.splitlines(keepends=True))
    return declarations + before + inside + after


def parted(text: str) -> tuple[str, str]:
    """The declarations of a fragment, and its statements."""
    parts: dict[bool, list[str]] = {True: [], False: []}
    inside, depth = False, 0
    for line in text.splitlines(keepends=True):
        if depth == 0:
            inside = _DECLARATION.match(line) is not None
        code = line.partition("#")[0]
        depth += sum(code.count(b) for b in "([{") - sum(code.count(b) for b in ")]}")
        parts[inside].append(line)
    return "".join(parts[True]), "".join(parts[False])


@dataclass(frozen=True)
class Claim:
    """What a comment says: the output called `output` has the type written as `type`."""

    output: str
    type: str


def with_claims(text: str) -> tuple[str, list[Claim]]:
    """A file with an output for every value that a comment gives a type, and these claims."""
    lines: list[str] = []
    claims: list[Claim] = []
    for line in text.splitlines():
        lines.append(line)
        found = _TYPED.match(line)
        if found is None:
            continue
        assert found["indent"] == "  ", f"only statements at the top of a model can show their types: {line}"
        if found["output"]:
            claims.append(Claim(found["name"], found["type"]))
        else:
            shown = f"shown_{len(claims)}"
            lines.append(f"  output {shown} = {found['name']}")
            claims.append(Claim(shown, found["type"]))
    return "\n".join(lines) + "\n", claims
