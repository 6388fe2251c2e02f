"""What a trained run attends to when it is given an example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attndsl.attention_maps.maps import Maps, Picture, Tokens, attention_maps, label
from attndsl.decoding.sampling import Sampling
from attndsl.decoding.sequences import sample
from attndsl.generation.fits import objective_of, require_examples, require_unicode
from attndsl.lazy import Array, np
from attndsl.objectives.sequences import next_logits
from attndsl.records import replace

if TYPE_CHECKING:
    from attndsl.data.tokenizers import Tokenizer
    from attndsl.objectives.base import Objective
    from attndsl.running.program import Program
    from attndsl.runs.run import Run

WRITTEN = 64  # tokens that a decoder says at most, where nobody says what it is to say


def attend(
    run: Run, example: Any, target: str | None = None, *, backend: str | None = None, device: str | None = None
) -> Maps:
    """The attention of every layer and head when the run's model is given `example`: a text, a pair of texts, a list of
    words, or a picture (uint8 or between 0 and 1, `[channels, height, width]`). A decoder beside an encoder is shown
    `target`, or what it says itself, the most likely token each time.

    Raises E0747 (too much to draw), E0748 (the model has no attention), E0741, E0749 (no example), E0752 (too long),
    E0756 (a picture of another size).
    """
    objective = objective_of(run)
    require_examples(objective, [example])
    given = objective.inputs([example])
    roles = objective.choice.roles
    if "target" in roles:
        given[roles["target"]] = _shown(objective, run.program(backend, device), given, target)
    sequences = [
        Tokens(name, _length(objective, roles[role]), tuple(_labels(objective.tokenizer, given[roles[role]][0])))
        for role, name in (("tokens", "text"), ("source", "source"), ("target", "target"))
        if role in roles and roles[role] in given
    ]
    answers = {roles[role] for role in objective.answers if role in roles}
    return attention_maps(
        run.graph,
        lambda graph: replace(run, graph=graph).program(backend, device),
        {name: array for name, array in given.items() if name not in answers},
        sequences,
        shown=_as_title(example, target),
        picture=Picture(seen(example)) if roles.get("image") in given else None,
    )


def _shown(objective: Objective, program: Program, given: dict[str, Array], target: str | None) -> Array:
    """What the decoder is shown, `[1, T]`: `target` behind the start token, or what it says itself."""
    start, limit = objective.token("start"), objective.limit("target")
    if target is not None:
        require_unicode(target)
        shown, _ = objective.shown_and_said(objective.tokenizer.encode(target))
        objective.require_short([shown], "target")
        return np.asarray(shown, dtype=np.int64)[None]
    most = min(WRITTEN, (limit or WRITTEN + 1) - 1)
    logits = next_logits(objective, program.run, given)
    (said,) = sample(logits, 1, [start], objective.special_token("end"), most, Sampling(temperature=0))
    return np.array([[start, *said.tokens]], dtype=np.int64)


def _length(objective: Objective, name: str) -> Any:
    return next(info.value.type.axes[-1].size for info in objective.graph.inputs if info.name == name)


def _labels(tokenizer: Tokenizer, tokens: Array) -> list[str]:
    return [label(token_text(tokenizer, int(token))) for token in tokens]


def token_text(tokenizer: Tokenizer, token: int) -> str:
    """A token by itself, with the space before it where it has one, as vocabularies of pieces mark it."""
    inner = getattr(tokenizer, "inner", None)
    raw = inner.id_to_token(token) if inner is not None else None
    if raw is not None and (raw.startswith("##") or "▁" in raw):
        return str(raw).replace("▁", " ")
    return tokenizer.decode([token]) or str(raw or token)


def seen(example: Any) -> Array:
    """A picture as uint8 `[height, width, 3]`, from `[channels, height, width]` or `[height, width]`."""
    pixels = np.asarray(example)
    if pixels.dtype.kind == "f":
        pixels = np.round(np.clip(pixels, 0, 1) * 255)
    pixels = pixels.astype(np.uint8)
    if pixels.ndim == 2:
        pixels = pixels[None]
    pixels = pixels[:3] if len(pixels) >= 3 else np.repeat(pixels[:1], 3, axis=0)
    return np.ascontiguousarray(pixels.transpose(1, 2, 0))


def _as_title(example: Any, target: str | None) -> str:
    if hasattr(example, "dtype"):
        return ""
    parts = [example] if isinstance(example, str) else [str(part) for part in example]
    return " / ".join([*parts, *([target] if target else [])])
