"""docs/coming-from.md: the compiler answers what the page says, what is to be written is right, and no habit lacks."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.habits import table
from tests.project.test_docs import script

PAGE: ModuleType = script("habits_page")
TEXT = PAGE.PAGE.read_text(encoding="utf-8")
LIBRARIES = ("PyTorch", "NumPy", "JAX and Flax", "einops")
ROWS = re.findall(r"^\| `(.+?)` \| (.*) \|$", TEXT.partition("<!-- names")[0], re.MULTILINE)


def test_the_page_is_what_the_compiler_answers() -> None:
    assert PAGE.page() == TEXT, "run `python scripts/habits_page.py`"


@pytest.mark.parametrize(("written", "here"), ROWS, ids=[written for written, _ in ROWS])
def test_what_is_to_be_written_is_right(written: str, here: str) -> None:
    code = re.fullmatch(r"`(.+)`", here)
    if code is None:  # a sentence: nothing is to be written
        assert (
            "leave it out" in here or "refer to a layer or a value by its name" in here or here.startswith("declare it")
        )
        return
    statement = re.sub(r"\{ … \}", "{\n x += 1\n }", PAGE.unescaped(code[1]))
    elaborate(open_text(PAGE.in_frame(TEXT, statement)), {})


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_library_has_a_dozen_habits(library: str) -> None:
    section = TEXT.partition(f"\n## {library}\n")[2].partition("\n## ")[0]
    assert len(re.findall(r"^\| `", section, re.MULTILINE)) >= 12


def test_every_habit_is_on_the_page() -> None:
    written = " ".join(left for left, _ in ROWS)
    words = set(re.findall(r"\w+", written))
    assert sorted(table.CALLS.keys() - words) == []
    assert sorted(table.NAMES.keys() - words) == []
    assert {word for word in table.MODULES if re.search(rf"\b{word}\.", written)} >= {
        "torch",
        "np",
        "jnp",
        "jax",
        "nn",
        "F",
    }


@pytest.mark.parametrize("word", [word for word in table.STATEMENTS if word not in ("@", "lambda")])
def test_a_word_of_another_language_is_answered_with_what_is_written_here(word: str) -> None:
    with pytest.raises(AttnError) as caught:
        elaborate(open_text(PAGE.frame(TEXT).replace("…", f"{word} name")), {})
    (diagnostic,) = caught.value.diagnostics
    start = table.STATEMENTS[word].partition("{")[0]
    assert any(help.startswith(start) for help in diagnostic.helps), diagnostic


@pytest.mark.parametrize("mark", table.MARKS)
def test_a_mark_is_answered_with_what_is_written_here(mark: str) -> None:
    with pytest.raises(AttnError) as caught:
        elaborate(open_text(PAGE.frame(TEXT).replace("…", f"y = x {mark} x")), {})
    helps = [help for diagnostic in caught.value.diagnostics for help in diagnostic.helps]
    assert any(f"write `{table.MARKS[mark]}`" in help for help in helps), helps


@pytest.mark.parametrize("word", table.WORDS)
def test_an_operator_that_is_a_word_is_answered(word: str) -> None:
    with pytest.raises(AttnError) as caught:
        elaborate(open_text(PAGE.frame(TEXT).replace("…", f"y = x {word} x")), {})
    assert caught.value.diagnostics[0].helps == (f"write `{table.WORDS[word]}`",)


@pytest.mark.parametrize("dtype", table.DTYPES)
def test_a_type_of_elements_is_answered(dtype: str) -> None:
    with pytest.raises(AttnError) as caught:
        elaborate(open_text(PAGE.frame(TEXT).replace("…", f"y: {dtype}[B, T, width] = x")), {})
    assert caught.value.diagnostics[0].helps == (f"write `{table.DTYPES[dtype]}[B, T, width]`",)


CALLS = {
    "eps": "layer_norm(x, {}=1)", "heads": "attention(x, {}=2)", "kv_heads": "attention(x, 2, {}=2)",
    "head": "attention(x, 2, {}=4)", "mask": "attention(x, 2, {}=causal)", "dropout": "attention(x, 2, {}=p)",
    "act": "mlp(x, 4, {}=gelu)", "hidden": "mlp(x, {}=4)", "out": "linear(x, {}=4)", "size": "conv(x, 4, {}=3)",
    "pad": "conv(x, 4, 3, {}=1)", "bias": "linear(x, 4, {}=false)", "entries": "embedding(tokens, {}=vocab)",
    "width": "embedding(tokens, vocab, {}=width)", "smoothing": "cross_entropy(x, tokens, over=width, {}=0.1)",
    "position": "attention(x, 2, {}=rotary)", "base": "rotary(x, {}=100)", "init": "linear(x, 4, {}=xavier)",
}  # fmt: skip


@pytest.mark.parametrize("argument", table.ARGUMENTS)
def test_the_name_of_an_argument_is_answered(argument: str) -> None:
    here = table.ARGUMENTS[argument]
    with pytest.raises(AttnError) as caught:
        elaborate(open_text(PAGE.frame(TEXT).replace("…", "y = " + CALLS[here].format(argument))), {})
    assert caught.value.diagnostics[0].helps == (f"it is called `{here}` here",)
