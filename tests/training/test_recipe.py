"""Recipes: what a `train` section may say, what settings change, and what is said of mistakes."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from attndsl.api.checking import check_spec
from attndsl.diagnostics import AttnError, Source
from attndsl.elaborate import load, open_spec
from attndsl.objectives import OBJECTIVES, Objective
from attndsl.objectives.choice import choose_objective
from attndsl.optimizers import OPTIMIZERS
from attndsl.recipe.fitting import check_recipe, split_settings
from attndsl.recipe.outlook import cautions, outlook
from attndsl.recipe.ramps import RAMPS
from attndsl.recipe.reading import typed
from attndsl.recipe.recipe import Recipe, read_recipe
from attndsl.recipe.schedules import SCHEDULES
from attndsl.syntax import tree
from attndsl.syntax.parser import parse
from attndsl.values import from_python, hyperparameters_of

SIZES = {"width": 64, "context": 32, "vocab": 100, "norm": "layer_norm"}


def read(body: str) -> Recipe:
    file, problems = parse(Source("t.attn", f"train M {{\n{body}\n}}\n"))
    assert not problems
    (section,) = file.declarations
    assert isinstance(section, tree.Train)
    return read_recipe(section, {name: from_python(value) for name, value in SIZES.items()})


def test_everything_can_be_said() -> None:
    recipe = read("""
      batches = next_token(words, next)
      minimize = nll
      optimizer = adamw(lr=6e-4, betas=[0.9, 0.95], decay=0.1)
      schedule = warmup_cosine(warmup=2000, steps=600000, floor=0.1)
      clip = 0.5
      batch = 2 * 8 + 4 - 4
      accumulate = width // 8
      length = context
      precision = bfloat16
      evaluate = 50
      evaluate_batches = 3
      checkpoint = 10 ^ 2
      tokenizer = bpe(1024)
      steps = 500
      held_out = 1 / 10
      seed = 7
    """)
    assert recipe.objective.roles == {"tokens": "words", "targets": "next"}
    assert recipe.optimizer == OPTIMIZERS["adamw"]({"lr": 6e-4, "betas": (0.9, 0.95), "decay": 0.1})
    assert (recipe.batch, recipe.accumulate, recipe.length, recipe.checkpoint, recipe.held_out) == (16, 8, 32, 100, 0.1)
    assert (recipe.minimize, recipe.precision, recipe.tokenizer, recipe.steps) == ("nll", "bfloat16", "bpe:1024", 500)
    assert recipe.schedule["steps"] == 600000
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_nothing_needs_to_be_said() -> None:
    assert read("").length == 32
    assert read_recipe(None, {}).length == 128
    assert read("").optimizer.name == "adamw"
    assert Recipe.from_json(read("").to_json()) == read("")


def test_the_training_is_as_long_as_its_schedule() -> None:
    assert read("schedule = warmup_cosine(warmup=10, steps=700)").steps == 700
    assert read("schedule = warmup_cosine(warmup=10, steps=700)\nsteps = 50").steps == 50


@pytest.mark.parametrize(
    ("body", "code", "said", "underlined"),
    [
        ("optimiser = adamw()", "E0720", "did you mean `optimizer`?", "optimiser"),
        ("lr = 1e-3", "E0720", "it is an option of the optimizer: `optimizer = adamw(lr=…)`", "lr"),
        ("warmup = 10", "E0720", "it is an option of the schedule: `schedule = ", "warmup"),
        ("optimizer = adanw(lr=1)", "E0720", "did you mean `adamw`?", "adanw(lr=1)"),
        ("optimizer = adamw(rate=1)", "E0720", "lr, betas, eps, decay", "1"),
        ("optimizer = adamw(1e-3)", "E0721", "lr, betas, eps, decay", "1e-3"),
        ("optimizer = 3", "E0721", "adamw, adam, sgd, adafactor, lion", "3"),
        ("optimizer = adamw(lr=-1)", "E0721", "at least 0", "-1"),
        ("optimizer = adamw(betas=0.9)", "E0721", "a pair of numbers", "0.9"),
        ("optimizer = adamw(betas=[0.9, 1])", "E0721", "a pair of numbers", "[0.9, 1]"),
        ("schedule = warmup_cosin()", "E0720", "did you mean `warmup_cosine`?", "warmup_cosin()"),
        ("schedule = noam()", "E0721", "noam(width=width, …)", "noam()"),
        ("batch = 0", "E0721", "from 1 to 1,000,000", "0"),
        ("length = 0", "E0721", "a whole number from 1", "0"),
        ("batch = 1.5", "E0721", "a whole number", "1.5"),
        ("batch = true", "E0721", "a whole number", "true"),
        ("batch = widht", "E0721", "a whole number", "widht"),
        ("precision = bfloat", "E0721", "did you mean `bfloat16`?", "bfloat"),
        ("held_out = 1", "E0721", "from 0 to 0.5", "1"),
        ("clip = 1 / 0", "E0405", "", "1 / 0"),
        ("clip = norm + 1", "E0104", "hyperparameter", "norm"),
        ("clip = 10 ^ 10000", "E0405", "", "10 ^ 10000"),
        (
            "batches = next_tokens(tokens, targets)",
            "E0720",
            "did you mean `next_token`?",
            "next_tokens(tokens, targets)",
        ),
        ("batches = next_token(tokens)", "E0721", "next_token(tokens, targets)", "next_token(tokens)"),
        ("tokenizer = 7", "E0721", "bpe(1024)", "7"),
        ("tokenizer = bpe(many)", "E0721", "bpe(1024)", "bpe(many)"),
        ("seed = 1\nseed = 2", "E0107", "", "seed"),
        ("scheduled = linear(end=0.5)", "E0721", "inputs(rate=linear(start=1, end=0.25))", "linear(end=0.5)"),
        ("scheduled = inputs(linear())", "E0721", "inputs(rate=", "inputs(linear())"),
        ("scheduled = inputs(rate=linaer())", "E0720", "did you mean `linear`?", "linaer()"),
        ("scheduled = inputs(rate=linear(0.5))", "E0721", "start, end, steps", "0.5"),
        ("scheduled = inputs(rate=linear(until=0.5))", "E0720", "start, end, steps", "0.5"),
        ("scheduled = inputs(rate=exponential(base=2))", "E0721", "from 0 to 1", "2"),
        ("scheduled = inputs(rate=constant())", "E0721", "constant(value=value, …)", "constant()"),
        ("scheduled = inputs(rate=linear(), rate=cosine())", "E0107", "leave one of them out", "rate"),
        ("scheduled = inputs(rate=true)", "E0721", "linear, cosine, exponential, inverse_sigmoid, constant", "true"),
    ],
)
def test_mistakes(body: str, code: str, said: str, underlined: str) -> None:
    with pytest.raises(AttnError) as problem:
        read(body)
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == code
    assert said in " ".join(diagnostic.helps)
    assert diagnostic.primary is not None
    assert diagnostic.primary.span.text == underlined


def test_two_mistakes_are_two_errors() -> None:
    with pytest.raises(AttnError) as problem:
        read("batch = 0\nclip = 1\nlenght = 3")
    assert [d.code for d in problem.value.diagnostics] == ["E0721", "E0720"]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"batch": "4"}, {"batch": 4}),
        ({"batch": 4.0}, {"batch": 4}),
        ({"train.batch": "4"}, {"batch": 4}),
        ({"precision": "float16"}, {"precision": "float16"}),
        ({"tokenizer": "bpe:512"}, {"tokenizer": "bpe:512"}),
        ({"tokenizer": "bpe(512)"}, {"tokenizer": "bpe:512"}),
        ({"tokenizer": "some/tokenizer.json"}, {"tokenizer": "some/tokenizer.json"}),
        ({"seed": "1_000"}, {"seed": 1000}),
        (
            {"batches": "next_token(a, b)"},
            {"objective": choose_objective("next_token", {"tokens": "a", "targets": "b"}, {})},
        ),
    ],
)
def test_settings_replace(settings: dict[str, object], expected: dict[str, object]) -> None:
    changed = read("").override(settings)
    assert {name: getattr(changed, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("settings", "owner", "name", "value"),
    [
        ({"lr": "1e-3"}, "optimizer", "lr", 1e-3),
        ({"optimizer.lr": 2e-3}, "optimizer", "lr", 2e-3),
        ({"betas": "[0.8, 0.9]"}, "optimizer", "betas", (0.8, 0.9)),
        ({"optimizer": "sgd"}, "optimizer", "momentum", 0.9),
        ({"optimizer": "sgd(momentum=0.5, nesterov=true)"}, "optimizer", "momentum", 0.5),
        ({"warmup": "7"}, "schedule", "warmup", 7),
        ({"schedule": "warmup_linear", "floor": "0.2"}, "schedule", "floor", 0.2),
    ],
)
def test_options_replace(settings: dict[str, object], owner: str, name: str, value: object) -> None:
    assert getattr(read("").override(settings), owner)[name] == value


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"bach": "4"}, "E0720"),
        ({"batch": "four"}, "E0721"),
        ({"length": "0"}, "E0721"),
        ({"length": 0}, "E0721"),
        ({"optimizer": "leon"}, "E0720"),
        ({"optimizer.momentum": "1"}, "E0720"),
        ({"schedule": "warmup_cosine("}, "E0001"),
        ({"lr": "nan"}, "E0721"),
        ({"lr": "inf"}, "E0721"),
    ],
)
def test_wrong_settings(settings: dict[str, object], code: str) -> None:
    with pytest.raises(AttnError) as problem:
        read("").override(settings)
    found = problem.value.diagnostics[0].code
    assert found[:3] == code[:3] if code == "E0001" else found == code


def test_a_shorter_training_takes_its_schedule_along() -> None:
    recipe = read("schedule = warmup_cosine(warmup=2000, steps=600000)")
    short = recipe.override({"steps": "100"})
    assert (short.steps, short.schedule["warmup"]) == (100, 10)
    assert short.rate(99) < 0.15 * short.rate(20)
    kept = recipe.override({"steps": "100", "warmup": "50", "schedule.steps": "1000"})
    assert (kept.schedule["warmup"], kept.schedule["steps"]) == (50, 1000)


@pytest.mark.parametrize(
    ("kind", "options", "step", "expected"),
    [
        ("constant", {}, 0, 1.0),
        ("constant", {"warmup": 4}, 0, 0.25),
        ("constant", {"warmup": 4}, 900, 1.0),
        ("warmup_cosine", {"warmup": 10, "steps": 110}, 0, 0.1),
        ("warmup_cosine", {"warmup": 10, "steps": 110}, 9, 1.0),
        ("warmup_cosine", {"warmup": 10, "steps": 110, "floor": 0.2}, 60, 0.6),
        ("warmup_cosine", {"warmup": 10, "steps": 110, "floor": 0.2}, 500, 0.2),
        ("warmup_linear", {"warmup": 0, "steps": 100}, 25, 0.75),
        ("warmup_linear", {"warmup": 0, "floor": 0.5}, 25, 0.875),
        ("noam", {"width": 16, "warmup": 4}, 3, 0.25 * 0.5),
        ("noam", {"width": 16, "warmup": 4}, 1, 0.25 * 2 / 8),
        ("noam", {"width": 16, "warmup": 4}, 15, 0.25 * 0.25),
        ("inverse_root", {"hold": 25}, 24, 1.0),
        ("inverse_root", {"hold": 25}, 99, 0.5),
        ("inverse_root", {"hold": 25, "warmup": 10}, 0, 0.1),
    ],
)
def test_schedules(kind: str, options: dict[str, object], step: int, expected: float) -> None:
    assert SCHEDULES[kind](options).share(step, 100) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("kind", "options", "step", "expected"),
    [
        ("constant", {"value": 0.3}, 7, 0.3),
        ("linear", {}, 0, 1.0),
        ("linear", {}, 99, 0.0),
        ("linear", {"start": 0.5, "end": 0.1, "steps": 40}, 10, 0.4),
        ("linear", {"start": 0, "end": 2, "steps": 40}, 90, 2.0),
        ("exponential", {"base": 0.5}, 3, 0.125),
        ("exponential", {"base": 0.5, "start": 0, "end": 1}, 1, 0.5),
        ("exponential", {"base": 0}, 0, 1.0),
        ("cosine", {"start": 1, "end": 0.5, "steps": 8}, 0, 1.0),
        ("cosine", {"start": 1, "end": 0.5, "steps": 8}, 2, 0.75 + 0.25 * math.cos(math.pi / 4)),
        ("cosine", {"start": 0, "end": 6, "steps": 8}, 4, 3.0),
        ("cosine", {"start": 0, "end": 6, "steps": 8}, 90, 6.0),
        ("inverse_sigmoid", {"k": 10}, 0, 10 / 11),
        ("inverse_sigmoid", {"k": 10}, 23, 10 / (10 + math.exp(2.3))),
        ("inverse_sigmoid", {"k": 1, "end": 0.25}, 100_000, 0.25),
    ],
)
def test_ramps(kind: str, options: dict[str, object], step: int, expected: float) -> None:
    assert RAMPS[kind](options).value(step, 100) == pytest.approx(expected)


def test_scheduled_inputs_are_read_set_and_kept() -> None:
    recipe = read("scheduled = inputs(rate=linear(end=0.5, steps=10), share=0.25)")
    assert recipe.quantities(5) == {"rate": 0.75, "share": 0.25}
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    changed = recipe.override({"scheduled.rate.end": "0", "scheduled.share": "exponential(base=1/2)"})
    assert changed.quantities(5) == {"rate": 0.5, "share": 0.5**5}
    assert recipe.override({"scheduled.rate": "0.1", "scheduled.new": 3}).quantities(0) == {
        "rate": 0.1, "share": 0.25, "new": 3.0,
    }  # fmt: skip
    assert recipe.override({"scheduled": "inputs(other=linear())"}).quantities(0) == {"other": 1.0}
    assert read("").override({"steps": 3, "scheduled.rate": "linear()"}).quantities(1) == {"rate": 0.5}
    for name, value in (("scheduled.other.end", "1"), ("scheduled.rate.until", "1"), ("scheduled.rate", "lin()")):
        with pytest.raises(AttnError) as raised:
            recipe.override({name: value})
        assert raised.value.diagnostics[0].code == "E0720"


def test_settings_of_the_model_and_of_the_training_are_told_apart() -> None:
    settings = {
        "width": "8",
        "length": "3",
        "lr": "1",
        "train.seed": "2",
        "optimizer.decay": "0",
        "depht": "3",
        "bach": "3",
    }
    model, training = split_settings(settings, {"width": 64, "depth": 2})
    assert model == {"width": "8", "depht": "3"}
    assert set(training) == {"length", "lr", "train.seed", "optimizer.decay", "bach"}
    assert split_settings({"length": "3"}, {"length": 9}) == ({"length": "3"}, {})


@pytest.mark.parametrize(
    ("settings", "code", "said"),
    [
        ({"batches": "next_token(token, targets)"}, "E0722", "did you mean `tokens`?"),
        ({"minimize": "los"}, "E0722", "did you mean `loss`?"),
        ({"minimize": "logits"}, "E0722", "mean"),
        ({"length": "17"}, "E0211", ""),
    ],
)
def test_a_recipe_must_fit_the_model(spec: str, settings: dict[str, object], code: str, said: str) -> None:
    graph = load(spec)
    check_recipe(read_recipe(None, hyperparameters_of(graph)), graph)
    with pytest.raises(AttnError) as problem:
        check_recipe(read_recipe(None, hyperparameters_of(graph)).override(settings), graph)
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == code
    assert said in " ".join(diagnostic.helps)


def test_a_recipe_that_is_too_long_is_named() -> None:
    spec = open_spec("deepseek_v3")
    with pytest.raises(AttnError) as problem:
        check_spec(spec, {"context": "8"})
    (diagnostic,) = problem.value.diagnostics
    assert [label.span.text for label in diagnostic.secondary] == ["4096"]


def test_inputs_that_text_cannot_fill(tmp_path: Path) -> None:
    path = tmp_path / "m.attn"
    path.write_text("""
model M(vocab=9, width=4) {
  input tokens: int[B, T] where tokens < vocab
  input targets: int[B, T]
  input scale: float[B]
  layer e = embedding(vocab, width)
  output loss = cross_entropy(e(tokens) |> dot(e.table, over=width), targets, over=vocab) * mean(scale, over=B)
}
""")
    with pytest.raises(AttnError) as problem:
        check_recipe(read_recipe(None, {}), load(str(path)))
    assert "`scale` must be given" in problem.value.diagnostics[0].message


ROLES_OF = "batches = masked_tokens(words, said, valid=there, share=0.2, whole_words=true)"


def test_an_objective_with_roles_and_options() -> None:
    recipe = read(f'{ROLES_OF}\nspecial = tokens(mask="<m>", pad="<p>", sentinels=3)\nfreeze = "a.*" | "b"')
    assert recipe.objective.roles == {"tokens": "words", "targets": "said", "valid": "there"}
    assert recipe.objective.options == {"share": 0.2, "mask": 0.8, "random": 0.1, "whole_words": True}
    assert recipe.special.to_json() == {"mask": "<m>", "pad": "<p>", "sentinels": 3}
    assert recipe.freeze == ("a.*", "b")
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    changed = recipe.override({
        "batches.share": "0.3", "batches.whole_words": "false", "batches.valid": "ok", "special.mask": "[M]",
        "special.sentinels": "7", "freeze": "c.*", "tokenizer": "wordpiece(900, lower=true)",
    })  # fmt: skip
    assert changed.objective.options == {"share": 0.3, "mask": 0.8, "random": 0.1, "whole_words": False}
    assert changed.objective.roles["valid"] == "ok"
    assert changed.special.to_json() == {"mask": "[M]", "pad": "<p>", "sentinels": 7}
    assert changed.freeze == ("c.*",)
    assert changed.tokenizer == "wordpiece:900:lower"
    assert recipe.override({"freeze": '"a.*" | b.*'}).freeze == ("a.*", "b.*")
    assert recipe.override({"freeze": "none"}).freeze == ()


def test_columns_are_words() -> None:
    recipe = read('batches = classify(tokens, label, text="the review", pair=none, label=stars)')
    assert (recipe.objective.column("text"), recipe.objective.column("pair")) == ("the review", None)
    assert recipe.override({"batches.pair": "other", "batches.label": "10"}).objective.column("label") == "10"


@pytest.mark.parametrize(
    ("body", "code", "said", "underlined"),
    [
        ("batches = classify(tokens)", "E0721", "classify(tokens, label)", "classify(tokens)"),
        ("batches = classify(a, b, c)", "E0721", "given by name: valid", "c"),
        ("batches = classify(a, b, txt=c)", "E0720", "did you mean `text`?", "c"),
        ("batches = classify(a, b, tokens=c)", "E0721", "once", "c"),
        ("batches = masked_tokens(a, b, share=0)", "E0721", "a number from", "0"),
        ("batches = masked_tokens(a, b, whole_words=1)", "E0721", "true or false", "1"),
        ('special = tokens(padding="x")', "E0720", "did you mean `pad`?", '"x"'),
        ('special = token(pad="x")', "E0721", "tokens(pad=", 'token(pad="x")'),
        ("special = tokens(sentinels=many)", "E0721", "sentinels=100", "many"),
        ("special = tokens(pad=3)", "E0721", 'pad="<pad>"', "3"),
        ("freeze = 3", "E0721", "a string or several", "3"),
    ],
)
def test_mistakes_in_an_objective(body: str, code: str, said: str, underlined: str) -> None:
    test_mistakes(body, code, said, underlined)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("3", 3), ("1_000", 1000), ("1e-3", 1e-3), ("-1", -1), ("true", True), ("8 * 4", 32), ("3 / 1000", 0.003),
        ("0.9, 0.95", (0.9, 0.95)), ("[0.9, 0.95]", [0.9, 0.95]), ("1 - 0.1, 1 / 2", (0.9, 0.5)),
        ("a", "a"), ("a.*", "a.*"), ("", ""), ("path/to a", "path/to a"), ('"3"', '"3"'), ("3) (", "3) ("),
    ],
)  # fmt: skip
def test_what_is_typed_in_a_terminal_is_read_as_the_language(text: str, expected: object) -> None:
    assert typed(text) == expected


def test_what_is_typed_and_cannot_be_computed_is_told() -> None:
    with pytest.raises(AttnError) as raised:
        typed("1 / 0")
    assert [d.code for d in raised.value.diagnostics] == ["E0405"]


@pytest.mark.parametrize("registry", [OBJECTIVES, OPTIMIZERS, SCHEDULES, RAMPS], ids=lambda registry: registry.what)
def test_every_kind_is_known_by_its_own_name(registry: Any) -> None:
    for name, kind in registry.items():
        assert kind.name == name
        assert kind.doc, f"{name} says nothing of itself"
        assert all(option.doc for option in kind.options.values())
        assert not getattr(kind, "__abstractmethods__", None)


def test_options_that_may_be_named_alone_are_of_one_owner() -> None:
    owners: dict[str, set[str]] = {}
    for owner, registry in (("optimizer", OPTIMIZERS), ("schedule", SCHEDULES)):
        for kind in registry.values():
            for option in kind.options:
                owners.setdefault(option, set()).add(owner)
    assert [option for option, several in owners.items() if len(several) > 1] == []


def test_every_objective_says_how_its_models_are_used() -> None:
    for name, about in OBJECTIVES.items():
        verb = about.command.format(run="RUN", mask="[MASK]").split()[0]
        assert verb == {"PREDICT": "predict", "EMBED": "embed"}.get(about.use.name, "generate"), name
        if about.use.name == "PREDICT":
            assert about.predictions is not Objective.predictions, name
        if about.use.name == "DRAW":
            assert about.draw is not Objective.draw, name
        assert about.reads_texts() or not about.accepts("a text"), name
        assert about.scored in {None, *(role.name for role in about.required)}, name
        assert about.classes in (None, *(role.name for role in about.required)), name


def test_an_unknown_kind_is_never_another() -> None:
    for name, setting in (("optimizer", "nothing"), ("schedule", "nothing"), ("batches", "nothing(tokens, targets)")):
        with pytest.raises(AttnError) as problem:
            read("").override({name: setting})
        assert problem.value.diagnostics[0].code == "E0720"
        plain = read("").to_json()
        plain[name] = {**plain[name], "kind": "nothing"}
        with pytest.raises(AttnError) as problem:
            Recipe.from_json(plain)
        assert problem.value.diagnostics[0].code == "E0720"


# ---------------------------------------------------------------- learning rates: groups, and what is said of them


def test_groups_are_written_set_and_kept() -> None:
    recipe = Recipe(length=8).override({"rates": 'groups("wte.*", 0.1, "h.*", 3)', "rates.h.0.*": "0"})
    assert recipe.rates == {"wte.*": 0.1, "h.*": 3.0, "h.0.*": 0.0}
    assert recipe.factors(["wte.table", "h.0.w", "h.1.w", "other"]) == {"wte.table": 0.1, "h.0.w": 3.0, "h.1.w": 3.0}
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    for wrong in ("h.*", 'groups("h.*")', 'groups(0.1, "h.*")', 'groups("h.*", -1)', 'groups("h.*", x=1)'):
        with pytest.raises(AttnError, match="E0721"):
            Recipe().override({"rates": wrong})
    with pytest.raises(AttnError, match=r"E0736.*\n.*`wte\.\*`|E0736"):
        recipe.factors(["h.0.w"])


def test_what_the_learning_rate_will_do_is_said() -> None:
    recipe = Recipe().override({"lr": 1e-2, "steps": 200, "warmup": 20, "rates": 'groups("h.*", 0.5)'})
    line, group = outlook(recipe, ["h.0.w", "h.1.w", "x"])
    assert "over 200 steps (adamw, warmup_cosine)" in line
    assert f"{recipe.rate(0):.3g} in the first" in line
    assert "0.01 after a warm-up of 20" in line
    assert f"{recipe.rate(199):.3g} in the last" in line
    drawn = re.search("[▁▂▃▄▅▆▇█]+", line)
    assert drawn is not None
    assert drawn[0].index("█") in (2, 3)
    assert drawn[0][-1] in "▁▂"
    assert group.strip() == "times 0.5 for h.0.w and 1 more"
    for name, chosen in SCHEDULES.items():
        options = {"width": 8} if name == "noam" else {}
        for steps in (1, 2, 10**12):
            assert list(outlook(Recipe(schedule=chosen(options), steps=steps), []))


def test_a_recipe_that_is_cut_short_is_warned_of() -> None:
    long = Recipe().override({"steps": 10_000, "warmup": 2000})
    short = long.override({"steps": 100})
    (said,) = cautions(long, short)
    assert said == "the recipe is for 10,000 steps, and this training has 100: the warm-up of 2,000 steps became 10"
    assert list(cautions(long, long)) == []
    assert list(cautions(long, long.override({"lr": 1}))) == []
    (said,) = cautions(short, short.override({"warmup": 100}))
    assert said.startswith("the training ends in its warm-up")
