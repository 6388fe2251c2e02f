"""The values of a recipe as they are written, in a `train` section or behind `--set`: calls, words, numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attndsl.choices import Kind, Registry, unknown
from attndsl.data.special import ROLES as SPECIAL_ROLES
from attndsl.data.special import SpecialTokens
from attndsl.diagnostics import AttnError, Diagnostic, Source, error
from attndsl.objectives.choice import OBJECTIVES, ObjectiveChoice, choose_objective, lacks_role, names
from attndsl.optimizers import OPTIMIZERS
from attndsl.recipe.schedules import SCHEDULES
from attndsl.recipe.written import Written, evaluate
from attndsl.syntax import tree

# What is one of several kinds, each with options of its own.
CHOICES: Mapping[str, Registry[Any]] = {"optimizer": OPTIMIZERS, "schedule": SCHEDULES}
KindT = TypeVar("KindT", bound=Kind)
TRAINED = ("bpe", "wordpiece", "unigram", "words")  # tokenizers that are made from the data, with so many tokens


def read_choice(what: str, written: Written) -> Kind:
    """An optimizer or a schedule, `adamw(lr=1e-3)`. Raises E0720, E0721."""
    registry = CHOICES[what]
    if not written.word:
        raise error(
            "E0721",
            f"`{what}` is one of several kinds, not a value",
            written.span,
            help=f"write `{what} = {next(iter(registry))}(…)`; there are {', '.join(registry)}",
        )
    chosen: Kind = read_kind(registry, written)
    return chosen


def read_kind(registry: Registry[type[KindT]], written: Written) -> KindT:
    """One of the kinds that a registry knows, with its options: `adamw(lr=1e-3)`. Raises E0720, E0721."""
    kind = registry.require(written.word, written.span)
    if written.positional:
        raise error(
            "E0721", f"the options of {kind.name} are given by name", written.positional[0].span,
            help=f"its options: {', '.join(kind.options)}",
        )  # fmt: skip
    given = {name: value.value for name, value in written.named.items()}
    spans = {name: value.span for name, value in written.named.items() if value.span}
    return kind(given, spans, written.span)


def kind_from_json(registry: Registry[type[KindT]], plain: Mapping[str, Any]) -> KindT:
    """What `Kind.to_json` wrote. Raises E0720, E0721."""
    options = dict(plain)
    return registry.require(str(options.pop("kind", "")))(options)


def read_batches(written: Written) -> ObjectiveChoice:
    """An objective, `masked_tokens(tokens, targets, valid=valid, share=0.15)`. Raises E0720, E0721."""
    kind = written.word
    about = OBJECTIVES.require(kind, written.span)
    required, optional = names(about.required), names(about.optional)
    if len(written.positional) > len(required):
        raise error(
            "E0721",
            f"`{kind}` takes the names of {len(required)} inputs, but {len(written.positional)} are given",
            written.positional[len(required)].span or written.span,
            help=f"write `batches = {about.shown()}`; what is optional is given by name"
            + (f": {', '.join((*optional, *about.options))}" if optional or about.options else ""),
        )
    roles = dict(zip(required, (value.word for value in written.positional), strict=False))
    options: dict[str, object] = {}
    for name, value in written.named.items():
        if name in about.options:
            options[name] = value.word or value.value if about.options[name].kind == "word" else value.value
        elif name in required and name in roles:
            raise error("E0721", f"the {name} of `{kind}` is given twice", value.span, help="name its input once")
        else:
            roles[name] = value.word
    for name in required:
        if not roles.get(name):
            raise lacks_role(kind, name, written.span)
    spans = {name: value.span for name, value in written.named.items() if value.span}
    return choose_objective(kind, roles, options, spans, written.span)


def read_tokenizer(written: Written) -> str:
    """`bytes`, `bpe(1024)`, `"path/to/tokenizer.json"`, as `TokenizerChoice.parse` takes it. Raises E0721."""
    sizes = [value.value for value in written.positional]
    if written.word in TRAINED and len(sizes) == 1 and isinstance(sizes[0], int) and not written.named:
        return f"{written.word}:{sizes[0]}"
    lower = written.named["lower"].value if list(written.named) == ["lower"] else None
    if written.word == "wordpiece" and len(sizes) == 1 and isinstance(sizes[0], int) and isinstance(lower, bool):
        return f"wordpiece:{sizes[0]}" + (":lower" if lower else "")
    if written.word and not sizes and not written.named:
        return written.word
    raise error(
        "E0721",
        "this is not a tokenizer",
        written.span,
        help="write `bytes`, `chars`, `bpe(1024)`, `wordpiece(2000)`, `unigram(2000)`, `words(10000)` or "
        '`"path/to/tokenizer.json"`',
    )


def read_special(written: Written) -> SpecialTokens:
    """`tokens(pad="[PAD]", mask="[MASK]", sentinels=100)`. Raises E0720 (no such role), E0721 (a name that is not text,
    one name for two)."""
    form = "tokens(" + ", ".join(f'{role}="…"' for role in SPECIAL_ROLES[:3]) + ")"
    if written.word != "tokens" or written.positional:
        raise error(
            "E0721", "special tokens are given by their roles", written.span,
            help=f"write `special = {form}`; the roles: {', '.join(SPECIAL_ROLES)}, and `sentinels=100`",
        )  # fmt: skip
    names: dict[str, object] = {}
    for name, value in written.named.items():
        names[name] = _special_name(name, value)
    return make_special(names)


def with_special(special: SpecialTokens, name: str, value: object) -> SpecialTokens:
    """`special` with one role named otherwise, or another number of sentinels. Raises E0720, E0721."""
    written = Written(value if isinstance(value, str) else "", value)
    return make_special({**special.to_json(), name: _special_name(name, written)})


def make_special(names: Mapping[str, object]) -> SpecialTokens:
    """The special tokens of these names by role. Raises E0721 where one name stands for two."""
    return SpecialTokens.of(names)


def _special_name(name: str, written: Written) -> object:
    if name == "sentinels":
        count = written.value
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= 100_000:
            raise error(
                "E0721", "`sentinels` is a number: how many there are", written.span, help="write `sentinels=100`"
            )
        return count
    if name not in SPECIAL_ROLES:
        raise unknown(f"special token `{name}`", name, dict.fromkeys((*SPECIAL_ROLES, "sentinels")), written.span)
    if not written.word:
        raise error("E0721", f"the {name} token has no name", written.span, help=f'write `{name}="<{name}>"`')
    return written.word


def written_alone(name: str, value: object, calls: tuple[str, ...] = ()) -> Written:
    """An override as if it stood in a `train` section; calls (`adamw(lr=1e-3)`) go through the language's parser. With
    `calls`, other texts with a bracket are words, such as a path."""
    text = str(value).strip()
    called = text.partition("(")[0].strip() if "(" in text else ""
    if not called or (calls and called not in calls):
        return Written(text, text)
    expression, problems = _parsed(name, text)
    if expression is None:
        raise AttnError(*problems)
    return evaluate(expression, {})


def _parsed(name: str, text: str) -> tuple[tree.Expr | None, list[Diagnostic]]:
    """A text from outside as an expression of the language, or what is wrong with it as one."""
    from attndsl.syntax.parser import parse

    file, problems = parse(Source(f"--set {name}", f"train _ {{ {name} = {text} }}\n"))
    settings = [argument for d in file.declarations if isinstance(d, tree.Train) for argument in d.settings]
    return (settings[0].value if not problems and len(settings) == 1 else None), list(problems)


def typed(value: object) -> object:
    """A number, boolean or pair as typed in a terminal, `0.5`, `8 * 4` or `0.9, 0.95`; what is none of them stays a
    text. Raises E0104 and E0405 where it cannot be computed."""
    if not isinstance(value, str):
        return value
    expression, _ = _parsed("setting", f"given({value.strip()})")
    if not isinstance(expression, tree.Call) or not isinstance(expression.callee, tree.Name):
        return value
    if any(argument.name is not None for argument in expression.arguments):
        return value
    values = evaluate(expression, {}).positional
    if not values or any(each.word or each.value is None for each in values):
        return value
    return values[0].value if len(values) == 1 else tuple(each.value for each in values)


def patterns(value: object) -> object:
    """Patterns as typed in a terminal, `a.*` or `a.* | b.*`; what Python gives stays as it is."""
    if not isinstance(value, str):
        return value
    parts = [part.strip().strip("\"'") for part in value.split("|")]
    return () if parts in ([""], ["none"]) else tuple(parts)
