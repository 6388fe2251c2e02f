"""The registry of backends: what is found, what is taken by default, and that looking costs nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from attndsl.diagnostics import AttnError, Diagnostic
from attndsl.running import backends
from attndsl.running.backends import Backend


class Other(Backend):
    name = "other"
    title = "Other"
    aliases = ("another",)
    packages = ("no_such_package",)
    install = "pip install other"


@pytest.fixture
def other() -> Iterator[Backend]:
    yield backends.register(Other())
    backends.unregister("other")


def told(name: str) -> Diagnostic:
    with pytest.raises(AttnError) as caught:
        backends.find(name)
    assert caught.value.diagnostics[0].code == "E0723"
    return caught.value.diagnostics[0]


def test_looking_loads_nothing_that_computes() -> None:
    script = (
        "import sys\nfrom attndsl.running import backends\n"
        "assert backends.find('pytorch').name == 'torch' and backends.reference() and backends.default()\n"
        "print([name for name in ('numpy', 'torch', 'networkx', 'lark') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_one_is_found_by_any_of_its_names(other: Backend) -> None:
    assert backends.find("other") is backends.find("another") is other
    assert backends.canonical("another") == "other"
    assert told("othr").helps == ("did you mean `other`?",)
    assert told("zzzzzz").helps == ("there are numpy, torch and other",)


@pytest.mark.parametrize("name", ["torch", "another"])
def test_a_name_has_one_bearer(other: Backend, name: str) -> None:
    class Clashing(Backend):
        aliases = (name,)

    Clashing.name = "clashing"
    with pytest.raises(ValueError, match=f"there already is a backend `{name}`"):
        backends.register(Clashing())
    assert "clashing" not in backends.backends()


def test_the_default_is_the_best_that_is_installed(monkeypatch: pytest.MonkeyPatch, other: Backend) -> None:
    monkeypatch.setattr(Other, "preference", 9)
    assert backends.by_preference()[0] is other
    assert backends.default() is not other
    assert backends.chosen(None) is backends.default()
    assert backends.usable("other") is backends.usable("gone") is backends.usable(None) is backends.default()
    monkeypatch.setattr(Other, "packages", ())
    assert backends.default() is backends.usable("other") is other


def test_what_is_missing_is_named_with_the_way_to_install_it(other: Backend) -> None:
    with pytest.raises(AttnError) as caught:
        other.require()
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == "E0810"
    assert diagnostic.message == "the Other backend needs no_such_package, which is not installed"
    assert diagnostic.helps[0] == "install it with `pip install other`"
    assert "`numpy`" in diagnostic.helps[1]


def test_one_that_does_not_train_says_so(other: Backend) -> None:
    with pytest.raises(AttnError) as caught:
        other.trainer(None, None)  # type: ignore[arg-type]
    (diagnostic,) = caught.value.diagnostics
    assert (diagnostic.code, diagnostic.message) == ("E0812", "the Other backend does not train")
    assert diagnostic.helps == ("use a backend that can: `numpy` or `torch`",)


def test_a_package_that_cannot_be_loaded_harms_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = EntryPoint("broken", "no_such_package:BACKEND", backends.GROUP)
    for name, value in (("_found", {}), ("_broken", {}), ("_searched", False)):
        monkeypatch.setattr(backends, name, value)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [broken])
    assert [*backends.backends()] == ["numpy", "torch"]
    diagnostic = told("broken")
    assert diagnostic.message == "the backend `broken` cannot be loaded: No module named 'no_such_package'"


def test_a_backend_made_from_the_reference_does_not_take_its_place() -> None:
    right = backends.reference()

    class Derived(type(right)):  # type: ignore[misc]
        name = "derived"

    backends.register(Derived())
    try:
        assert backends.reference() is right
        assert backends.find("derived").is_reference
    finally:
        backends.unregister("derived")
