"""Parameters into files: ours, and folders that `transformers` loads."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from attndsl.diagnostics import AttnError, error
from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.storage.deferred import Deferred, stated, stating
from attndsl.storage.safetensors import TensorFile, write_tensors
from attndsl.storage.shards import INDEX, LARGEST, interrupted, is_part, published, write_shards
from attndsl.storage.whole import PARTIAL, place_of, replacing
from attndsl.syntax import tree
from attndsl.values import hyperparameters_of, storable
from attndsl.weights.check import require_config
from attndsl.weights.loading import check_arrays
from attndsl.weights.mapping import Item, WeightMap
from attndsl.weights.settings import FORMAT, FORMAT_VERSION, write_json
from attndsl.weights.solving import published_config
from attndsl.weights.sources import weight_map
from attndsl.weights.stacks import reading
from attndsl.weights.wording import unwritable

EXPORTED = {"exported_by": FORMAT}
"""What the files of a folder say that an export wrote; and, under `beside`, which others it wrote there."""


def save_weights(path: str | os.PathLike[str], arrays: Mapping[str, Array], graph: Graph) -> None:
    """Write parameters under our addresses to one file, all or nothing, with the model's name and hyperparameters.

    `arrays` must be exactly the graph's parameters (E0605 to E0608); E0612 where the file cannot be written."""
    check_arrays(arrays, graph)
    try:
        write_tensors(path, arrays, _facts(graph))
    except OSError as problem:
        raise unwritable(path, problem) from None


def save_shards(
    directory: str | os.PathLike[str],
    arrays: Mapping[str, Array],
    graph: Graph,
    *,
    largest: int = LARGEST,
    force: bool = False,
) -> None:
    """Write parameters under our addresses, as `save_weights` does, into a folder, in as many files as it takes that
    none has more than `largest` bytes (`attndsl.storage.shards`).

    `arrays` must be exactly the graph's parameters (E0605 to E0608). A folder that has anything else in it than an
    earlier export is refused (E0612), unless `force` is set: then what goes is what `export_huggingface` says."""
    target = Path(directory)
    check_arrays(arrays, graph)
    earlier = _replaceable(target, force)
    try:
        with published(target, earlier) as place:
            write_shards(place, arrays, _facts(graph) | EXPORTED, largest)
    except OSError as problem:
        raise unwritable(target, problem) from None


def _facts(graph: Graph) -> dict[str, str]:
    settings = {name: storable(value) for name, value in graph.hyperparameters.items()}
    return {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "model": graph.name,
        "variant": graph.variant or "",
        "hyperparameters": json.dumps(settings, sort_keys=True, ensure_ascii=False),
    }


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
    largest: int = LARGEST,
) -> tuple[str, ...]:
    """Write `config.json` and `model.safetensors`, or shards of at most `largest` bytes with their index, under the
    published names, so that `transformers` loads them.
    `labels` are the names of a classifier's classes, `ids` further keys of the configuration with tokens in them
    (`{"pad_token_id": 0}`), `beside` the texts of further files by name, such as `tokenizer.json`. Gives the addresses
    of the states in `arrays` that no line of the section writes: what training made of them is not in the folder.

    A folder that has anything in it is refused (E0612), unless that is an earlier export, whole or interrupted, or
    `force` is set. Then the files of the earlier export go, and so do what has the name of one that is written and, of
    whichever model, `model.safetensors` and `model.safetensors.index.json`: a folder has one model. All else stays,
    shards that nothing names any longer among it. Further errors: those of the section (E062x), of the arrays (E0605 to
    E0608), and E0614 or E0616 where the published configuration cannot say what the hyperparameters are.
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
    earlier = _replaceable(target, force)
    tensors = _published(items, graph, arrays)
    dtypes = {array.dtype for array in tensors.stated.values()}
    config["torch_dtype"] = max(dtypes, default=np.dtype("f4"), key=lambda dtype: dtype.itemsize).name
    texts = {**(beside or {}), "config.json": write_json(config).decode("utf-8")}
    metadata = {"format": "pt", "beside": "/".join(texts)} | EXPORTED
    try:
        with published(target, earlier) as place:
            write_shards(place, tensors, metadata, largest)
            for name, text in texts.items():
                with replacing(place / name) as stream:
                    stream.write(text.encode("utf-8"))
    except OSError as problem:
        raise unwritable(target, problem) from None
    written = {address for item in items for address, _ in item.form.leaves()}
    kept = [(info.address, arrays.keys() & set(info.addresses())) for info in graph.shared_states]
    return tuple(address for address, found in kept if found - written)


def _published(items: Sequence[Item], graph: Graph, arrays: Mapping[str, Array]) -> Deferred:
    """The tensors of these items by their names, made of the parameters as they are asked for."""
    read, known = reading(graph, arrays), stated(arrays)
    stand = reading(graph, known)
    by_name = {item.full_name(True): item for item in items}

    def dtype(item: Item) -> Any:
        leaves = [(known[a] if a in known else stand(a)).dtype for a, _ in item.form.leaves()]
        return np.result_type(*leaves) if leaves else item.form.evaluate(read).dtype

    def made(name: str) -> Array:
        item = by_name[name]
        if not item.is_first:
            return np.zeros(item.form.shape, known_of[name].dtype)
        return item.form.evaluate(lambda address: arrays[address] if address in known else read(address))

    known_of = {name: stating(item.form.shape, dtype(item)) for name, item in by_name.items()}
    return Deferred(known_of, made)


def _replaceable(target: Path, force: bool) -> Collection[str]:
    """The names of the files in a folder that an earlier export wrote; E0612 where it has others, unless `force` is
    set."""
    try:
        if target.exists() and not target.is_dir():
            help = f"name a folder, or `--to safetensors {target}` for one file"
            raise error("E0612", f"{target} is a file: an export is a folder", help=help)
        present = {p.name for p in target.iterdir() if not p.name.endswith(PARTIAL)} if target.is_dir() else set()
    except OSError as problem:
        raise unwritable(target, problem) from None
    earlier = _earlier(target) & present
    if force or present - interrupted(target)[1] == earlier:  # what was beside an export was asked about then
        return earlier
    shown = ", ".join(sorted(present)[:4]) + (", …" if len(present) > 4 else "")
    raise error(
        "E0612",
        f"{target} is not empty, and not an earlier export: it has {shown}",
        help="name another folder, or `--force` to replace the model in this one, and what has the names of its files",
    )


def _earlier(target: Path) -> set[str]:
    """The names of the files that an earlier export, also one that was interrupted, wrote into a folder."""
    found, _ = interrupted(target)
    for path in target.glob("model*.safetensors"):
        told = _metadata(path) if is_part(path.name) and path.is_file() else {}
        if told.get("exported_by") == FORMAT:
            found |= {path.name, *told.get("beside", "").split("/")}
    with contextlib.suppress(AttnError):
        if set(weight_map(target / INDEX).values()) <= found:
            found.add(INDEX)
    return found


def _metadata(path: Path) -> Mapping[str, str]:
    """What a safetensors file says about itself; nothing where it is not one."""
    try:
        with TensorFile(path) as file:
            return file.metadata
    except AttnError:
        return {}
