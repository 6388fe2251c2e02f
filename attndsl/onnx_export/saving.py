"""Models of ONNX as files, all or nothing. What is beyond the 2 GB that such a file can hold stands in a file beside
it, whose name has a digest in it: a model never finds the constants of another one."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attndsl.graph import Graph
from attndsl.lazy import Array, np
from attndsl.onnx_export.file import PRODUCER, OnnxModel, require_onnx, written
from attndsl.onnx_export.writer import OPSET
from attndsl.passes.chosen import by_file
from attndsl.storage.refusals import file_errors
from attndsl.storage.whole import place_of, replacing
from attndsl.weights import check_replaceable

INLINE = 2_000_000_000  # bytes of constants that a file takes itself; a message of protocol buffers ends at 2^31
ALIGNED = 4096  # bytes, so that a constant can be mapped into memory


def export_onnx(
    path: str | os.PathLike[str],
    graph: Graph,
    arrays: Mapping[str, Array],
    *,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] | None = None,
    opset: int = OPSET,
    incremental: bool = False,
    force: bool = False,
) -> tuple[Path, ...]:
    """Write the models of `by_file` as `to_onnx` makes them, and give the files that were written.

    Raises what `to_onnx` raises, E0761 where an incremental graph is asked for that there is none of, E0612 where
    something else than an earlier export is in the place of a file, unless `force` is set, and E0705."""
    require_onnx()
    files = by_file(path, graph, inputs, outputs, incremental=incremental)
    for place in files:
        check_replaceable(place, force=force, is_earlier=is_earlier)
    models = {
        place: written(each, arrays, inputs=taken, outputs=given, opset=opset)
        for place, (each, taken, given) in files.items()
    }
    return tuple(file for place, model in models.items() for file in write_model(place, model))


def write_model(path: str | os.PathLike[str], made: OnnxModel, *, inline: int = INLINE) -> tuple[Path, ...]:
    """Write a model, with its large constants beside it where they are more than `inline` bytes. Gives the files.
    Raises E0705."""
    target, _ = place_of(path)
    before = beside(target)
    with file_errors("write", target):
        if sum(array.nbytes for array in made.large.values()) <= inline:
            files: tuple[Path, ...] = (target,)
            model = made.whole()
        else:
            data = target.with_name(f"{target.stem}-{_digest(made.large)}.data")
            with replacing(data) as stream:
                model = _external(made, data.name, stream)
            files = (target, data)
        with replacing(target) as stream:
            stream.write(model.SerializeToString())
    for name in before:
        if target.with_name(name) not in files:
            target.with_name(name).unlink(missing_ok=True)
    return files


def is_earlier(path: Path) -> bool:
    """Whether a file is a model that was written here."""
    return _read(path) is not None


def beside(path: Path) -> set[str]:
    """The names of the files that hold constants of a model that was written here."""
    model = _read(path)
    tensors = () if model is None else model.graph.initializer
    entries = (entry for tensor in tensors for entry in tensor.external_data)
    return {entry.value for entry in entries if entry.key == "location" and Path(entry.value).name == entry.value}


def _read(path: Path) -> Any:
    """A model that was written here, without what stands beside it; None where there is none at this place."""
    from google.protobuf.message import DecodeError
    from onnx import load

    try:
        model = load(path, load_external_data=False)
    except (DecodeError, OSError, ValueError):
        return None
    return model if model.producer_name == PRODUCER else None


def _external(made: OnnxModel, name: str, stream: Any) -> Any:
    """The model with its large constants in `stream`, which becomes the file `name`."""
    from onnx import TensorProto, helper

    for key, array in made.large.items():
        stream.write(b"\0" * (-stream.tell() % ALIGNED))
        place = {"location": name, "offset": str(stream.tell()), "length": str(array.nbytes)}
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = TensorProto(name=key, dims=array.shape, data_type=kind, data_location=TensorProto.EXTERNAL)
        for word, value in place.items():
            tensor.external_data.add(key=word, value=value)
        made.model.graph.initializer.append(tensor)
        stream.write(_bytes(array))
    return made.model


def _bytes(array: Array) -> Array:
    """The bytes of an array as a file has them, little-endian."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view("uint8")


def _digest(arrays: Mapping[str, Array]) -> str:
    total = hashlib.sha256()
    for name, array in arrays.items():
        total.update(name.encode())
        total.update(_bytes(array).data)
    return total.hexdigest()[:12]
