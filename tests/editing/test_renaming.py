"""Renaming: every place that means the thing and no other, or the reason why not."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from functools import partialmethod
from importlib import util
from pathlib import Path

import pytest

from attndsl.editing import Analysis, Refused, Workspace, rename, renamed_at
from attndsl.editing.substitution import Substitution
from attndsl.shipped import SHIPPED

_spec = util.spec_from_file_location("marked", Path(__file__).with_name("marked.py"))
assert _spec is not None and _spec.loader is not None  # noqa: PT018
marked = util.module_from_spec(_spec)
_spec.loader.exec_module(marked)


def renamed(text: str, offset: int, name: str) -> str:
    """The text after the edits."""
    workspace = Workspace()
    workspace.write(marked.PATH, text)
    for edit in reversed(rename(workspace, marked.PATH, offset, name)):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


@pytest.mark.parametrize(
    ("old", "new", "name", "lines"),
    [
        ("wide(4)", "wi‸de(4)", "broad", {9, 15}),
        ("depth=2", "de‸pth=2", "layers", {2, 6, 20}),
        ("x = wte", "‸x = wte", "stream", {5, 7, 9, 11}),  # and not the `x` of the block
        ("wte = ", "w‸te = ", "tok", {4, 5, 11}),
        ("model M(", "model ‸M(", "Model", {2, 20, 22}),
        ("M:small", "M:sm‸all", "tiny", {20}),
        ("wide(factor)", "wide(fac‸tor)", "times", {15, 16}),
        ("input tokens", "input tok‸ens", "ids", {3, 5, 23}),
        ("[*, D])", "[*, ‸D])", "E", {15, 16, 17}),
    ],
)
def test_all_places_that_mean_it_change(old: str, new: str, name: str, lines: set[int]) -> None:
    text, offset = marked.model_with(old, new)
    after = renamed(text, offset, name)
    changed = {n for n, (a, b) in enumerate(zip(text.splitlines(), after.splitlines(), strict=True), 1) if a != b}
    assert changed == lines


@pytest.mark.parametrize(
    ("old", "new", "name", "why"),
    [
        ("attention(heads", "att‸ention(heads", "attend", "declared in std/attention.attn"),
        ("x = wte", "‸x = wte", "tokens", "`M` has a `tokens` already"),
        ("y = linear", "‸y = linear", "if", "`if` is not a name"),
        ("y = linear", "‸y = linear", "2y", "`2y` is not a name"),
        ("depth=2", "depth=‸2", "n", "nothing here that has a name"),
    ],
)
def test_what_cannot_be_called_so_is_refused(old: str, new: str, name: str, why: str) -> None:
    text, offset = marked.model_with(old, new)
    with pytest.raises(Refused, match=why):
        renamed(text, offset, name)


def test_files_beside_it_that_import_a_block_are_edited_too(tmp_path: Path) -> None:
    texts = {
        "lib.attn": "block twice()(x: [*]) -> [*] {\n  return 2 * x\n}\n",
        "all.attn": 'use "lib.attn"\nmodel M() {\n  input x: [B]\n  output y = x |> twice\n}\n',
        "one.attn": 'use "lib.attn": twice\nmodel M() {\n  input x: [B]\n  output y = twice(x)\n}\n',
        "as.attn": 'use "lib.attn": twice as double\nmodel M() {\n  input x: [B]\n  output y = double(x)\n}\n',
        "own.attn": "block twice()(x: [*]) -> [*] {\n  return 2 * x\n}\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    workspace = Workspace()
    workspace.write(tmp_path / "lib.attn", texts["lib.attn"])
    edits = rename(workspace, tmp_path / "lib.attn", texts["lib.attn"].index("twice"), "thrice")
    for edit in sorted(edits, key=lambda it: -it.start):
        name = edit.path.name
        texts[name] = texts[name][: edit.start] + edit.text + texts[name][edit.end :]
    assert [name for name, text in texts.items() if "twice" in text] == ["own.attn"]
    for name in ("all.attn", "one.attn"):
        workspace.write(tmp_path / name, texts[name])
        workspace.write(tmp_path / "lib.attn", texts["lib.attn"])
        assert workspace.analysis(tmp_path / name).diagnostics == ()


@pytest.mark.parametrize(("name", "new"), [("heads", "n_heads"), ("wte", "tokens_table"), ("ln_f", "last_norm")])
def test_a_hyperparameter_or_layer_is_renamed_in_all_sections_of_its_model(name: str, new: str) -> None:
    text = SHIPPED.joinpath("specs", "gpt2.attn").read_text(encoding="utf-8")
    after = renamed(text, text.index(f"layer {name}") + 6 if name == "wte" else text.index(name), new)
    quoted_or_told = text.count(f'"{name}') + text.count(f"of {name}")  # published names, a comment
    assert after.count(new) == text.count(name) - quoted_or_told


def test_what_would_say_something_else_is_refused() -> None:
    """The text of a published name, `"{norm in [ln_1, ln_2]}."`, names the layer too, and no edit reaches it."""
    text = SHIPPED.joinpath("specs", "gpt2.attn").read_text(encoding="utf-8")
    with pytest.raises(Refused, match=r"would not mean the same: .*ln_1"):
        renamed(text, text.index("as ln_1") + 3, "first_norm")


def _thousand_lines() -> str:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "editor.py"
    spec = util.spec_from_file_location("editor", path)
    assert spec is not None and spec.loader is not None  # noqa: PT018
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return str(module.text_of(module.LINES))


def outcome(workspace: Workspace, offset: int, name: str) -> object:
    try:
        return rename(workspace, marked.PATH, offset, name)
    except Refused as reason:
        return str(reason)


SAMPLES = 12
NAMES = ("T", "heads", "attention", "mean", "_unread", "S", "norm", "head", "context", "again", "attn_heads", "loss")


def test_what_is_seen_from_names_alone_is_what_checking_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a name is, and whatever it is to be called: also in a text with the library's blocks as its own."""
    rng, own = random.Random(5), Substitution.keeps_the_meaning
    specs = ("gpt2", "mistral", "clip", "rnn_tagger")
    texts = [SHIPPED.joinpath("specs", f"{name}.attn").read_text(encoding="utf-8") for name in specs]
    library = _thousand_lines()
    texts += [marked.MODEL, library[: library.index("\n}\n", 20_000)] + "\n}\n"]
    decided = 0
    for text in texts:
        workspace = Workspace()
        workspace.write(marked.PATH, text)
        analysis = workspace.analysis(marked.PATH)
        places = [found.start() for found in re.finditer(r"\b[A-Za-z_]\w*", text)]
        for at in rng.sample([at for at in places if _can_be_renamed(analysis, at)], SAMPLES):
            name = rng.choice(("quite_another", rng.choice(NAMES)))
            answers: list[bool] = []
            with monkeypatch.context() as patch:
                patch.setattr(Substitution, "keeps_the_meaning", partialmethod(noting, own, answers))
                found = outcome(workspace, at, name)
            if any(answers):
                decided += 1
                with monkeypatch.context() as patch:
                    patch.setattr(Substitution, "keeps_the_meaning", lambda it: False)
                    assert found == outcome(workspace, at, name), (name, text[at - 60 : at + 30])
    assert decided > len(texts) * SAMPLES / 4


def noting(it: Substitution, own: Callable[[Substitution], bool], answers: list[bool]) -> bool:
    answers.append(own(it))
    return answers[-1]


def _can_be_renamed(analysis: Analysis, at: int) -> bool:
    try:
        return renamed_at(analysis, at) is not None
    except Refused:
        return False


def test_a_word_of_a_recipe_stays_what_it_is() -> None:
    text = SHIPPED.joinpath("specs", "rnn_tagger.attn").read_text(encoding="utf-8")
    after = renamed(text, text.index("tokens: int"), "words_read")
    assert "tag(words_read, targets" in after
    assert "special   = tokens(" in after
