"""Vectors for texts and pictures: what a model makes of them before it says anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from attndsl.diagnostics import did_you_mean, error
from attndsl.generation.fits import batches, objective_of, require_examples
from attndsl.graph import Axis, Graph, OutputInfo
from attndsl.lazy import np

if TYPE_CHECKING:
    import numpy

    from attndsl.objectives.base import Objective
    from attndsl.runs.run import Run

    Array = numpy.ndarray[Any, Any]

AT_ONCE = 32  # examples
POOLS = ("mean", "first", "last")
_NAMES = (
    "memory",
    "hidden",
    "features",
    "mix",
    "pooled",
    "image_embeds",
    "text_embeds",
)  # outputs, in the order of preference


def embed(
    run: Run,
    examples: Sequence[Any],
    pool: str = "mean",
    output: str | None = None,
    *,
    backend: str | None = None,
    device: str | None = None,
) -> Array:
    """A vector for each example, float32 `[examples, width]`.

    An output with a vector at each place (`hidden`, `memory`, or what `output` names) is pooled: the `mean` over what
    is not padding, the `first` place (a class token), or the `last` that is not padding. One with a vector for the
    whole (`pooled`, `features`) is taken as it is. Raises E0746 where the model has no such output or pooling, E0741,
    E0749 (no example), E0752 (too long), E0756 (a picture of another size).
    """
    if pool not in POOLS:
        raise error("E0746", f"there is no pooling `{pool}`", help=did_you_mean(pool, POOLS) or _listed(POOLS))
    objective = objective_of(run)
    found = [
        _pooled(objective, info, array, given, pool)
        for info, array, given in _computed(run, objective, examples, output, backend, device)
    ]
    return np.concatenate(found).astype(np.float32)


def embed_places(
    run: Run,
    examples: Sequence[Any],
    output: str | None = None,
    *,
    backend: str | None = None,
    device: str | None = None,
) -> list[tuple[tuple[str, ...], Array]]:
    """For each text its words, where the model reads words, or else its tokens, and a vector for each, float32
    `[places, width]`. Raises what `embed` raises, and E0746 where there is one vector for a text, or are pictures."""
    objective = objective_of(run)
    found: list[tuple[tuple[str, ...], Array]] = []
    if not objective.reads_texts() or objective.sees():
        raise error("E0746", f"{run.graph.name} takes pictures, which have no words", help="leave out `--pool none`")
    for info, array, given in _computed(run, objective, examples, output, backend, device):
        if array.ndim == 2:
            raise error(
                "E0746",
                f"the output `{info.name}` of {run.graph.name} has one vector for a text, not one for each place",
                help="name another one: `--from OUTPUT`",
            )
        present = _present(objective, info.value.type.axes[1], array.shape[:2], given)
        rows = given[objective.input(next(role.name for role in objective.required if role.is_sequence))]
        for row, vectors, there in zip(rows, array, present, strict=True):
            found.append((objective.pieces(row[there]), vectors[there].astype(np.float32)))
    return found


def _computed(
    run: Run,
    objective: Objective,
    examples: Sequence[Any],
    output: str | None,
    backend: str | None,
    device: str | None,
) -> Iterator[tuple[OutputInfo, Array, dict[str, Array]]]:
    """The output with vectors, what it is for some of the examples after the others, and what the model was given."""
    require_examples(objective, examples)
    if not len(examples):
        raise error("E0749", "there is no input to embed", help="give at least one example")
    program = run.program(backend, device)
    for piece in batches(objective, len(examples), AT_ONCE):
        given = _complete(objective, objective.inputs([examples[place] for place in piece]))
        info = vectors_output(run.graph, given, output)
        yield info, program.run(given, [info.name])[info.name], given


def vectors_output(graph: Graph, given: Sequence[str] | dict[str, Any], name: str | None) -> OutputInfo:
    """The output with vectors: the one called `name`, or the first that is called as such outputs are. Raises E0746."""
    known = {info.name: info for info in graph.own_outputs if info.needs <= set(given)}
    if name is not None:
        if name in known and _is_vectors(graph, known[name]):
            return known[name]
        fitting = [info.name for info in known.values() if _is_vectors(graph, info)]
        what = f"the output `{name}` of {graph.name} has no vectors" if name in known else (
            f"{graph.name} has no output `{name}` that can be computed from texts alone"
        )  # fmt: skip
        raise error("E0746", what, help=did_you_mean(name, fitting) or _listed(fitting) or _ADD)
    for wanted in _NAMES:
        if wanted in known and _is_vectors(graph, known[wanted]):
            return known[wanted]
    fitting = [info.name for info in known.values() if _is_vectors(graph, info)]
    raise error(
        "E0746", f"{graph.name} has no output called {', '.join(f'`{wanted}`' for wanted in _NAMES)}",
        note=f"its outputs: {', '.join(info.name for info in graph.own_outputs)}",
        help=(*((f"name one with vectors: `--from {fitting[0]}`",) if fitting else ()), _ADD),
    )  # fmt: skip


def _complete(objective: Objective, given: dict[str, Array]) -> dict[str, Array]:
    """With what a decoder must be shown in any case: the start token alone, which says nothing of the text."""
    if "target" not in objective.choice.roles:
        return given
    count = len(given[objective.input("source")])
    return given | {objective.input("target"): np.full((count, 1), objective.token("start"), dtype=np.int64)}


_ADD = "add one to the spec: `output hidden = x`"


def _is_vectors(graph: Graph, info: OutputInfo) -> bool:
    """Whether it is float, with one or two axes that inputs decide (or places of a picture) and one of features."""
    type = info.value.type
    return type.is_float and type.rank in (2, 3) and type.axes[-1].size.symbols <= graph.sizes.keys()


def _pooled(objective: Objective, info: OutputInfo, array: Array, given: dict[str, Array], pool: str) -> Array:
    if array.ndim == 2:
        return array
    # [batch, places, features], as every output with vectors at places is written.
    present = _present(objective, info.value.type.axes[1], array.shape[:2], given)
    if pool == "first":
        first: Array = array[:, 0]
        return first
    if pool == "last":
        last = present.shape[1] - 1 - np.argmax(present[:, ::-1], axis=1)
        ends: Array = array[np.arange(len(array)), last]
        return ends
    counts = np.maximum(present.sum(axis=1, keepdims=True), 1)
    mean: Array = np.where(present[:, :, None], array, 0).sum(axis=1, dtype=np.float64) / counts
    return mean


def _present(objective: Objective, axis: Axis, shape: tuple[int, ...], given: dict[str, Array]) -> Array:
    """True at the places that are not padding, bool `[batch, places]`: as the input for that says, if the places are
    its; without one, nothing was padded."""
    name = objective.choice.roles.get("valid")
    info = next((info for info in objective.graph.inputs if info.name == name), None)
    if name in given and info is not None and info.value.type.axes[-1].size == axis.size:
        return given[name]
    return np.ones(shape, dtype=bool)


def similarities(vectors: Array) -> Array:
    """The cosine of every two vectors, `[n, n]`; 0 for one of zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    cosines: Array = np.clip(unit @ unit.T, -1, 1)
    return cosines


def _listed(names: Sequence[str]) -> str:
    return f"there are {', '.join(names)}" if names else ""
