"""What is no spec, but a program, a page or a table that somebody named by mistake: said once, by what shows it, and
not as a mistake in every line. Only a text with mistakes is looked at."""

from __future__ import annotations

import re
from collections.abc import Callable
from os.path import basename

from attndsl.diagnostics import Diagnostic, Label, Source, Span
from attndsl.diagnostics.suggestions import allowed_edits, edit_distance
from attndsl.records import Frozen
from attndsl.syntax.keywords import lines
from attndsl.syntax.tables import tables

A_SPEC = "a spec declares models: `attndsl show gpt2 > my.attn` gives one to change, `attndsl list` names others"
_HEAD = re.compile(r"^([A-Za-z_]\w*)[ \t]+[A-Za-z_]\w*.*[({:]", re.MULTILINE)
_PYTHON = re.compile(r"^(?:(?:import|from|class|async def|def)[ \t]+[A-Za-z_.]|@\w|print\(|if __name__)", re.MULTILINE)
_FENCE = re.compile(r"^(?:```|~~~).*$", re.MULTILINE)
_FIRST = re.compile(r"^[ \t]*(?![#\s])(?!///)\S", re.MULTILINE)


class TextKind(Frozen, eq=False):
    """`find` gives the offset of what shows that a text is of this kind, None where it is not."""

    name: str
    find: Callable[[str], int | None]
    help: str = A_SPEC


SIGNATURES = {
    b"\x89PNG": "a PNG picture",
    b"\xff\xd8\xff": "a JPEG picture",
    b"GIF8": "a GIF picture",
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive, as `numpy.savez` and `torch.save` write too",
    b"\x1f\x8b": "a gzip archive",
    b"\x93NUMPY": "an array that NumPy wrote",
    b"\x80": "a pickle",
    b"\x7fELF": "a program",
}
"""How files begin that hold no text."""


_CONTROL = bytes(byte for byte in range(32) if byte not in b"\t\n\f\r")
_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")  # of UTF-16 and UTF-32, which are full of NUL bytes


def binary(data: bytes, name: str) -> Diagnostic | None:
    """What to say of bytes that are no text in any encoding; None where somebody may have written them."""
    kind = next((kind for begin, kind in SIGNATURES.items() if data.startswith(begin)), None)
    if kind is None and data[8:10] == b'{"' and int.from_bytes(data[:8], "little") < len(data):
        kind = "a file of weights (safetensors)"
    begin = data[:1000].translate(None, _CONTROL)
    if kind is None and (data.startswith(_MARKS) or len(begin) > 0.9 * len(data[:1000])):
        return None
    if kind is None:
        return Diagnostic("E0006", f"`{name}` is not a spec, and not text either", None, helps=(A_SPEC,))
    return Diagnostic("E0006", f"`{name}` is not a spec, but {kind}", None, helps=(A_SPEC,))


def something_else(source: Source, mistakes: int) -> Diagnostic | None:
    """The one thing to say of a text that is no spec and was found to have so many mistakes; None for a spec."""
    text = source.text
    for kind in KINDS:
        at = kind.find(text)
        if at is not None:
            help = kind.help.format(name=basename(source.name))
            return _told(source, at, f"`{source.name}` is not a spec, but {kind.name}", help)
    first = _FIRST.search(text)
    is_one_slip = mistakes == 1 and source.name.endswith((".attn", ">"))  # `>`: what comes from no file
    if first is None or is_one_slip or _declares(text):
        return None
    return _told(source, first.end() - 1, f"`{source.name}` is not a spec: no line of it declares anything", A_SPEC, "")


def _told(source: Source, at: int, message: str, help: str, label: str = "this shows it") -> Diagnostic:
    line = re.compile(r"[^\r\n]*").match(source.text, at)
    end = at + len(line.group().rstrip()) if line is not None else at
    return Diagnostic("E0006", message, Label(Span(source, at, end), label), helps=(help,))


def _declares(text: str) -> bool:
    """Whether a line looks like the head of a declaration, with slips."""
    if any(lines().declaration.match(text, line.start()) for line in re.finditer(r"^", text, re.MULTILINE)):
        return True
    words = {head.group(1) for head in _HEAD.finditer(text)}
    return any(
        edit_distance(word, known, allowed_edits(word, known)) is not None
        for word in words
        for known in tables().declarations
    )


# ---------------------------------------------------------------------------------------------- by what it is known


def _json(text: str) -> int | None:
    import json

    at = len(text) - len(text.lstrip())
    if text[at : at + 1] not in ("{", "["):
        return None
    try:
        json.JSONDecoder().raw_decode(text, at)  # the first value of many, as a table of them has one in each line
    except (ValueError, RecursionError):
        return None
    return at


def _notebook(text: str) -> int | None:
    return _json(text) if re.search(r'"cells"\s*:\s*\[', text) else None


def _markup(text: str) -> int | None:
    found = re.compile(r"\s*<[!?A-Za-z]").match(text)
    return text.index("<") if found else None


def _markdown(text: str) -> int | None:
    fence = _FENCE.search(text)
    return fence.start() if fence else None


def _python(text: str) -> int | None:
    """A text that Python reads, or one that defines and imports in Python's words and declares nothing."""
    found = _PYTHON.search(text)
    if found is None:
        return None
    return found.start() if _is_python(text) or (len(_PYTHON.findall(text)) > 1 and not _declares(text)) else None


def _is_python(text: str) -> bool:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Python thinks of its escapes is nothing here
        try:
            compile(text, "", "exec", 0x400, dont_inherit=True)  # ast.PyCF_ONLY_AST
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return False
    return True


def _toml(text: str) -> int | None:
    import tomllib

    try:
        first = _FIRST.search(text)
        return first.end() - 1 if first and tomllib.loads(text) else None
    except (ValueError, RecursionError):
        return None


KINDS = (
    TextKind(
        "a Jupyter notebook",
        _notebook,
        'a spec stands in a file of its own, and a cell loads it: `attndsl.load("my.attn")`',
    ),
    TextKind("JSON", _json),
    TextKind("XML or HTML", _markup),
    TextKind("Markdown", _markdown, "a spec is what stands between the fences: put that into a file of its own"),
    TextKind(
        "Python", _python, "a module is written as `model Name(width=768) {{ … }}`: `attndsl show gpt2` prints one"
    ),
    TextKind("TOML", _toml, "settings are given beside a spec: `attndsl train gpt_nano --settings {name} --data …`"),
)
"""What a text may be instead, the surest first."""
