"""The grammar has no conflicts, and its tables come from the cache whole or not at all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from importlib import resources
from pathlib import Path

import pytest

from attndsl.syntax import tables as module
from attndsl.syntax.build import Builder

GRAMMAR = resources.files("attndsl").joinpath("grammars/attn.lark").read_text(encoding="utf-8")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, and tables that are not yet loaded."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    module.tables.cache_clear()
    yield module.cache_path(GRAMMAR)
    module.tables.cache_clear()


@pytest.fixture
def built(monkeypatch):
    """How often the tables were built from the grammar."""
    calls: list[int] = []
    build = module.build

    def counted(grammar):
        calls.append(1)
        return build(grammar)

    monkeypatch.setattr(module, "build", counted)
    return calls


def load():
    module.tables.cache_clear()
    return module.tables()


def test_a_grammar_with_a_conflict_is_refused():
    from lark.exceptions import GrammarError

    with pytest.raises(GrammarError):
        module.build('file: a* a*\na: "x"\n')


def test_every_production_has_its_method():
    missing = {rule.action for rule in load().rules if rule.action and not rule.is_unit} - set(dir(Builder))
    assert missing == set()


def test_the_cache_is_used(cache, built):
    first, second = load(), load()
    assert len(built) == 1
    assert first == second
    assert cache.exists()
    assert [path.name for path in cache.parent.iterdir()] == [cache.name]


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-100],
        lambda data: data[:5000] + b"x" + data[5001:],
        lambda data: b"not a number\n{}",
        lambda data: b"\xff" * 100,
        lambda data: _signed(b"[]"),
        lambda data: _signed(b"{}"),
        lambda data: _signed(json.dumps({"grammar": "another"}).encode()),
    ],
    ids=["empty", "short", "changed", "no checksum", "bytes", "a list", "no grammar", "another grammar"],
)
def test_a_damaged_cache_is_built_anew(cache, built, damage):
    whole = load()
    cache.write_bytes(damage(cache.read_bytes()))
    assert load() == whole
    assert len(built) == 2
    assert load() == whole
    assert len(built) == 2


def _signed(payload: bytes) -> bytes:
    return b"%08x\n" % zlib.crc32(payload) + payload


def test_a_cache_of_somebody_else_is_not_read(cache, built, monkeypatch):
    load()
    monkeypatch.setattr(os, "getuid", lambda: 12345, raising=False)
    load()
    assert len(built) == 2


@pytest.mark.parametrize("kind", ["a file in its way", "a folder in its way"])
def test_a_cache_that_cannot_be_written(cache, built, kind):
    if kind == "a file in its way":
        cache.parent.write_text("not a folder")
    else:
        cache.mkdir(parents=True)
    assert load().rows
    assert load().rows
    assert len(built) == 2
    assert not list(cache.parent.parent.rglob("*.tmp"))


def test_a_relative_cache_home_is_ignored(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert module.cache_directory() == Path.home() / ".cache" / "attndsl"


def test_a_cached_start_imports_no_lark(cache):
    load()
    code = "import sys, attndsl.syntax.parser as p; p.tables(); print('lark' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_the_same_tables_and_messages_under_every_hash_seed(tmp_path, seed):
    code = (
        "from attndsl.diagnostics import Source\n"
        "from attndsl.diagnostics.report import render\n"
        "from attndsl.syntax.parser import parse\n"
        "from attndsl.syntax.printer import to_outline\n"
        "f, d = parse(Source('t', 'model M(a=1) {\\n x = f(a b) \\n param y\\n z = [a]\\n x = y |> g\\n}\\n'))\n"
        "print(to_outline(f)); print(render(d, color=False))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed, "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert module.cache_directory() != tmp_path / "attndsl"
    (mine,) = (tmp_path / "attndsl").iterdir()
    assert json.loads(mine.read_bytes().partition(b"\n")[2]) == module.build(GRAMMAR)
    from attndsl.diagnostics import Source
    from attndsl.diagnostics.report import render
    from attndsl.syntax.parser import parse
    from attndsl.syntax.printer import to_outline

    file, found = parse(Source("t", "model M(a=1) {\n x = f(a b) \n param y\n z = [a]\n x = y |> g\n}\n"))
    assert done.stdout == f"{to_outline(file)}\n{render(found, color=False)}\n"
