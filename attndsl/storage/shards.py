"""Tensors in a folder as others publish them: one file, or where that would be too large several with an index."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from attndsl.lazy import Array
from attndsl.storage.deferred import Deferred, stated
from attndsl.storage.safetensors import write_tensors
from attndsl.storage.whole import PARTIAL, new_folder, readied, replacing, staged, sync_folder

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
MOVING = f".export{PARTIAL}"
"""In a folder while files take their places in it: the names of these and of what goes for them (`moving`), and of what
there is `beside` them."""
LARGEST = 5_000_000_000
"""Bytes of a file, if nobody says otherwise: what `save_pretrained` of `transformers` calls `max_shard_size`."""


def write_shards(
    folder: Path, arrays: Mapping[str, Array], metadata: Mapping[str, str], largest: int = LARGEST
) -> None:
    """Write arrays to `model.safetensors`, or to `model-00001-of-00003.safetensors` and others, none of which has more
    than `largest` bytes of tensors unless one alone has, with the index that says where each is. Arrays that are
    `Deferred` are made one after the other. Raises `OSError`."""
    known, parts = stated(arrays), in_parts(arrays, largest)
    if len(parts) == 1:
        write_tensors(folder / WHOLE, arrays, metadata)
        return
    place: dict[str, str] = {}
    for number, names in enumerate(parts, 1):
        file = f"model-{number:05}-of-{len(parts):05}.safetensors"
        write_tensors(folder / file, Deferred({n: known[n] for n in names}, arrays.__getitem__), metadata)
        place |= dict.fromkeys(names, file)
    size = sum(array.nbytes for array in known.values())
    index = {"metadata": {"total_size": size}, "weight_map": {name: place[name] for name in known}}
    with replacing(folder / INDEX) as stream:
        stream.write((json.dumps(index, indent=2, ensure_ascii=False) + "\n").encode("utf-8"))


def is_part(name: str) -> bool:
    """Whether `write_shards` gives a file of tensors this name."""
    return name == WHOLE or re.fullmatch(r"model-\d{5,}-of-\d{5,}\.safetensors", name) is not None


def in_parts(arrays: Mapping[str, Array], largest: int) -> list[list[str]]:
    """The names of arrays, in their order, in as many parts as it takes; one at least."""
    parts: list[list[str]] = [[]]
    size = 0
    for name, array in stated(arrays).items():
        if parts[-1] and size + array.nbytes > largest:
            parts.append([])
            size = 0
        parts[-1].append(name)
        size += array.nbytes
    return parts


@contextlib.contextmanager
def published(target: Path, earlier: Collection[str]) -> Iterator[Path]:
    """A folder to write a model's files into, which come into the folder `target` when the `with` ends well. A `target`
    that is new or empty appears whole. In another one nothing changes before all are on the disk, and can be put where
    they belong; then they take their places, and what is `earlier` goes. What tensors are found by comes last and goes
    first, so that a kill in between leaves no mixture of both. Raises `OSError`."""
    if not target.is_dir() or not any(target.iterdir()):
        with new_folder(target) as place:
            yield place
        return
    with staged(target / WHOLE) as place:  # in it: what it is in may be another disk
        yield place
        goal = {each.name: readied(each, target / each.name) for each in sorted(place.iterdir())}
        with replacing(place / MOVING) as stream:
            moving = {*goal, *earlier}
            beside = {each.name for each in target.iterdir() if not each.name.endswith(PARTIAL)} - moving
            stream.write(json.dumps({"moving": sorted(moving), "beside": sorted(beside)}).encode("utf-8"))
        os.replace(place / MOVING, target / MOVING)
        sync_folder(target)
        folders = {target, *(path.parent for path in goal.values())}
        for path in (goal.get(name, target / name) for name in (WHOLE, INDEX)):
            if not path.is_dir():
                path.unlink(missing_ok=True)
        for folder in folders:
            sync_folder(folder)
        for name in sorted(goal, key=lambda name: name in (WHOLE, INDEX)):
            os.replace(place / name, goal[name])
        for name in earlier:
            if name not in goal:
                (target / name).unlink(missing_ok=True)
        for folder in folders:
            sync_folder(folder)
        (target / MOVING).unlink()


def interrupted(folder: Path) -> tuple[set[str], set[str]]:
    """The names of the files of which some may have taken their places in a folder when that was interrupted, and of
    what there was beside them."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        found = json.loads((folder / MOVING).read_bytes())
        return set(found["moving"]), set(found["beside"])
    return set(), set()
