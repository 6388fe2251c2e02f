"""An objective as a recipe names it: `masked_tokens(tokens, targets, valid=valid, share=0.15)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attndsl.choices import Plain, Registry, read_options, unknown
from attndsl.diagnostics import AttnError, Span, error
from attndsl.records import Frozen

if TYPE_CHECKING:
    from attndsl.objectives.base import Objective

OBJECTIVES: Registry[type[Objective]] = Registry(
    "objective",
    {
        "next_token": "attndsl.objectives.next_token:NextTokens",
        "masked_tokens": "attndsl.objectives.masked_tokens:MaskedTokens",
        "denoise": "attndsl.objectives.denoise:Denoise",
        "span_corruption": "attndsl.objectives.span_corruption:SpanCorruption",
        "both_directions": "attndsl.objectives.both_directions:BothDirections",
        "sequence_to_sequence": "attndsl.objectives.sequence_to_sequence:SequenceToSequence",
        "classify": "attndsl.objectives.classify:Classify",
        "tag": "attndsl.objectives.tag:Tag",
        "classify_images": "attndsl.objectives.classify_images:ClassifyImages",
        "reconstruct": "attndsl.objectives.reconstruct:Reconstruct",
        "text_to_image": "attndsl.objectives.text_to_image:TextToImage",
        "answer": "attndsl.objectives.answer:Answer",
        "contrast": "attndsl.objectives.contrast:Contrast",
    },
)


class ObjectiveChoice(Frozen):
    """An objective with the model's input for each role (`{"tokens": "words", "targets": "next"}`) and all options."""

    kind: str
    roles: Mapping[str, str]
    options: Mapping[str, Plain]

    @property
    def about(self) -> type[Objective]:
        """The class of the objective."""
        return OBJECTIVES[self.kind]

    def number(self, name: str) -> float:
        """An option that is a number."""
        value = self.options[name]
        assert isinstance(value, (int, float))
        return value

    def numbers(self, name: str) -> tuple[float, ...]:
        """An option that is a number or several."""
        value = self.options[name]
        return tuple(map(float, value)) if isinstance(value, tuple) else (self.number(name),)

    def column(self, name: str) -> str | None:
        """An option that names a column; None for the word `none`."""
        value = str(self.options[name])
        return None if value == "none" else value

    def with_option(self, name: str, value: object) -> ObjectiveChoice:
        """The same with one option or role changed. Raises E0720, E0721."""
        if self.about.role(name) is not None and name not in self.about.options:
            return choose_objective(self.kind, {**self.roles, name: str(value)}, self.options)
        return choose_objective(self.kind, self.roles, {**self.options, name: value})

    def to_json(self) -> dict[str, object]:
        return {"kind": self.kind, "roles": dict(self.roles), "options": dict(self.options)}

    def __str__(self) -> str:
        return f"{self.kind}({', '.join(self.roles.values())})"


def choose_objective(
    kind: str,
    roles: Mapping[str, str],
    options: Mapping[str, object],
    spans: Mapping[str, Span] | None = None,
    span: Span | None = None,
) -> ObjectiveChoice:
    """The objective `kind` with its defaults filled in. Raises E0720 (no such objective, role or option), E0721 (a
    value that does not fit, a role that is not filled)."""
    about, spans = OBJECTIVES.require(kind, span), spans or {}
    required, optional = names(about.required), names(about.optional)
    known = dict.fromkeys((*optional, *about.options))
    for name in (*roles, *options):
        if name not in known and name not in required:
            raise unknown(f"option or input `{name}` of {kind}", name, known, spans.get(name, span))
    for name in required:
        if not roles.get(name):
            raise lacks_role(kind, name, span)
    given = {name: value for name, value in options.items() if name in about.options}
    chosen = read_options(kind, about.options, given, spans, span)
    ordered = {name: roles[name] for name in (*required, *optional) if roles.get(name)}
    return ObjectiveChoice(kind, ordered, chosen)


def default_objective() -> ObjectiveChoice:
    """That of a recipe that names none."""
    return choose_objective("next_token", {"tokens": "tokens", "targets": "targets"}, {})


def names(roles: tuple[object, ...]) -> tuple[str, ...]:
    """The names of roles."""
    return tuple(map(str, roles))


def lacks_role(kind: str, role: str, span: Span | None) -> AttnError:
    """E0721: a required role has no input."""
    about = OBJECTIVES[kind]
    return error(
        "E0721",
        f"`{kind}` takes the names of {len(about.required)} inputs, but none is given for its {role}",
        span,
        help=f"write `batches = {about.shown()}`, with the model's own names for them",
    )


def read_objective_json(plain: object) -> ObjectiveChoice:
    """What `to_json` wrote. Raises E0720, E0721."""
    if not isinstance(plain, dict):
        raise error("E0721", "the recipe's batches cannot be read", help="restore the file, or start a new run")
    return choose_objective(str(plain.get("kind", "")), dict(plain.get("roles", {})), dict(plain.get("options", {})))
