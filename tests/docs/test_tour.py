"""What the tour says is so: quotations, commands, mistakes.

After a change of a message or a spec, run this file with `ATTNDSL_GOLDEN=write` and read the difference: what commands
print and what mistakes are told is then written into the page.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from attndsl.api.checking import check
from attndsl.data import examples
from attndsl.diagnostics import AttnError, collected
from attndsl.diagnostics.report import render
from attndsl.elaborate import load, open_spec, shipped
from attndsl.records import replace
from tests.conftest import Finished
from tests.docs import tour
from tests.docs.tour import Command, Mistake, Quotation

GOLDEN = os.environ.get("ATTNDSL_GOLDEN") == "write"
SPECS = {
    "Recurrent language models": "rnn_lm", "Recurrent taggers": "rnn_tagger",
    "Sequence to sequence": "seq2seq",
    "Transformer": "transformer", "ELMo": "elmo", "GPT": "gpt1", "GPT-2": "gpt2", "GPT-3": "gpt3", "BERT": "bert",
    "Transformer-XL": "transformer_xl", "RoBERTa": "roberta", "BART": "bart", "T5": "t5", "ViT": "vit",
    "DALL-E": "dalle", "CLIP": "clip",
    "GPT-NeoX": "gpt_neox", "Llama": "llama", "Mistral": "mistral", "Phi-3": "phi3", "Gemma 3": "gemma3",
    "Mixtral": "mixtral", "DeepSeek-V3": "deepseek_v3",
}  # fmt: skip
CHECKS = [command for command in tour.commands() if command.verb == "check"]
MISTAKES = list(tour.mistakes())
TRAININGS = [command for command in tour.commands() if command.verb != "check"]  # and what uses what they train


def source(spec: str) -> str:
    return shipped()[spec].read_text(encoding="utf-8")


def told(mistake: Mistake) -> str:
    """What is said of a mistake. Writes `my.attn`."""
    Path(tour.FILE).write_text(source(mistake.spec).replace(mistake.right, mistake.wrong), encoding="utf-8")
    with collected() as found:
        try:
            check(tour.FILE)
        except AttnError as raised:
            found.extend(raised.diagnostics)
    return render(found, color=False).strip("\n") + "\n"


if GOLDEN:

    def test_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attndsl: Callable[..., Finished]) -> None:
        monkeypatch.chdir(tmp_path)
        text = tour.page()
        for mistake in reversed(MISTAKES):
            text = text[: mistake.message.start] + told(mistake) + text[mistake.message.end :]
        lines = []
        checks = iter(CHECKS)
        for line in text.splitlines():
            if not re.match(r"\S+: ok · ", line):
                lines.append(line)
            if line.startswith("$ attndsl check "):
                done = attndsl(*next(checks).arguments)
                assert done.code == 0, done.err
                lines += done.out.splitlines()
        tour.PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def test_every_family_has_a_section_with_all_its_parts() -> None:
    sections = tour.sections()
    assert list(sections) == list(SPECS)
    for name, spec in SPECS.items():
        text = sections[name]
        assert f"]({spec}.svg)" in text
        assert f"```attn quote {spec}\n" in text
        assert text.count("```attn instead") == text.count("```text error") == 1
        checked = {re.split(r"[ :]", found)[0] for found in re.findall(r"^\$ attndsl check (.*)$", text, re.MULTILINE)}
        assert checked == {spec}
        assert len(re.findall(r"^\$ attndsl check .* --set ", text, re.MULTILINE)) >= 2
        trained = open_spec(spec).train is not None or bool(open_spec(spec).trained_variants)
        assert bool(re.search(r"^\$ attndsl train ", text, re.MULTILINE)) == trained


def test_every_shipped_family_is_there() -> None:
    assert set(SPECS.values()) == set(shipped()) - {"gpt_nano", "dvae"}  # the latter in DALL-E's section


@pytest.mark.parametrize("quotation", list(tour.quotations()), ids=str)
def test_what_is_quoted_stands_in_the_spec(quotation: Quotation) -> None:
    assert quotation.text in source(quotation.spec)


@pytest.mark.parametrize("command", CHECKS, ids=str)
def test_a_command_prints_what_stands_below_it(command: Command, attndsl: Callable[..., Finished]) -> None:
    done = attndsl(*command.arguments)
    assert (done.code, done.out) == (0, command.printed)


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_is_told(mistake: Mistake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert source(mistake.spec).count(mistake.right) == 1
    assert told(mistake) == mistake.message.text


def test_an_ablation_changes_one_thing() -> None:
    assert all(command.arguments.count("--set") <= 1 for command in CHECKS)


@pytest.mark.torch
@pytest.mark.slow
def test_what_trains_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attndsl: Callable[..., Finished]) -> None:
    """One command after the other, as they stand, since some begin from the weights of others or use them; two steps of
    each training, on a fortieth of the sources, for which ten tokenizers are made, and a tenth of the records."""
    some = examples.sources()[::40]
    monkeypatch.setattr(examples, "sources", lambda: some)
    fewer = {name: replace(example, rows=example.rows // 10) for name, example in examples.EXAMPLES.items()}
    monkeypatch.setattr(examples, "EXAMPLES", fewer)
    monkeypatch.chdir(tmp_path)
    for command in TRAININGS:
        arguments = list(command.arguments)
        if command.verb != "train":
            done = attndsl(*arguments)
            assert (done.code, done.out) == (0, command.printed), f"{command}\n{done.err}"
            continue
        if "--steps" in arguments:
            del arguments[arguments.index("--steps") :][:2]
        done = attndsl(*arguments, "--steps", "2", "--set", "evaluate_batches=1")
        assert done.code == 0, f"{command}\n{done.err}"
        assert re.search(r"^on held-out data:$", done.out, re.MULTILINE), command
    assert len(list(tmp_path.glob("runs/*/weights.safetensors"))) == len(
        [command for command in TRAININGS if command.verb == "train"]
    )


# ---------------------------------------------------------------- what is said in words


def test_what_is_said_of_t5() -> None:
    """No bias, no shift; one table of distances for a stack."""
    addresses = [info.address for info in load("t5").parameters]
    assert not [a for a in addresses if a.endswith((".bias", ".shift"))]
    assert [a for a in addresses if ".near." in a] == ["encoder.near.table", "decoder.near.table"]


def test_what_is_said_of_vit() -> None:
    graph = load("vit")
    assert (graph.hyperparameters["size"] // graph.hyperparameters["patch"]) ** 2 == 196
    assert "mask=" not in source("vit")


def test_the_norms_stand_where_the_table_says() -> None:
    """Before a sublayer `… |> norm as …`, behind it `x = norm(x) as …`."""
    rows = re.findall(r"^\| \[(.+?)\]\(#.+?\) \| .+? \| (\w+)", tour.page(), re.MULTILINE)
    assert [name for name, _ in rows] == list(SPECS)
    for name, place in rows:
        bodies = re.split(r"(?<!unrolled )\brepeat ", source(SPECS[name]), maxsplit=1)
        text = bodies[-1].partition("\n  }")[0] if len(bodies) > 1 else ""
        before = len(re.findall(r"\|> \w+norm\b", text))
        after = len(re.findall(r"\b(\w) = \w+norm\(\1", text))
        assert not (before and after)
        assert place == ("before" if before else "after" if after else "none"), name
