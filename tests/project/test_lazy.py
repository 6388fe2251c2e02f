"""What packages give at its first use: all that they list, from where they say."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2] / "attndsl"
PACKAGES = [
    ".".join(path.parent.relative_to(ROOT.parent).parts)
    for path in sorted(ROOT.glob("**/__init__.py"))
    if re.search(r"= lazily\(", path.read_text(encoding="utf-8"))
]


def test_packages_are_found() -> None:
    assert {"attndsl", "attndsl.weights"} <= set(PACKAGES)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_gives_all_that_it_lists(name: str) -> None:
    package = importlib.import_module(name)
    assert set(package.__all__) <= set(dir(package))
    for each in package.__all__:
        getattr(package, each)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(package, "nothing")  # noqa: B009


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    def made(text: str) -> ModuleType:
        (tmp_path / "a_lazy_room.py").write_text(text, encoding="utf-8")
        return importlib.import_module("a_lazy_room")

    monkeypatch.syspath_prepend(str(tmp_path))
    yield made
    sys.modules.pop("a_lazy_room", None)


TEXT = """
from typing import TYPE_CHECKING
from attndsl.lazy import lazily
if TYPE_CHECKING:
    from math import pi as circle, tau  # noqa: F401
__getattr__, __dir__ = lazily(__name__)
"""


def test_a_name_may_be_another_there(room: Any) -> None:
    made = room(TEXT)
    assert round(made.circle, 2) == 3.14
    assert {"circle", "tau"} == {"circle", "tau", "pi", "F401"} & set(dir(made))


def test_without_its_source_text_a_package_says_so(room: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = room(TEXT)
    monkeypatch.setattr(made.__spec__, "origin", "a_lazy_room.pyc")
    with pytest.raises(ImportError, match="the source text of a_lazy_room is not there"):
        getattr(made, "circle")  # noqa: B009
