"""The Python standard library as data: its sources, and its docstrings with the group of modules that they are from."""

from __future__ import annotations

import ast
import os
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from attndsl.data.columns import Table
from attndsl.diagnostics import error

LEFT_OUT = ("test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__")
LONGEST = 300  # characters of a docstring: whole paragraphs up to there
_WORD = re.compile(r"[^\W\d_]{2,}")

# What distributions package by itself, leave out, or have only where something else is installed.
APART = frozenset(
    (
        "curses",
        "dbm",
        "distutils",
        "ensurepip",
        "idlelib",
        "lib2to3",
        "sqlite3",
        "tkinter",
        "turtle",
        "turtledemo",
        "venv",
    )
)

# What the modules are about: those that every Python from 3.11 on has, however it was packaged. A module that is not
# here (there are some of every kind) gives no docstrings.
GROUPS = {
    "concurrency": """
        asyncio concurrent contextvars multiprocessing queue sched selectors signal subprocess threading
        _threading_local
    """,
    "data": """
        array bisect calendar codecs collections _collections_abc colorsys configparser copy copyreg csv datetime
        _pydatetime decimal _pydecimal difflib encodings enum fractions graphlib hashlib heapq hmac html json
        _markupbase numbers operator pickle pickletools plistlib pprint quopri random re reprlib secrets shelve
        statistics string stringprep struct textwrap tomllib uuid weakref xml zoneinfo
    """,
    "language": """
        abc _py_abc ast bdb cProfile code codeop compileall contextlib dataclasses dis doctest functools importlib
        inspect keyword linecache modulefinder opcode pdb pkgutil profile pstats py_compile pyclbr pydoc runpy symtable
        tabnanny timeit token tokenize trace traceback tracemalloc types typing unittest warnings zipimport
    """,
    "network": """
        base64 email ftplib http imaplib ipaddress mailbox mimetypes netrc nturl2path poplib smtplib socket
        socketserver ssl urllib webbrowser wsgiref xmlrpc
    """,
    "system": """
        argparse bz2 cmd _compression ctypes filecmp fileinput fnmatch genericpath getopt getpass gettext glob gzip io
        _pyio locale logging lzma ntpath optparse os pathlib platform posixpath pty shlex shutil site stat sysconfig
        tarfile tempfile tty zipapp zipfile
    """,
}
_GROUP_OF = {module: group for group, modules in GROUPS.items() for module in modules.split()}


def sources() -> list[tuple[Path, str]]:
    """The library's own Python files with their paths in it, sorted: no tests, nothing that was installed beside, and
    nothing that only some packagings of this Python have. Raises E0719 where the interpreter has none (a frozen or a
    zipped one)."""
    place = Path(sysconfig.get_paths()["stdlib"])
    modules = sys.stdlib_module_names - APART
    found: list[tuple[Path, str]] = []
    for folder, folders, names in os.walk(place):
        folders[:] = [name for name in folders if name not in LEFT_OUT]
        for name in names:
            within = Path(folder, name).relative_to(place)
            if name.endswith(".py") and within.parts[0].removesuffix(".py") in modules:
                found.append((Path(folder, name), within.as_posix()))
    found.sort(key=lambda entry: entry[1])
    if not found:
        raise error(
            "E0719",
            f"this Python has no sources of its standard library in `{place}`",
            help="give data of your own, or use a Python that has them",
        )
    return found


def _module(name: str) -> str:
    return name.partition("/")[0].removesuffix(".py")


def group_of(name: str) -> str | None:
    """What a source of the library is about, a group of `GROUPS`; None for modules that not every Python has."""
    return _GROUP_OF.get(_module(name))


@lru_cache(maxsize=1)
def docstrings_table() -> Table:
    """Columns `text` and `label` (a group of `GROUPS`), a row for every docstring of a module, class or function of the
    library: its first paragraphs up to 300 characters, on one line. Texts that say nothing but a name are left out; of
    equal ones (whatever their capitals and punctuation) there is one, and none where the groups differ."""
    rows: dict[str, tuple[str, set[str], int, int]] = {}
    files = sources()
    for number, (path, name) in enumerate(files):
        module, group = _module(name), group_of(name)
        for text, line in _documented(path) if group else ():
            words = [word.lower() for word in _WORD.findall(text)]
            said = {*words} - {module.strip("_").lower(), Path(name).stem.lower()}
            if group and len(said) >= 2 and " " in text:
                rows.setdefault(" ".join(words), (text, set(), number, line))[1].add(group)
    kept = [(text, *groups, number, line) for text, groups, number, line in rows.values() if len(groups) == 1]
    from attndsl.lazy import np

    return Table(
        {"text": [row[0] for row in kept], "label": [row[1] for row in kept]},
        "`example:docstrings`",
        tuple(name for _, name in files),
        np.array([row[2:] for row in kept], dtype=np.int64),
    )


def parsed(path: Path) -> ast.Module | None:
    """What a file of Python says; None for those that are templates, and not Python yet."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return None


def _documented(path: Path) -> Iterator[tuple[str, int]]:
    """The docstrings in a file, shortened, with their lines."""
    tree = parsed(path)
    if tree is None:
        return
    waiting: list[ast.AST] = [tree]
    while waiting:  # statements only: what is within an expression has no docstring
        node = waiting.pop()
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            text = ast.get_docstring(node)
            if text and text.strip():
                yield shortened(text), node.body[0].lineno
        inner = [child for child in ast.iter_child_nodes(node) if isinstance(child, (ast.stmt, ast.excepthandler))]
        waiting += reversed(inner)


def shortened(text: str, longest: int = LONGEST) -> str:
    """The first paragraphs that fit together, each on one line; of a first one that is longer, its first words."""
    paragraphs = [" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text.strip())]
    kept = paragraphs[0]
    if len(kept) > longest:
        return kept[: longest + 1].rpartition(" ")[0] or kept[:longest]
    for paragraph in paragraphs[1:]:
        if len(kept) + 1 + len(paragraph) > longest:
            break
        kept += f" {paragraph}"
    return kept
