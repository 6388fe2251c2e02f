"""The wheel holds everything, works outside of the checkout, and puts nothing but `attndsl` into site-packages."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytest.importorskip("hatchling", reason="the build backend is not installed")


def _run(*command: object, cwd: Path) -> str:
    # Where Python was told to look for this checkout, the installed wheel would not be what is imported.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    words = [str(part) for part in command]
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    _run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", folder, cwd=ROOT)
    return folder


def _sources(ending: str, *folders: str) -> set[str]:
    return {
        path.relative_to(ROOT).as_posix()
        for folder in folders
        for path in (ROOT / folder).rglob(f"*.{ending}")
        if path.is_file()
    }


def _pages() -> set[str]:
    return {path.name for path in (ROOT / "docs" / "errors").iterdir()}


def test_the_wheel_has_every_file_and_only_one_package(built):
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"attndsl"}
    assert {"attndsl/py.typed", "attndsl/syntax/tables.json"} <= names
    for inner in (_sources("attn", "specs"), _sources("lark", "grammars"), _sources("py", "backends")):
        assert inner
        assert {f"attndsl/{name}" for name in inner} <= names
    assert {f"attndsl/diagnostics/errors/{name}" for name in _pages()} <= names
    own = {name for name in _sources("py", "attndsl") if name.split("/")[1] not in ("backends", "specs", "grammars")}
    assert own <= names


def test_the_source_distribution_has_what_the_wheel_is_made_from(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    # The links have become folders.
    for inner in (_sources("attn", "specs"), _sources("lark", "grammars"), _sources("py", "backends")):
        assert {f"attndsl/{name}" for name in inner} <= names
    assert {f"attndsl/diagnostics/errors/{name}" for name in _pages()} <= names
    assert {"README.md", "pyproject.toml", "constraints.txt", "attndsl/__init__.py"} <= names


def test_the_installed_wheel_checks_a_shipped_spec(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    _run(sys.executable, "-m", "venv", "--without-pip", "env", cwd=tmp_path)
    python = tmp_path / "env" / "bin" / "python"
    _run(sys.executable, "-m", "pip", "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=tmp_path)
    site = Path(_run(python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", cwd=tmp_path).strip())
    # The dependencies come from this environment. Its own `.pth` files are not read from there: attndsl is the wheel's.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"], encoding="utf-8")
    command = tmp_path / "env" / "bin" / "attndsl"
    where = _run(python, "-c", "import attndsl; print(attndsl.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(tmp_path)
    assert _run(command, "check", "gpt2", cwd=tmp_path) == "gpt2: ok · GPT2 · 124,439,808 parameters\n"
    assert "\ngpt2 " in _run(command, "list", cwd=tmp_path)
    assert "wrong:\n" in _run(command, "explain", "E0203", cwd=tmp_path)
    assert "optimized" in _run(command, "compile", "--help", cwd=tmp_path)
