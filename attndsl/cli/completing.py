"""The words that can stand at the end of a command line. A shell asks at every press of the Tab key, so nothing is
imported, and no spec is parsed, that the answer does not need."""

from __future__ import annotations

import os
import re
from argparse import Action
from collections.abc import Iterator, Mapping
from pathlib import Path

from attndsl.cli.arguments import Parser
from attndsl.cli.verbs import VERBS
from attndsl.shipped import SHIPPED

_MODEL = re.compile(r"^model[ \t]+\w+[ \t]*\(([^{]*)\)[ \t]*\{", re.MULTILINE)
_HYPERPARAMETER = re.compile(
    r"(?:^|,)\s*([A-Za-z_]\w*)[ \t]*(?:=[ \t]*((?:[^,(\[\"]|\([^)]*\)|\[[^\]]*\]|\"[^\"]*\")*))?"
)
_VARIANT = re.compile(r"^variant[ \t]+\w+[ \t]*:[ \t]*([\w.\-]+)[ \t]*\{([^}]*)\}", re.MULTILINE)

Words = Iterator[tuple[str, str]]


def words(line: list[str]) -> Words:
    """What can stand in the place of the last of the words after `attndsl`, each with what it means."""
    *before, current = line or [""]
    found = _verbs() if not before else _after_verb(before, current) if before[0] in VERBS else iter(())
    return ((word, meaning) for word, meaning in found if word.startswith(current))


def _verbs() -> Words:
    yield from ((verb.name, verb.summary) for verb in VERBS.values())
    yield from (("--help", "print help"), ("--version", "print the version"))


def _after_verb(before: list[str], current: str) -> Words:
    parser = Parser("attndsl")
    VERBS[before[0]].module.configure(parser)
    options = {name: action for action in parser._actions for name in action.option_strings}
    place, waiting, given = 0, None, set[str]()
    for word in before[1:]:
        if word in options:
            given.add(options[word].dest)
            waiting = options[word] if options[word].nargs != 0 else None
        elif waiting is not None and waiting.nargs not in ("+", "*"):
            waiting = None
        elif waiting is None:
            place += 1
    if waiting is None and current.startswith("-"):
        yield from _options(parser, given)
        return
    positional = [action for action in parser._actions if not action.option_strings]
    action = waiting
    if action is None and positional:
        last = positional[-1]
        action = positional[place] if place < len(positional) else last if last.nargs in ("+", "*") else None
    if action is not None:
        yield from _values(action, before, current)
    elif not positional:
        yield from _options(parser, given)


def _options(parser: Parser, given: set[str]) -> Words:
    """The long names of the options that are not given yet, or may be given again."""
    for action in parser._actions:
        if action.option_strings and (action.dest not in given or isinstance(action.default, (list, dict))):
            yield action.option_strings[-1], (action.help or "").split(";")[0].split("(")[0].strip()


def _values(action: Action, before: list[str], current: str) -> Words:
    """What can be given for an argument: what its parser chooses from, else by what its help calls it."""
    if action.choices:
        yield from ((str(choice), "") for choice in action.choices)
    elif action.metavar == "SPEC":
        yield from _specs(current)
    elif action.metavar in ("RUN", "FOLDER", "RUN|FOLDER"):
        yield from _runs(current)
    elif action.metavar == "NAME=VALUE":
        yield from _settings(before)
    elif action.metavar == "CODE":
        pages = SHIPPED.joinpath("diagnostics", "errors").glob("[EW]*.md")
        yield from ((page.stem, "") for page in sorted(pages))


def _specs(current: str) -> Words:
    """Shipped specs, files, and the variants of the one before a colon."""
    name, colon, _ = current.rpartition(":")
    if colon:
        yield from ((f"{name}:{variant}", settings) for variant, settings in variants(name).items())
        return
    for path in sorted(SHIPPED.joinpath("specs").glob("*.attn")):
        yield path.stem, "a shipped spec"
    folder, _, start = current.rpartition("/")
    for entry in sorted(os.scandir(folder or "."), key=lambda it: it.name) if os.path.isdir(folder or ".") else ():
        path_ = f"{folder}/{entry.name}" if folder else entry.name
        if entry.name.startswith(start) and not entry.name.startswith("."):
            if entry.name.endswith(".attn"):
                yield path_, "a file"
            elif entry.is_dir():
                yield f"{path_}/", "a folder"
    yield from _runs(current)


def _runs(current: str) -> Words:
    """The folders of runs: those here, and those in the folders here."""
    folder, _, _ = current.rpartition("/")
    for pattern in ("*/run.json", "*/*/run.json"):
        for path in sorted(Path(folder or ".").glob(pattern)):
            yield str(path.parent), "a run"


def _settings(before: list[str]) -> Words:
    """The hyperparameters of the spec that stands on the line, with their defaults."""
    for word in before[1:]:
        text = _text(word.rpartition(":")[0] if _text(word) is None else word)
        model = _MODEL.search(text) if text is not None else None
        if model is not None:
            for name, default in _HYPERPARAMETER.findall(re.sub(r"#[^\n]*", "", model[1])):
                yield f"{name}=", f"default {default.strip()}" if default else ""
            return


def variants(name: str) -> Mapping[str, str]:
    """The variants of a spec with what they set; none where there is no such spec."""
    return {variant: " ".join(settings.split()) for variant, settings in _VARIANT.findall(_text(name) or "")}


def _text(name: str) -> str | None:
    """The text of a spec: a file, or a shipped one."""
    for path in (Path(name), SHIPPED / "specs" / f"{name}.attn"):
        if path.is_file() and path.suffix == ".attn":
            return path.read_text(encoding="utf-8", errors="replace")
    return None
