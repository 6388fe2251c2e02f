"""The hyperparameters that a published configuration (`config.json`) gives; `attndsl.weights.solving` is the way back.

A section says `width = n_embd` (a hyperparameter and an expression of published keys), `require n_embd == width_of_it`
(a condition on the keys) and `ignore summary_type` (a key without meaning here). In an expression

- a name is a key, a dotted name a key inside a key (`rope_scaling.factor`);
- `key or value` is the key's value, or where the file lacks the key (or says null) the other: the published default;
- arithmetic works both ways as long as one unknown key can be solved for;
- `choose(key, "published" -> value, …)` is a table, `count(id2label)` the number of labels;
- `has("lm_head.weight")` is whether the weights have a tensor: what a configuration does not say. It is only read.

`experts <- n_routed + n_shared` is read like `=`, and never written: an export in which the other keys say something
else is refused. `heads = encoder_heads = decoder_heads` asks the keys to agree, and writes both.

A requirement may be `absent`: `require n_inner == 4 * n_embd or absent` holds where the file lacks `n_inner`. An export
writes every mapped key and, of each requirement, the first alternative; where that is `absent`, nothing. So
`require architectures == "GPT2LMHeadModel" or true` says what to write, and that anything will do on import.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from attndsl.diagnostics import AttnError, Diagnostic, did_you_mean, error, is_heard, quoted, warn, warning
from attndsl.records import replace
from attndsl.syntax import tree
from attndsl.values import Absent, List, Number, Plain, Reference, described, equal, not_a_condition, written
from attndsl.weights.choices import ABSENT, asks_tensors
from attndsl.weights.keys import Keys, Lookup, key_of, keys_in, lookup_in, operators_of, shown

Config = dict[str, Any]
COMPARISONS = {"==", "!=", "<", "<=", ">", ">="}
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
    without: Collection[str] = (),
    tensors: Collection[str] | None = None,
) -> dict[str, Plain]:
    """The hyperparameters that a published configuration gives, by what the section says; those `without` which it is
    asked are not looked at, nor, without the names of the `tensors` beside it, those that depend on these.

    Raises E0614 where a requirement is not met, E0615 where a key is missing, E0616 where a value is not a number, text
    or boolean, E0104 and E0405 where it cannot be computed with. Warns (W0601) of each key, also inside
    a key, that the section does not mention.
    """
    lookup = lookup_in(config)
    settings: dict[str, Plain] = {}
    found: list[Diagnostic] = []
    for entry in section.config:
        if entry.ignored or (entry.name is not None and entry.name.text in without):
            continue
        if tensors is None and asks_tensors(entry.value):
            continue
        try:
            if entry.name is None:
                require(entry, lookup, source)
            else:
                value = Keys(lookup, tensors or ()).evaluate(entry.value)
                for part in value.values if isinstance(value, List) else (value,):
                    if isinstance(part, Reference) and part.kind == "table":
                        raise error("E0616", f"{source}: `{entry.value.span.text}` is {part.text}", entry.value.span)
                if entry.again:
                    _same(entry, settings.get(entry.name.text), value, source)
                settings[entry.name.text] = value
        except Absent as absent:
            found += _lacks(absent, config, source).diagnostics
        except AttnError as raised:
            found += [_with_values(d, entry.value, lookup, source) for d in raised.diagnostics]
    if found:
        other = [d for d in found if d.code == "E0614" and MODEL_TYPE in d.message]
        raise AttnError(*(other or found))
    if is_heard():
        warn(*_unmentioned(section, config, source))
    return settings


def _unmentioned(section: tree.Weights, config: Mapping[str, Any], source: str) -> Iterator[Diagnostic]:
    """A warning for each key that the section does not mention, at its last line for the configuration."""
    mentioned = {key for entry in section.config for key in keys_in(entry.value)}
    for key, value in unspoken(config, mentioned):
        name = quoted(key)[1:-1]
        yield warning(
            "W0601",
            f"{source} has {name} = {shown(value)}, which the spec does not mention",
            section.config[-1].span if section.config else section.span,
            help=f"map or require it if it changes what is computed; if not: `ignore {name}`",
        )


def unspoken(config: Mapping[str, Any], spoken: Collection[str], outer: str = "") -> Iterator[tuple[str, Any]]:
    """The keys (with those around them, dotted) and values that are not `spoken` of, at every depth: of a table of
    which only some keys are spoken of, the others."""
    for name in sorted(config):
        key, value = outer + name, config[name]
        if value is None or key in spoken or key in BOOKKEEPING:
            continue
        if isinstance(value, dict) and any(other.startswith(f"{key}.") for other in spoken):
            yield from unspoken(value, spoken, f"{key}.")
        else:
            yield key, value


def _same(entry: tree.ConfigEntry, first: Plain | None, value: Plain, source: str) -> None:
    """E0614 where keys that say one hyperparameter differ."""
    if first is not None and not equal(first, value):
        assert entry.name is not None
        message = f"{source} is for a model that this spec does not describe: `{entry.name.text}` would be"
        raise error("E0614", f"{message} {written(first)} and {written(value)}", entry.span, "these keys must agree")


def _with_values(problem: Diagnostic, expression: tree.Expr, lookup: Lookup, source: str) -> Diagnostic:
    """What is wrong with a value, with the values of the keys that it is made of."""
    keys = [key for key in dict.fromkeys(keys_in(expression)) if lookup(key) is not None]
    if problem.code not in ("E0104", "E0405") or not keys:
        return problem
    values = ", ".join(f"{key} = {shown(lookup(key))}" for key in keys)
    return replace(problem, notes=(*problem.notes, f"{source} says {values}"))


def _lacks(absent: Absent, config: Mapping[str, Any], source: str) -> AttnError:
    default = f"if the published model has a default for it, the spec can say so: `{absent.key} or …`"
    outer, _, last = absent.key.rpartition(".")
    table = lookup_in(config)(outer) if outer else config
    helps: tuple[str, ...]
    if isinstance(table, Mapping) and last in table:
        message, helps = f"{source} has no value for `{absent.key}`: it is null", (default,)
    else:
        message, helps = f"{source} has no `{absent.key}`", did_you_mean(absent.key, config) or (default,)
    return error("E0615", message, absent.span, "needed here", help=helps)


def require(entry: tree.ConfigEntry, lookup: Lookup, source: str) -> None:
    """E0614 where no alternative of a requirement holds; `Absent` where it asks for a key that is absent."""
    choices = alternatives(entry)
    keys = list(dict.fromkeys(key for choice in choices for key in _subjects(choice)))
    if any(is_absent(choice) for choice in choices) and any(lookup(key) is None for key in keys):
        return
    missing: Absent | None = None
    for choice in choices:
        if is_absent(choice):
            continue
        try:
            value = Keys(lookup).evaluate(choice)
        except Absent as absent:
            missing = missing or absent
            continue
        if isinstance(value, Number) and value.is_bool:
            if value.value:
                return
        elif not any(keys_in(choice)):
            raise not_a_condition(choice, described(value))
    if missing is not None:
        raise missing
    values = ", ".join(f"{key} = {shown(lookup(key))}" for key in dict.fromkeys(keys_in(entry.value)))
    if MODEL_TYPE in keys:
        message = f"{source} is for another kind of model: {MODEL_TYPE} is {shown(lookup(MODEL_TYPE))}"
    else:
        message = f"{source} is for a model that this spec does not describe: {values}"
    raise error("E0614", message, entry.span, "required here")


def _subjects(choice: tree.Expr) -> Iterator[str]:
    """The keys whose absence `absent` speaks of: the one on the left of a comparison, else every key."""
    if isinstance(choice, tree.Chain) and operators_of(choice) & COMPARISONS and key_of(choice.operands[0]) is not None:
        yield from keys_in(choice.operands[0])
    else:
        yield from keys_in(choice)
