"""Files that cannot be read, and what is said about each."""

from __future__ import annotations

import os

import pytest

from attndsl.diagnostics import AttnError
from attndsl.syntax.parser import parse_file
from attndsl.syntax.reading import read_source


def refusal(path: object):
    with pytest.raises(AttnError) as caught:
        parse_file(str(path))
    (diagnostic,) = caught.value.diagnostics
    return diagnostic


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "gpt2.attn").write_text("model M { }\n", encoding="utf-8")
    (tmp_path / "bert.attn").write_text("model M { }\n", encoding="utf-8")
    return tmp_path


def test_a_file_is_read(folder):
    assert parse_file(str(folder / "gpt2.attn")).declarations[0].name.text == "M"


@pytest.mark.parametrize(
    ("asked", "meant"), [("gpt3.attn", "gpt2.attn"), ("gpt2", "gpt2.attn"), ("bret.attn", "bert.attn")]
)
def test_a_file_that_does_not_exist(folder, asked, meant):
    diagnostic = refusal(folder / asked)
    assert diagnostic.code == "E0001"
    assert diagnostic.primary is None
    assert diagnostic.helps == (f"did you mean `{folder / meant}`?",)


def test_a_file_unlike_all_others(folder):
    assert refusal(folder / "zzz.attn").helps == ("there are `bert.attn`, `gpt2.attn`",)


def test_a_folder_that_does_not_exist(folder):
    assert refusal(folder / "sub" / "a.attn").helps == (f"there is no folder `{folder / 'sub'}` either",)
    assert refusal(folder / "gpt2.attn" / "a.attn").code == "E0001"


def test_a_folder(folder):
    diagnostic = refusal(folder)
    assert (diagnostic.code, diagnostic.helps) == ("E0001", ("the files in it: `bert.attn`, `gpt2.attn`",))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_not_a_file(folder):
    os.mkfifo(folder / "pipe.attn")  # reading it would wait for ever
    assert refusal(folder / "pipe.attn").code == "E0001"


def test_a_name_with_a_nul():
    assert refusal("a\0b.attn").code == "E0001"


def test_a_file_that_may_not_be_read(folder, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", forbidden)
    diagnostic = refusal(folder / "gpt2.attn")
    assert diagnostic.code == "E0001"
    assert diagnostic.message.endswith("gpt2.attn` cannot be read: permission denied")


def test_not_utf_8(folder):
    path = folder / "latin.attn"
    path.write_bytes("# é\nmodel M { }\n# ".encode() + b"caf\xe9\n")
    diagnostic = refusal(path)
    assert diagnostic.code == "E0002"
    assert diagnostic.notes == ("at byte 22, on line 3",)
    assert diagnostic.primary.text == "byte 0xe9"
    assert (diagnostic.primary.span.line, diagnostic.primary.span.column) == (3, 6)


def test_a_nul(folder):
    path = folder / "binary.attn"
    path.write_bytes(b"model M { }\n\0\n")
    diagnostic = refusal(path)
    assert (diagnostic.code, diagnostic.notes) == ("E0002", ("at byte 12, on line 2",))


@pytest.mark.parametrize("codec", ["utf-16", "utf-32"])
def test_another_encoding(folder, codec):
    path = folder / "wide.attn"
    path.write_bytes("model M { }\n".encode(codec))
    assert refusal(path).code == "E0002"


def test_a_byte_order_mark_is_no_text(folder):
    path = folder / "bom.attn"
    path.write_bytes(b"\xef\xbb\xbfmodel M { }\r\n")
    assert parse_file(str(path)).declarations
    assert read_source(str(path), name="short.attn").name == "short.attn"
