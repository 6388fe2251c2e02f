"""Parameters into files: ours, and folders that `transformers` loads."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from attndsl.diagnostics import AttnError, error
from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.storage.safetensors import TensorFile, write_tensors
from attndsl.storage.whole import new_folder, place_of, replacing
from attndsl.syntax import tree
from attndsl.values import hyperparameters_of, storable
from attndsl.weights.check import require_config
from attndsl.weights.loading import check_arrays
from attndsl.weights.mapping import WeightMap
from attndsl.weights.settings import FORMAT, FORMAT_VERSION, write_json
from attndsl.weights.solving import published_config
from attndsl.weights.stacks import reading
from attndsl.weights.wording import unwritable

EXPORTED = ("config.json", "model.safetensors")
EXPORTER = {"format": "pt", "exported_by": FORMAT}


def save_weights(path: str | os.PathLike[str], arrays: Mapping[str, Array], graph: Graph) -> None:
    """Write parameters under our addresses, all or nothing, with the model's name and hyperparameters.

    `arrays` must be exactly the graph's parameters (E0605 to E0608); E0612 where the file cannot be written."""
    check_arrays(arrays, graph)
    settings = {name: storable(value) for name, value in graph.hyperparameters.items()}
    metadata = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "model": graph.name,
        "variant": graph.variant or "",
        "hyperparameters": json.dumps(settings, sort_keys=True, ensure_ascii=False),
    }
    try:
        write_tensors(path, arrays, metadata)
    except OSError as problem:
        raise unwritable(path, problem) from None


def is_saved(path: Path) -> bool:
    """Whether a file is one that `save_weights` wrote."""
    return _metadata(path).get("format") == FORMAT


def check_replaceable(path: Path, *, force: bool = False, is_earlier: Callable[[Path], bool] = is_saved) -> None:
    """That nothing is at `path` but an earlier export, as `is_earlier` says (or a device, which loses nothing); E0612
    if not, unless `force` is set."""
    target, replaceable = place_of(path)
    if force or not target.exists() or not replaceable or is_earlier(target):
        return
    raise error(
        "E0612",
        f"{path} already exists, and is not an earlier export",
        help="name another file, or `--force` to replace this one",
    )


def export_huggingface(
    directory: str | os.PathLike[str],
    graph: Graph,
    arrays: Mapping[str, Array],
    section: tree.Weights,
    *,
    labels: Sequence[str] = (),
    ids: Mapping[str, int | None] | None = None,
    beside: Mapping[str, str] | None = None,
    force: bool = False,
) -> tuple[str, ...]:
    """Write `config.json` and `model.safetensors` under the published names, so that `transformers` loads them.
    `labels` are the names of a classifier's classes, `ids` further keys of the configuration with tokens in them
    (`{"pad_token_id": 0}`), `beside` the texts of further files by name, such as `tokenizer.json`. Gives the addresses
    of the states in `arrays` that no line of the section writes: what training made of them is not in the folder.

    A folder that has anything in it is refused (E0612), unless that is an earlier export or `force` is set; then only
    these files are replaced. Further errors: those of the section (E062x), of the arrays (E0605 to E0608), and
    E0614 or E0616 where the published configuration cannot say what the hyperparameters are.
    """
    target = Path(directory)
    check_arrays(arrays, graph)
    require_config(section, graph)
    mapping = WeightMap(section, graph)
    # States that nothing has trained are not there, and have no tensors.
    fresh = {address for info in graph.shared_states for address in info.addresses()} - arrays.keys()
    given = [item for item in mapping.items() if item.line.gives]
    items = [item for item in given if not any(address in fresh for address, _ in item.form.leaves())]
    names = [item.full_name(True) for item in items]
    config = {**published_config(section, hyperparameters_of(graph), labels, names), **(ids or {})}
    _check_target(target, force)
    published: dict[str, Array] = {}
    read = reading(graph, arrays)
    for item in items:
        array = item.form.evaluate(lambda address: arrays[address] if address in arrays else read(address))
        published[item.full_name(True)] = array if item.is_first else np.zeros_like(array)
    dtypes = {np.dtype(array.dtype).name for array in published.values()}
    config["torch_dtype"] = max(dtypes, default="float32", key=lambda name: np.dtype(name).itemsize)
    _write_folder(target, config, published, beside or {})
    written = {address for item in items for address, _ in item.form.leaves()}
    kept = [(info.address, arrays.keys() & set(info.addresses())) for info in graph.shared_states]
    return tuple(address for address, found in kept if found - written)


def _check_target(target: Path, force: bool) -> None:
    try:
        if target.exists() and not target.is_dir():
            help = f"name a folder, or `--to safetensors {target}` for one file"
            raise error("E0612", f"{target} is a file: an export is a folder", help=help)
        present = {p.name for p in target.iterdir()} if target.is_dir() else set()
    except OSError as problem:
        raise unwritable(target, problem) from None
    published = _metadata(target / "model.safetensors") if "model.safetensors" in present else {}
    ours = {*EXPORTED, *_beside(published)}
    if force or not present or (present <= ours and published.get("exported_by") == FORMAT):
        return
    shown = ", ".join(sorted(present)[:4]) + (", …" if len(present) > 4 else "")
    raise error(
        "E0612",
        f"{target} is not empty, and not an earlier export: it has {shown}",
        help="name another folder, or `--force` to replace the weights and config.json in this one",
    )


def _metadata(path: Path) -> Mapping[str, str]:
    """What a safetensors file says about itself; nothing where it is not one."""
    try:
        with TensorFile(path) as file:
            return file.metadata
    except AttnError:
        return {}


def _beside(metadata: Mapping[str, str]) -> list[str]:
    """The names of the files that an earlier export wrote beside its weights."""
    return [name for name in metadata.get("beside", "").split("/") if name]


def _write_folder(
    target: Path, config: Mapping[str, Any], published: Mapping[str, Array], beside: Mapping[str, str]
) -> None:
    """A new folder appears whole; in one that exists each file is replaced whole, the weights first. They say what
    came with them, so that it goes with them."""
    try:
        fresh = not target.is_dir() or not any(target.iterdir())
        with new_folder(target) if fresh else nullcontext(target) as place:
            earlier = [] if fresh else _beside(_metadata(place / "model.safetensors"))
            extra = {"beside": "/".join(beside)} if beside else {}
            write_tensors(place / "model.safetensors", published, EXPORTER | extra)
            for name, text in beside.items():
                with replacing(place / name) as stream:
                    stream.write(text.encode("utf-8"))
            for name in earlier:
                if name not in beside:  # it is another model's now
                    (place / name).unlink(missing_ok=True)
            with replacing(place / "config.json") as stream:
                stream.write(write_json(config))
    except OSError as problem:
        raise unwritable(target, problem) from None
