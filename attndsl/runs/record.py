"""What a run folder says about itself: `run.json`, and a copy of the spec with all that it imports.

    RUN/run.json               the settings, recipe, tokenizer, labels, data, backend, versions; at the end the metrics
    RUN/spec/…                 the .attn files, so that a run outlives later edits of them
    RUN/tokenizer.json         (or characters.json; nothing for bytes), special_tokens.json
    RUN/log.jsonl, loss.svg    what happened
    RUN/checkpoints/           the newest two states
    RUN/weights.safetensors    the final parameters, by address
    RUN/codebook/              of a run that says pictures in another's codes: what using that one takes
    RUN/run.lock               which process trains it; empty where none does

Whatever reads a run reads it through here.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import error
from attndsl.records import Frozen
from attndsl.storage.refusals import file_errors
from attndsl.storage.whole import write_bytes, write_json

if TYPE_CHECKING:
    from attndsl.elaborate.settings import Setting
    from attndsl.elaborate.spec import Spec
    from attndsl.running.backends import Backend

FORMAT = 1
RECORD, SPEC, WEIGHTS, CURVE, CHECKPOINTS = "run.json", "spec", "weights.safetensors", "loss.svg", "checkpoints"


class Record(Frozen):
    """`run.json`, read: `facts` has what `attndsl.training.session` wrote."""

    folder: Path
    facts: Mapping[str, Any]

    @property
    def spec(self) -> str:
        """The recorded spec, as `attndsl.load` takes it."""
        kept = self.facts["spec"]
        return f"{self.folder / SPEC / kept['file']}:{kept['variant'] or kept['model']}"

    @property
    def settings(self) -> dict[str, Setting]:
        return dict(self.facts["settings"])


def is_run(path: str | os.PathLike[str]) -> bool:
    """Whether there is a training run at `path`."""
    return (Path(path) / RECORD).is_file()


def open_record(folder: Path) -> Record:
    """The record of a run. Raises E0732 where the folder is not a run, its record is damaged or of another format, or
    its spec is not there."""
    path = folder / RECORD
    if not path.is_file():
        what = "no such folder" if not folder.exists() else f"it has no `{RECORD}`"
        near = sorted(p.parent.name for p in folder.parent.glob(f"*/{RECORD}")) if folder.parent.is_dir() else []
        raise error(
            "E0732", f"`{folder}` is not a training run: {what}",
            help=(*_near(folder.name, near), "`attndsl train SPEC --data PATH --out RUN` makes one"),
        )  # fmt: skip
    with file_errors("read", path):
        text = path.read_text(encoding="utf-8", errors="replace")
    try:
        facts = json.loads(text)
        made_by = facts["format"]
        for name in ("spec", "settings", "recipe", "tokenizer", "data"):
            facts[name].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise error(
            "E0732", f"`{path}` is damaged", help="restore it from a copy, or train again with another `--out`"
        ) from None
    if made_by != FORMAT:
        raise error(
            "E0732", f"`{path}` has format {made_by}, but this attndsl reads format {FORMAT}",
            note=f"it was written by attndsl {facts.get('versions', {}).get('attndsl', 'of another version')}",
            help="use that version",
        )  # fmt: skip
    require_there(folder, [f"{SPEC}/{place}" for place in facts["spec"].get("files", ())])
    return Record(folder, facts)


def require_there(folder: Path, files: Sequence[str]) -> None:
    """That a run has these files (E0732)."""
    lacking = [file for file in files if not (folder / file).is_file()]
    if lacking:
        raise error(
            "E0732", f"the run `{folder}` is only half there: it has no `{lacking[0]}`",
            help="restore it from a copy, or train again with another `--out`",
        )  # fmt: skip


def _near(name: str, names: list[str]) -> tuple[str, ...]:
    from attndsl.diagnostics import did_you_mean

    return did_you_mean(name, names)


def write_record(folder: Path, facts: Mapping[str, Any]) -> None:
    write_json(folder / RECORD, {"format": FORMAT, **facts})


def copy_spec(spec: Spec, folder: Path) -> dict[str, Any]:
    """Copy the files of a spec (the standard library's excepted) into `folder`, each at the same place relative to the
    others, and say where the spec is among them."""
    files = spec_files(spec)
    root = Path(os.path.commonpath([path.parent for path in files]))
    places = [path.relative_to(root) for path in files]
    if not files[0].is_file():  # it was given as a text
        places[0] = places[0].with_name(f"{spec.model.name.text}.attn")
    for path, place in zip(files, places, strict=True):
        target = folder / place
        with file_errors("copy the spec to", target):
            target.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_bytes() if path.is_file() else spec.source.text.encode("utf-8")
        write_bytes(target, text)
    return {
        "name": spec.name,
        "file": places[0].as_posix(),
        "files": [place.as_posix() for place in places],
        "model": spec.model.name.text,
        "variant": spec.variant.name.text if spec.variant else None,
    }


def spec_files(spec: Spec) -> list[Path]:
    """The file of a spec, then those that it imports by path, each once."""
    from attndsl.syntax import tree
    from attndsl.syntax.parser import parse_file

    found = [spec.scope.path.resolve()]
    trees = [spec.file]
    for number, file in enumerate(trees):
        for declaration in file.declarations:
            if isinstance(declaration, tree.Use) and not declaration.is_std:
                path = (found[number].parent / declaration.path).resolve()
                if path not in found:
                    found.append(path)
                    trees.append(parse_file(str(path)))
    return found


def versions(backend: Backend) -> dict[str, str]:
    """The versions that the last bits of a run depend on."""
    import attndsl
    from attndsl.running.machine import processor

    found = {"attndsl": attndsl.__version__, "python": platform.python_version(), **backend.versions()}
    return found | {"machine": f"{platform.system()} {platform.machine()}", "processor": processor()}
