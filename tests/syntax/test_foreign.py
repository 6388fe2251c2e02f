"""What is no spec is told once, by what it is; what is meant as one never is."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest

from attndsl.cli import main
from attndsl.diagnostics import AttnError, Source
from attndsl.shipped import SHIPPED
from attndsl.storage.png import write_png
from attndsl.syntax.foreign import KINDS
from attndsl.syntax.parser import parse
from attndsl.syntax.parts import Parts
from attndsl.syntax.reading import decode

ROOT = Path(__file__).resolve().parents[2]
FILES = {
    "README.md": "Markdown",
    "docs/language.md": "Markdown",  # whose specs begin their lines
    "docs/lecture.ipynb": "a Jupyter notebook",
    "docs/models.json": "JSON",
    "docs/gpt2.svg": "XML or HTML",
    "attndsl/api/model.py": "Python",
    "tests/language_server/test_server.py": "Python",  # which holds a spec
    "pyproject.toml": "TOML",
}


@pytest.mark.parametrize(("file", "kind"), FILES.items())
def test_a_file_of_another_kind_is_told_once_by_what_it_is(file, kind):
    source = Source(file, (ROOT / file).read_text(encoding="utf-8")[:200_000])
    (told,) = parse(source)[1]
    assert (told.code, told.message) == ("E0006", f"`{file}` is not a spec, but {kind}")
    assert told.helps
    assert Parts().parse(source)[1] == [told], "an editor says the same"


def test_every_kind_is_found():
    assert {kind.name for kind in KINDS} == set(FILES.values())


@pytest.mark.parametrize("file", ["attndsl/grammars/attn.lark", "scripts/demo", "constraints.txt", "LICENSE"])
def test_any_other_text_is_told_once(file):
    (told,) = parse(Source(file, (ROOT / file).read_text(encoding="utf-8")))[1]
    assert (told.code, told.message) == ("E0006", f"`{file}` is not a spec: no line of it declares anything")


@pytest.mark.parametrize("path", sorted((SHIPPED / "specs").rglob("*.attn")), ids=lambda path: path.stem)
def test_a_spec_with_mistakes_is_a_spec(path):
    text = path.read_text(encoding="utf-8")
    for wrong in (
        text.replace("model ", "modle ").replace("block ", "blokc ").replace("=", "= =", 1),
        "import torch\nfrom torch import nn\n" + text,
        text.replace("{", "", 1),
        text[: len(text) // 2],
    ):
        found = parse(Source("my.attn", wrong))[1]
        assert all(each.code != "E0006" for each in found)


def test_bytes_that_are_no_text_are_told_without_showing_them(tmp_path):
    archive, picture = io.BytesIO(), tmp_path / "a.png"
    write_png(picture, np.zeros((1, 2, 2), np.float32))
    np.savez(archive, a=np.zeros(3))
    weights = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    for data, kind in (
        (picture.read_bytes(), "a PNG picture"),
        (archive.getvalue(), "a ZIP archive"),
        (len(weights).to_bytes(8, "little") + weights + b"\0\0\x80\x3f", "a file of weights (safetensors)"),
        (bytes(range(256)) * 4, "not text either"),
    ):
        with pytest.raises(AttnError) as problem:
            decode(data, "it")
        (told,) = problem.value.diagnostics
        assert told.code == "E0006"
        assert kind in told.message
        assert told.primary is None


def test_fmt_says_so_too_and_leaves_the_file_alone(tmp_path, capsys):
    path = tmp_path / "net.py"
    path.write_text("import torch\n\n\ndef f(x):\n    return x\n" * 30)
    before = path.read_bytes()
    for verb in (["fmt"], ["check"], ["inspect"]):
        assert main([*verb, str(path)]) == 1
        said = capsys.readouterr().err
        assert said.count("error[") == 1
        assert "is not a spec, but Python" in said
    assert path.read_bytes() == before
