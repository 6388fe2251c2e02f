"""Specs in files, which are read at every use and parsed where they have changed."""

from __future__ import annotations

from pathlib import Path

from attndsl.elaborate import elaborate, open_spec

TEXT = "model M(width=2) {\n  input x: [B, width]\n  output y = linear(x, 3) as map\n}\n"


def test_a_file_that_has_not_changed_is_the_same_tree_and_another_text_is_not(tmp_path: Path) -> None:
    path = tmp_path / "m.attn"
    path.write_text(TEXT)
    first, again = open_spec(str(path)), open_spec(str(path))
    assert first.model is again.model
    assert elaborate(first, {"width": 4}).parameter_count == 15
    assert elaborate(again, {}).parameter_count == 9
    path.write_text(TEXT.replace("3)", "5)"))
    assert elaborate(open_spec(str(path)), {}).parameter_count == 15
    assert elaborate(first, {}).parameter_count == 9
