"""The published configuration (`config.json`) and the hyperparameters, each from the other.

A section says `width = n_embd` (a hyperparameter and an expression of published keys), `require n_embd == width_of_it`
(a condition on the keys) and `ignore summary_type` (a key without meaning here). In an expression

- a name is a key, a dotted name a key inside a key (`rope_scaling.factor`);
- `key or value` is the key's value, or where the file lacks the key (or says null) the other: the published default;
- arithmetic works both ways as long as one unknown key can be solved for.

A requirement may be `absent`: `require n_inner == 4 * n_embd or absent` holds where the file lacks `n_inner`. An export
writes every mapped key and, of each requirement, the first alternative; where that is `absent`, nothing. So
`require architectures == "GPT2LMHeadModel" or true` says what to write, and that anything will do on import.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attndsl.diagnostics import AttnError, Diagnostic, Label, did_you_mean, error
from attndsl.graph import Graph
from attndsl.syntax import tree
from attndsl.weights.files import quoted
from attndsl.weights.keys import (
    ABSENT,
    COMPARISONS,
    Lookup,
    Unknown,
    calculate,
    check_expression,
    equal,
    evaluate,
    key_of,
    keys_in,
    lookup_in,
    operators_of,
    shown,
)

Value = int | float | bool | str
Config = dict[str, Any]
BOOKKEEPING = frozenset({
    "_attn_implementation", "_commit_hash", "_name_or_path", "architectures", "attn_implementation", "auto_map",
    "bad_words_ids", "begin_suppress_tokens", "bos_token", "bos_token_id", "cls_token_id", "decoder_start_token_id",
    "diversity_penalty", "do_sample", "dtype", "early_stopping", "encoder_no_repeat_ngram_size", "eos_token",
    "eos_token_id", "exponential_decay_length_penalty", "finetuning_task", "forced_bos_token_id",
    "forced_eos_token_id", "gradient_checkpointing", "id2label", "label2id", "length_penalty", "mask_token_id",
    "max_length", "min_length", "no_repeat_ngram_size", "num_beam_groups", "num_beams", "num_labels",
    "num_return_sequences", "output_attentions", "output_hidden_states", "output_past", "output_scores",
    "pad_token_id", "prefix", "problem_type", "pruned_heads", "remove_invalid_values", "repetition_penalty",
    "return_dict", "return_dict_in_generate", "sep_token_id", "suppress_tokens", "task_specific_params",
    "temperature", "tf_legacy_loss", "tokenizer_class", "top_k", "top_p", "torch_dtype", "torchscript",
    "transformers_version", "typical_p", "use_bfloat16", "use_cache",
})  # fmt: skip
"""Keys that any published configuration may have and that say nothing about what the model computes: where it came
from, in which dtype it is stored, how text is generated from it."""

MODEL_TYPE = "model_type"
ARCHITECTURES = "architectures"
"""A key whose value is a list of one text, compared and written as if it were the text."""

# ---------------------------------------------------------------- from the file


def alternatives(entry: tree.ConfigEntry) -> tuple[tree.Expr, ...]:
    """A requirement's alternatives, in order."""
    value = entry.value
    return value.operands if isinstance(value, tree.Chain) and operators_of(value) == {"or"} else (value,)


def is_absent(expression: tree.Expr) -> bool:
    return isinstance(expression, tree.Name) and expression.text == ABSENT


def config_settings(
    section: tree.Weights,
    config: Mapping[str, Any],
    *,
    source: str = "config.json",
    warn: Callable[[Diagnostic], None] | None = None,
) -> dict[str, Value]:
    """The hyperparameters that a published configuration gives, by what the section says.

    Raises E0614 where a requirement is not met, E0615 where a key is missing, E0616 where a value is no number, text or
    truth value. `warn` gets a diagnostic (W0601) for each key that the section does not speak of.
    """
    lookup = lookup_in(config)
    settings: dict[str, Value] = {}
    found: list[Diagnostic] = []
    for entry in section.config:
        if entry.ignored:
            continue
        try:
            if entry.name is None:
                _require(entry, lookup, source)
            else:
                value = evaluate(entry.value, lookup)
                if not isinstance(value, (bool, int, float, str)):
                    raise error("E0616", f"{source}: `{entry.value.span.text}` is {shown(value)}", entry.value.span)
                settings[entry.name.text] = value
        except Unknown as unknown:
            found += _lacks(unknown, config, source).diagnostics
        except AttnError as raised:
            found += raised.diagnostics
    if found:
        other = [d for d in found if d.code == "E0614" and MODEL_TYPE in d.message]
        raise AttnError(*(other or found))
    if warn is not None:
        spoken = {key.split(".")[0] for entry in section.config for key in keys_in(entry.value)}
        for key in sorted(config.keys() - spoken - BOOKKEEPING):
            if config[key] is not None:
                shown_key = quoted(key)[1:-1]
                warn(
                    Diagnostic(
                        "W0601",
                        f"{source} says {shown_key} = {shown(config[key])}, of which the spec does not speak",
                        Label(section.span) if not section.config else Label(section.config[-1].span),
                        helps=(f"map or require it if it changes what is computed; if not: `ignore {shown_key}`",),
                    )
                )
    return settings


def _lacks(unknown: Unknown, config: Mapping[str, Any], source: str) -> AttnError:
    default = f"if the published model has a default for it, the spec can say so: `{unknown.key} or …`"
    outer, _, last = unknown.key.rpartition(".")
    table = lookup_in(config)(outer) if outer else config
    helps: tuple[str, ...]
    if isinstance(table, Mapping) and last in table:
        message, helps = f"{source} has no value for `{unknown.key}`: it is null", (default,)
    else:
        message, helps = f"{source} has no `{unknown.key}`", did_you_mean(unknown.key, config) or (default,)
    return error("E0615", message, unknown.span, "needed here", help=helps)


def _require(entry: tree.ConfigEntry, lookup: Lookup, source: str) -> None:
    choices = alternatives(entry)
    keys = list(dict.fromkeys(key for choice in choices for key in _subjects(choice)))
    if any(is_absent(choice) for choice in choices) and any(lookup(key) is None for key in keys):
        return
    rest = [choice for choice in choices if not is_absent(choice)]
    missing: Unknown | None = None
    for choice in rest:
        try:
            if evaluate(choice, lookup):
                return
        except Unknown as unknown:
            missing = missing or unknown
    if missing is not None:
        raise missing
    values = ", ".join(f"{key} = {shown(lookup(key))}" for key in dict.fromkeys(keys_in(entry.value)))
    if MODEL_TYPE in keys:
        message = f"{source} is that of another kind of model: {MODEL_TYPE} is {shown(lookup(MODEL_TYPE))}"
    else:
        message = f"{source} is of a model that this spec does not describe: {values}"
    raise error("E0614", message, entry.span, "required here")


def _subjects(choice: tree.Expr) -> Iterator[str]:
    """The keys whose absence `absent` speaks of: the one on the left of a comparison, else every key."""
    if isinstance(choice, tree.Chain) and operators_of(choice) & COMPARISONS and key_of(choice.operands[0]) is not None:
        yield from keys_in(choice.operands[0])
    else:
        yield from keys_in(choice)


# ---------------------------------------------------------------- to the file


def published_config(section: tree.Weights, hyperparameters: Mapping[str, object]) -> Config:
    """The configuration that the hyperparameters mean: the inverse of `config_settings`.

    Raises E0614 where a requirement does not hold for these hyperparameters, E0616 where a key would not be a whole
    number that has to be one."""
    known: dict[str, Any] = {}
    for entry in _in_order_of_solution(section):
        assert entry.name is not None
        check_expression(entry.value)
        _solve(entry.value, hyperparameters.get(entry.name.text), known, entry)
    config: Config = {}
    for key, value in known.items():
        _put(config, key, value)
    for entry in section.config:
        if entry.name is None and not entry.ignored:
            _fulfil(entry, config)
    return config


def solvable(expression: tree.Expr, unknown: set[str]) -> bool:
    """Whether an expression's value gives its unknown key: there is at most one, in one place, under operations that
    can be undone."""
    if not unknown:
        return True
    key = key_of(expression)
    if key is not None:
        return unknown == {key}
    if isinstance(expression, tree.Unary):
        return expression.operator == "-" and solvable(expression.operand, unknown)
    if isinstance(expression, tree.Chain):
        if operators_of(expression) == {"or"}:
            return key_of(expression.operands[0]) is not None and unknown >= {key_of(expression.operands[0])}
        inside = [operand for operand in expression.operands if unknown & set(keys_in(operand))]
        return len(inside) == 1 and operators_of(expression) <= {"+", "-", "*", "/"} and solvable(inside[0], unknown)
    return False


def _in_order_of_solution(section: tree.Weights) -> list[tree.ConfigEntry]:
    """The mapped keys' entries, each when what it has to be solved for is all that is unknown in it; E0628 where there
    is no such order."""
    known: set[str] = set()
    order: list[tree.ConfigEntry] = []
    rest = [entry for entry in section.config if entry.name is not None]
    while rest:
        ready = [entry for entry in rest if solvable(entry.value, set(keys_in(entry.value)) - known)]
        if not ready:
            raise _unsolvable(rest[0])
        order.append(ready[0])
        rest.remove(ready[0])
        known |= set(_written_keys(ready[0].value))
    return order


def _written_keys(expression: tree.Expr) -> Iterator[str]:
    """The keys that have a value once an expression is solved: of `key or default` only the first."""
    if isinstance(expression, tree.Chain) and operators_of(expression) == {"or"}:
        yield from keys_in(expression.operands[0])
    else:
        yield from keys_in(expression)


def _solve(expression: tree.Expr, value: Any, known: dict[str, Any], entry: tree.ConfigEntry) -> None:
    """Give the unknown key of `expression` the value that makes the expression `value`; check it if none is unknown."""
    key = key_of(expression)
    if key is not None and key not in known:
        known[key] = value
        return
    if (
        isinstance(expression, tree.Chain)
        and operators_of(expression) == {"or"}
        and key_of(expression.operands[0]) not in known
    ):
        _solve(expression.operands[0], value, known, entry)
        return
    unknown = set(keys_in(expression)) - known.keys()
    if not unknown:
        if not equal(evaluate(expression, known.get), value):
            assert entry.name is not None
            raise error(
                "E0614",
                f"`{entry.name.text}` is {shown(value)}, which the published format cannot say",
                entry.span,
                f"here it is {shown(evaluate(expression, known.get))}",
            )
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise error("E0616", f"{shown(value)} is no number", entry.span)
    if isinstance(expression, tree.Unary):
        _solve(expression.operand, -value, known, entry)
        return
    assert isinstance(expression, tree.Chain)
    at = next(i for i, operand in enumerate(expression.operands) if unknown & set(keys_in(operand)))
    operators = ["*" if operators_of(expression) & {"*", "/"} else "+", *(o.text for o in expression.operators)]
    result: Any = value
    for i in reversed(range(len(operators))):
        if i == at:
            continue
        number = evaluate(expression.operands[i], known.get)
        undone = {"+": "-", "-": "+", "*": "/", "/": "*"}[operators[i]]
        result = calculate(expression, undone, result, number)
    if operators[at] == "-":
        result = -result
    elif operators[at] == "/":
        result = calculate(expression, "/", 1, result)
    if isinstance(value, int) and isinstance(result, float):
        if not result.is_integer():
            raise error("E0616", f"`{expression.span.text}` cannot be {value}: a key would be {result}", entry.span)
        result = int(result)
    _solve(expression.operands[at], result, known, entry)


def _unsolvable(entry: tree.ConfigEntry) -> AttnError:
    return error(
        "E0628",
        f"`{entry.value.span.text}` cannot be solved for a published key",
        entry.value.span,
        note="an export has to write the keys from the hyperparameters",
        help="map one of its keys on its own, too",
    )


def _put(config: Config, key: str, value: Any) -> None:
    *outer, last = key.split(".")
    place = config
    for part in outer:
        place = place.setdefault(part, {})
    place[last] = value


def _fulfil(entry: tree.ConfigEntry, config: Config) -> None:
    """Write what the first alternative of a requirement asks for; check the requirement if nothing is left to write."""
    lookup = lookup_in(config)
    first = alternatives(entry)[0]
    if is_absent(first):
        return
    if isinstance(first, tree.Chain) and operators_of(first) == {"=="}:
        key = key_of(first.operands[0])
        if key is not None and lookup(key) is None:
            try:
                value = evaluate(first.operands[1], lookup)
                _put(config, key, [value] if key == ARCHITECTURES else value)
            except Unknown as unknown:
                raise _unwritten(unknown) from None
            return
    try:
        _require(entry, lookup, "the exported config.json")
    except Unknown as unknown:
        raise _unwritten(unknown) from None


def _unwritten(unknown: Unknown) -> AttnError:
    return error(
        "E0628",
        f"an export has no value for `{unknown.key}`",
        unknown.span,
        help="map it, or require it to be something",
    )


# ---------------------------------------------------------------- the section itself


def check_config(section: tree.Weights, graph: Graph) -> list[Diagnostic]:
    """What is wrong with a section's `config`: E0627 for hyperparameters that the model lacks or that are not mapped,
    E0628 for what cannot be read or written."""
    found: list[Diagnostic] = []
    seen: dict[str, tree.ConfigEntry] = {}
    for entry in section.config:
        try:
            for part in alternatives(entry) if entry.name is None else (entry.value,):
                if entry.name is not None or not is_absent(part):
                    check_expression(part)
        except AttnError as raised:
            found += raised.diagnostics
        if entry.name is None:
            continue
        name = entry.name.text
        if name not in graph.hyperparameters:
            helps = did_you_mean(name, graph.hyperparameters)
            found += error(
                "E0627", f"`{graph.name}` has no hyperparameter `{name}`", entry.name.span, help=helps
            ).diagnostics
        elif seen.setdefault(name, entry) is not entry:
            other = Label(seen[name].span, "and here")
            found += error(
                "E0627", f"the hyperparameter `{name}` is mapped twice", entry.name.span, other=other
            ).diagnostics
    if found or not section.config:
        return found
    left = [name for name in graph.hyperparameters if name not in seen]
    if left:
        names = ", ".join(f"`{name}`" for name in left)
        found += error(
            "E0627",
            f"the configuration does not say where {names} come{'s' if len(left) == 1 else ''} from",
            section.config[0].span,
            note="an exported model would be read back with other values",
            help=f"add `{left[0]} = …` with a published key or a constant",
        ).diagnostics
        return found
    try:
        _in_order_of_solution(section)
    except AttnError as raised:
        found += raised.diagnostics
    return found
