"""The objectives that a `train` section may name: what each fills the model's inputs with, and how it can be changed.

    batches = masked_tokens(tokens, targets, valid=valid, share=0.15)

Roles are what an input is for; the names behind `batches` are the model's own. The batches themselves are made by
`attndsl.objectives`; nothing here needs NumPy.
"""

from __future__ import annotations

from collections.abc import Mapping

from attndsl.diagnostics import AttnError, Span, error
from attndsl.recipe.options import Choice, Option, Plain, choose, unknown
from attndsl.records import dataclass, field

TEXT, RECORDS, IMAGES = "text", "records", "images"

# What an input must be to play a role: its dtype, and the role whose axes it has (itself, for a leading one).
ROLES: Mapping[str, tuple[str, str, str]] = {
    "tokens": ("int", "tokens", "int[B, T]"),
    "source": ("int", "source", "int[B, S]"),
    "target": ("int", "target", "int[B, T]"),
    "image": ("float", "image", "float[B, channels, height, width]"),
    "targets": ("int", "target|tokens", "int[B, T]"),
    "valid": ("bool", "source|tokens", "bool[B, T]"),
    "segment": ("int", "tokens", "int[B, T]"),
    "next": ("int", "batch", "int[B]"),
    "label": ("int", "batch", "int[B]"),
    "last": ("int", "batch", "int[B]"),
}


@dataclass(frozen=True, slots=True)
class Kind:
    """An objective: what data it takes (`text`, `records`, `images`), its roles and options, the special tokens that it
    cannot do without, and what it is in a line."""

    data: str
    required: tuple[str, ...]
    optional: tuple[str, ...]
    options: Mapping[str, Option]
    doc: str
    special: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        return ", ".join(self.required)

    @property
    def blank(self) -> str:
        return ", ".join("…" for _ in self.required)


def _share(default: float, doc: str) -> Option:
    return Option("float", default, doc, 0, 1)


def _column(default: str, doc: str) -> Option:
    return Option("word", default, doc)


OBJECTIVES: Mapping[str, Kind] = {
    # Radford et al., "Improving language understanding by generative pre-training", 2018, equation 1
    "next_token": Kind(TEXT, ("tokens", "targets"), (), {}, "every token from those before it"),
    # Devlin et al., "BERT", 2019, section 3.1 and appendix A.1
    "masked_tokens": Kind(
        TEXT,
        ("tokens", "targets"),
        ("valid", "segment", "next"),
        {
            "share": Option("float", 0.15, "share of the tokens that are to be found again", 1e-9, 1),
            "mask": _share(0.8, "share of these that the mask token stands for"),
            "random": _share(0.1, "share of these that a random token stands for; the rest stay"),
            "whole_words": Option("bool", False, "choose words, all tokens of each"),
        },
        "tokens that were hidden, and whether one piece of text follows the other",
        ("mask", "pad"),
    ),
    # Lewis et al., "BART", 2020, section 2.2
    "denoise": Kind(
        TEXT,
        ("source", "target", "targets"),
        ("valid",),
        {
            "mask": _share(0.0, "token masking: share of the tokens that the mask token stands for"),
            "delete": _share(0.0, "token deletion: share of the tokens that are left out"),
            "infill": _share(0.3, "text infilling: share of the tokens in spans that one mask token stands for"),
            "mean": Option("float", 3.0, "mean length of a span, Poisson distributed", 0.5, 100),
            "permute": _share(1.0, "sentence permutation: share of the texts whose sentences are shuffled"),
            "rotate": _share(0.0, "document rotation: share of the texts that begin at a token in their middle"),
        },
        "the text before noise came over it",
        ("mask", "pad", "start"),
    ),
    # Raffel et al., "Exploring the limits of transfer learning", 2020, section 3.1.4
    "span_corruption": Kind(
        TEXT,
        ("source", "target", "targets"),
        ("valid",),
        {
            "share": Option("float", 0.15, "share of the tokens that are in spans", 1e-9, 1 - 1e-9),
            "mean": Option("float", 3.0, "mean length of a span", 1, 1000),
        },
        "spans that one sentinel each stands for",
        ("pad", "end", "sentinels", "start"),
    ),
    # Sutskever et al., "Sequence to sequence learning with neural networks", 2014
    "sequence_to_sequence": Kind(
        RECORDS,
        ("source", "target", "targets"),
        ("valid",),
        {
            "from": _column("source", "the column with the source"),
            "to": _column("target", "the column with the target"),
        },
        "one text from another",
        ("pad", "end", "start"),
    ),
    "classify": Kind(
        RECORDS,
        ("tokens", "label"),
        ("valid", "segment", "targets", "last"),
        {
            "text": _column("text", "the column with the text"),
            "pair": _column("none", "the column with a second text; `none`: there is none"),
            "label": _column("label", "the column with the class"),
        },
        "the class of a text, or of two",
        ("pad",),
    ),
    "tag": Kind(
        RECORDS,
        ("tokens", "targets"),
        ("valid",),
        {
            "text": _column("tokens", "the column with the words"),
            "label": _column("tags", "the column with a tag for each word"),
        },
        "the tag of each word",
        ("pad",),
    ),
    "classify_images": Kind(
        IMAGES,
        ("image", "label"),
        (),
        {
            "image": _column("image", "the column with the picture"),
            "label": _column("label", "the column with the class"),
            "mean": Option("float", 0.5, "subtracted from values between 0 and 1"),
            "std": Option("float", 0.5, "what they are then divided by", 1e-9),
            "shift": Option("int", 0, "pixels that a picture is shifted by in training, at most, in each direction", 0),
        },
        "the class of a picture",
    ),
}

# Special tokens that another may stand for, in the order in which they are looked for.
STAND_INS = {"start": ("start", "begin", "pad"), "begin": ("begin",), "end": ("end",)}


@dataclass(frozen=True, slots=True)
class ObjectiveChoice:
    """An objective with the model's input for each role (`{"tokens": "words", "targets": "next"}`) and all options."""

    kind: str = "next_token"
    roles: Mapping[str, str] = field(default_factory=lambda: {"tokens": "tokens", "targets": "targets"})
    options: Mapping[str, Plain] = field(default_factory=dict)

    @property
    def about(self) -> Kind:
        return OBJECTIVES[self.kind]

    def number(self, name: str) -> float:
        """An option that is a number."""
        value = self.options[name]
        assert isinstance(value, (int, float))
        return value

    def column(self, name: str) -> str | None:
        """An option that names a column; None for the word `none`."""
        value = str(self.options[name])
        return None if value == "none" else value

    def with_option(self, name: str, value: object) -> ObjectiveChoice:
        """The same with one option or role changed. Raises E0720, E0721."""
        if name in (*self.about.required, *self.about.optional) and name not in self.about.options:
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
    if kind not in OBJECTIVES:
        raise unknown(f"objective `{kind}`", kind, OBJECTIVES, span)
    about, spans = OBJECTIVES[kind], spans or {}
    known = dict.fromkeys((*about.optional, *about.options))
    for name in (*roles, *options):
        if name not in known and name not in about.required:
            raise unknown(f"option or input `{name}` of {kind}", name, known, spans.get(name, span))
    for name in about.required:
        if not roles.get(name):
            raise lacks_role(kind, name, span)
    given = {name: value for name, value in options.items() if name in about.options}
    chosen: Choice = choose("objective", {kind: about.options}, kind, given, spans, span)
    ordered = {name: roles[name] for name in (*about.required, *about.optional) if roles.get(name)}
    return ObjectiveChoice(kind, ordered, dict(chosen.options))


def lacks_role(kind: str, role: str, span: Span | None) -> AttnError:
    """E0721: a required role has no input."""
    about = OBJECTIVES[kind]
    return error(
        "E0721",
        f"`{kind}` takes the names of {len(about.required)} inputs, and none is given for its {role}",
        span,
        help=f"write `batches = {kind}({about.shown})`, with the model's own names for them",
    )


def read_objective_json(plain: object) -> ObjectiveChoice:
    """What `to_json` wrote, or the list of a run before there were several objectives. Raises E0720, E0721."""
    if isinstance(plain, (list, tuple)):
        names = [str(value) for value in plain]
        return choose_objective("next_token", dict(zip(("tokens", "targets"), names[1:], strict=False)), {})
    if not isinstance(plain, dict):
        raise error("E0721", "the recipe's batches cannot be read", help="restore the file, or start a new run")
    return choose_objective(str(plain.get("kind", "")), dict(plain.get("roles", {})), dict(plain.get("options", {})))


def stands_for(role: str, named: Mapping[str, object]) -> str | None:
    """Which of the special tokens that are `named` plays `role`: `start` may be `begin` or `pad`. None: none does."""
    return next((name for name in STAND_INS.get(role, (role,)) if named.get(name)), None)
