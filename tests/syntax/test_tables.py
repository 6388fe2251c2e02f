"""The grammar has no conflicts, the tables beside the parser are its own, and what a keyword is stands in it alone."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from attndsl.diagnostics import Source
from attndsl.diagnostics.report import render
from attndsl.syntax import tables as module
from attndsl.syntax.build import TreeBuilder
from attndsl.syntax.parser import parse
from attndsl.syntax.printer import to_outline
from tests.scripts import script

ROOT = Path(__file__).resolve().parents[2]
GRAMMAR = resources.files("attndsl").joinpath("grammars/attn.lark").read_text(encoding="utf-8")


def test_a_grammar_with_a_conflict_is_refused():
    from lark.exceptions import GrammarError

    with pytest.raises(GrammarError):
        module.build('file: a* a*\na: "x"\n')


def test_the_tables_are_those_of_the_grammar():
    tables = script("tables")
    assert tables.TABLES.read_text(encoding="utf-8") == tables.text(), "run `python scripts/tables.py`"


def test_every_production_has_its_method():
    actions = {rule.action for rule in module.tables().rules if rule.action and not rule.is_unit}
    assert actions <= set(dir(TreeBuilder))


def test_the_tables_of_a_changed_grammar_are_made_anew(tmp_path, monkeypatch):
    (tmp_path / "grammars").mkdir()
    (tmp_path / "syntax").symlink_to(ROOT / "attndsl" / "syntax")
    (tmp_path / "grammars" / "attn.lark").write_text(GRAMMAR.replace('"layer"', '"part"'), encoding="utf-8")
    monkeypatch.setattr(module, "SHIPPED", tmp_path)
    found = module.tables.__wrapped__()
    assert "part" in found.statements
    assert "layer" not in found.words


def test_keywords_come_from_the_grammar():
    found = module.tables()
    quoted = set(re.findall(r'"([a-z]+)"', re.sub(r"^//.*", "", GRAMMAR, flags=re.MULTILINE)))
    assert found.words.keys() == quoted
    assert found.reserved == {"if", "else", "and", "or", "not", "as", "return", "emit", "true", "false"}
    sections = {"variant", "weights", "train", "layout"}
    assert found.declarations == {"use", "model", "block", "mask", "bias", "maps", *sections}
    assert {"layer", "repeat", "return", "if", "input"} < found.statements
    assert not found.statements & found.declarations
    assert found.bodies - found.statements == {"model", "block", "mask", "bias", "train"}
    assert found.bodies & found.statements == {"scope", "repeat", "unrolled", "scan", "if"}


def test_parsing_needs_no_lark_and_writes_nothing(tmp_path):
    code = (
        "import sys, attndsl.syntax.parser as p\nfrom attndsl.diagnostics import Source\n"
        "p.parse(Source('t', 'model M {\\n}\\n')); print('lark' in sys.modules)"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "False"
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("seed", ["0", "1", "2"])
def test_the_same_tables_and_messages_under_every_hash_seed(seed):
    code = (
        "import json\n"
        "from attndsl.diagnostics import Source\n"
        "from attndsl.diagnostics.report import render\n"
        "from attndsl.syntax.parser import parse\n"
        "from attndsl.syntax.printer import to_outline\n"
        "from attndsl.syntax.tables import build\n"
        "f, d = parse(Source('t', 'model M(a=1) {\\n x = f(a b) \\n param y\\n z = [a]\\n x = y |> g\\n}\\n'))\n"
        "print(to_outline(f)); print(render(d, color=False))\n"
        f"print(json.dumps(build({GRAMMAR!r}), sort_keys=True))\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    said, made = done.stdout.rstrip("\n").rsplit("\n", 1)
    assert json.loads(made) == module.build(GRAMMAR)
    file, found = parse(Source("t", "model M(a=1) {\n x = f(a b) \n param y\n z = [a]\n x = y |> g\n}\n"))
    assert said == f"{to_outline(file)}\n{render(found, color=False)}"
