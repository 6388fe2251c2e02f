"""The data that a machine has anyway: what they claim to be, and no way to the answer but by learning."""

from __future__ import annotations

import datetime
import os
import re
import shutil
import sys
import sysconfig
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from attndsl.data.columns import Table
from attndsl.data.examples import EXAMPLES, example_files, example_table
from attndsl.data.examples.captions import FORMS as CAPTIONS
from attndsl.data.examples.captions import SHIFTS, WORDS, captions_table, drawn
from attndsl.data.examples.dates import FORMS, dates_table
from attndsl.data.examples.digits import digits_table
from attndsl.data.examples.library import APART, GROUPS, docstrings_table, shortened, sources
from attndsl.data.examples.names import names_table
from attndsl.data.examples.questions import FORMS as QUESTIONS
from attndsl.data.examples.questions import questions_table, sentences_of
from attndsl.data.sources import find_text
from attndsl.data.table import read_table, split_table
from attndsl.diagnostics import AttnError, Diagnostic


def refused(name: str) -> Diagnostic:
    with pytest.raises(AttnError) as problem:
        read_table(name)
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.helps, "no way out is given"
    return diagnostic


# ---------------------------------------------------------------------------------------------- dates


def test_dates_are_written_twenty_ways() -> None:
    assert len(FORMS) == 20
    day = datetime.date(1998, 3, 2)
    assert [form(day) for form in FORMS] == [
        "2 March 1998", "02 Mar 1998", "March 2, 1998", "Mar. 2, 1998", "March 2nd, 1998", "2nd March 1998",
        "the 2nd of March, 1998", "the second of March 1998", "Monday, 2 March 1998", "Mon, 02 Mar 1998",
        "Monday, March 2, 1998", "02.03.1998", "2. 3. 1998", "1998/3/2", "03/02/1998", "2.III.1998", "19980302",
        "02-MAR-1998", "1998 March 2", "day 2 of month 3, 1998",
    ]  # fmt: skip
    nths = [FORMS[5](datetime.date(2000, 1, day)).split()[0] for day in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30, 31)]
    assert nths == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "30th", "31st"]


def test_no_way_of_writing_has_two_readings() -> None:
    # Over all days of two years, one of them a leap year: what is written alike is the same date.
    read: dict[str, datetime.date] = {}
    for number in range(366 + 365):
        day = datetime.date(2024, 1, 1) + datetime.timedelta(days=number)
        for form in FORMS:
            assert read.setdefault(form(day), day) == day
    assert len(read) > 19 * 731


def test_dates_are_as_many_as_asked_for_and_always_the_same() -> None:
    table = example_table("example:dates:3000")
    assert len(table) == 3000
    assert len(set(table.texts("source"))) == 3000
    dates_table.cache_clear()
    assert dates_table(3000).digest == table.digest
    # Runs are resumed on it: other dates here break every run that was begun on them.
    assert table.texts("source")[:2] == ["Tuesday, 25 October 2039", "09-OCT-2099"]
    years = {int(target[:4]) for target in table.texts("target")}
    assert min(years) < 1905
    assert max(years) > 2094
    assert all(datetime.date.fromisoformat(target).isoformat() == target for target in table.texts("target"))


def test_a_date_that_is_held_out_was_never_seen() -> None:
    table = read_table("example:dates")
    assert len(table) == EXAMPLES["dates"].rows == 20_000
    train, held = split_table(table, 0.05)
    assert 1000 <= len(held) <= 1010
    assert not set(train.texts("target")) & set(held.texts("target"))


# ---------------------------------------------------------------------------------------------- the standard library


def test_the_library_is_its_sources_without_tests() -> None:
    found = find_text("example:stdlib")
    names = [document.name for document in found.documents]
    assert {"os.py", "asyncio/tasks.py", "email/mime/text.py"} <= set(names)
    assert not [name for name in names if {"test", "tests", "site-packages"} & set(name.split("/"))]
    assert found.size > 5_000_000
    assert sources() == example_files("example:stdlib")


def test_the_examples_are_the_same_however_this_python_was_packaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, docstrings: Table
) -> None:
    place, names = sysconfig.get_paths()["stdlib"], [name for _, name in sources()]

    def packaged(name: str, *hidden: str, added: str = "") -> str:
        ignored = shutil.ignore_patterns("__pycache__", "test*", "site-packages", "lib-dynload", *hidden)
        shutil.copytree(place, tmp_path / name, copy_function=os.symlink, ignore=ignored)
        if added:
            (tmp_path / name / added).write_text('"""What a distribution adds to the library."""\n')
        return str(tmp_path / name)

    small = packaged("small", *APART, *(f"{name}.py" for name in APART), "config-*", "sitecustomize.py")
    for library in (small, packaged("large", added="_distribution_additions.py")):
        docstrings_table.cache_clear()
        with monkeypatch.context() as patch:
            patch.setattr(sysconfig, "get_paths", lambda library=library: {"stdlib": library})
            assert [name for _, name in sources()] == names
            assert docstrings_table().digest == docstrings.digest
    docstrings_table.cache_clear()


def test_no_group_needs_a_module_that_is_packaged_by_itself() -> None:
    assert not {module for group in GROUPS.values() for module in group.split()} & APART


@pytest.fixture(scope="module")
def docstrings() -> Table:
    return read_table("example:docstrings")


def test_docstrings_are_of_every_group_and_of_no_group_alone(docstrings: Table) -> None:
    counts = Counter(docstrings.columns["label"])
    assert set(counts) == set(GROUPS)
    assert len(docstrings) > 4000
    assert max(counts.values()) / len(docstrings) < 0.3
    assert min(counts.values()) / len(docstrings) > 0.05


def test_docstrings_say_something_and_only_once(docstrings: Table) -> None:
    texts = docstrings.texts("text")
    assert len({" ".join(text.lower().split()) for text in texts}) == len(texts)
    assert all(0 < len(text) <= 300 and "\n" not in text for text in texts)
    assert all(len(text.split()) > 1 for text in texts)
    files = {name: path for path, name in sources()}
    for row in (0, len(docstrings) // 2, len(docstrings) - 1):
        name, _, line = docstrings.place(row).rpartition(":")
        written = files[name].read_text(encoding="utf-8").split("\n")[int(line) - 1 :]
        assert " ".join(" ".join(written).split()).find(texts[row].split()[0]) < 20


def test_no_module_is_in_two_groups() -> None:
    modules = [module for group in GROUPS.values() for module in group.split()]
    assert len(set(modules)) == len(modules)


def test_docstrings_are_shortened_at_a_paragraph_or_a_word() -> None:
    assert shortened("One\n  line.\n\nMore.\n") == "One line. More."
    assert shortened("aaa\n\nbbb\n\nccc", 7) == "aaa bbb"
    assert shortened("aaa bbb ccc", 8) == "aaa bbb"
    assert shortened("aaa bbb", 7) == "aaa bbb"
    assert shortened("a" * 20, 7) == "a" * 7


# ---------------------------------------------------------------------------------------------- questions


def test_the_answer_to_a_question_is_the_sentence_that_names_the_argument() -> None:
    table = read_table("example:questions")
    assert len(table) == EXAMPLES["questions"].rows == 12_000
    assert (
        len({(context, answer) for context, answer in zip(table.columns["group"], table.texts("answer"), strict=True)})
        > 1200
    )
    seen: Counter[str] = Counter()
    rows = zip(*(table.columns[name] for name in ("question", "context", "answer", "start")), strict=True)
    for question, context, answer, start in rows:
        assert context[start : start + len(answer)] == answer
        assert len(answer) < len(context)
        assert context.count(answer) == 1 or len(answer) > 10
        shapes = {form: re.escape(form).replace(r"\{\}", r"(\w+)") for form in QUESTIONS}
        ((form, found),) = [(form, it) for form, shape in shapes.items() if (it := re.fullmatch(shape, question))]
        assert found[1] in answer
        seen[form] += 1
    assert set(seen) == set(QUESTIONS)
    train, held = split_table(table, 0.1)
    assert not set(train.texts("group")) & set(held.texts("group"))
    questions_table.cache_clear()
    assert questions_table(12_000).digest == table.digest


def test_items_of_lists_are_sentences() -> None:
    text = """Read a file.  At most
    limit bytes are read.

    Arguments:
      - path -- where it is
      - mode -- `r`, or `w`.  Else it fails.

    >>> example
    """
    assert sentences_of(text) == [
        "Read a file.", "At most limit bytes are read.", "Arguments:", "- path -- where it is",
        "- mode -- `r`, or `w`.", "Else it fails.",
    ]  # fmt: skip


# ---------------------------------------------------------------------------------------------- digits


def test_digits_are_pictures_with_their_numbers() -> None:
    pytest.importorskip("sklearn")
    table = read_table("example:digits")
    images = table.images("image")
    assert images.shape == (1797, 1, 8, 8)
    assert (images.min(), images.max()) == (0.0, 1.0)
    assert len(np.unique(images)) == 17
    assert table.labels_of("label") == [str(digit) for digit in range(10)]
    _, held = split_table(table, 0.1)
    assert len(held) == 180


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    digits_table.cache_clear()
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    problem = refused("example:digits")
    assert problem.code == "E0708"
    assert "scikit-learn" in problem.helps[0]


# ---------------------------------------------------------------------------------------------- captions


def test_captions_say_what_is_drawn() -> None:
    pytest.importorskip("sklearn")
    assert [form(8, "thick", "left") for form in CAPTIONS] == [
        "a thick eight, shifted left", "a picture of a thick eight shifted left",
        "the digit 8 in thick strokes, moved left", "a handwritten eight, thick, shifted left",
        "this is a thick eight and it is moved left", "number eight, written thick, further left",
    ]  # fmt: skip
    assert CAPTIONS[1](8, "", "") == "a picture of an eight"
    table, digits = read_table("example:captions:4000"), digits_table()
    images, plain = table.images("image"), digits.images("image")
    assert images.shape == (4000, 1, 8, 8)
    assert (images.min(), images.max()) == (0.0, 1.0)
    seen: Counter[str] = Counter()
    for row, caption in enumerate(table.texts("caption")):
        source = table.columns["group"][row]
        digit = int(digits.columns["label"][source])
        assert table.columns["label"][row] == WORDS[digit]
        assert str(digit) in caption or WORDS[digit] in caption
        stroke = next((it for it in ("thick", "thin") if it in caption), "")
        shift = next((it for it in ("left", "right", "up", "down") if it in caption), "")
        seen.update([stroke, f"shift {shift}"])
        down, right = SHIFTS[shift]
        expected = drawn(plain[source][None], stroke)[0, 0]
        assert np.sign(expected.sum() - plain[source].sum()) == {"thick": 1, "": 0, "thin": -1}[stroke]
        there = images[row, 0][max(down, 0) : 8 + min(down, 0), max(right, 0) : 8 + min(right, 0)]
        back = expected[max(-down, 0) : 8 + min(-down, 0), max(-right, 0) : 8 + min(-right, 0)]
        np.testing.assert_array_equal(there, back)
    assert min(seen.values()) > 700
    captions_table.cache_clear()
    assert captions_table(4000).digest == table.digest


def test_a_picture_that_is_held_out_was_never_drawn() -> None:
    pytest.importorskip("sklearn")
    train, held = split_table(read_table("example:captions"), 0.1)
    assert not set(train.columns["group"]) & set(held.columns["group"])
    assert len({*train.columns["group"]} | {*held.columns["group"]}) == 1797
    assert 1190 <= len(held) <= 1215


# ---------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("example:date", "did you mean `dates`?"),
        ("example:nothing", "choose one"),
        ("example:", "choose one"),
        ("example:dates:1", "from 2"),
        ("example:dates:many", "from 2"),
        ("example:dates:", "from 2"),
        ("example:dates:99999999", "500,000"),
        ("example:digits:10", "example:digits"),
        ("example:stdlib", "example:docstrings"),
    ],
)
def test_what_is_no_example(name: str, said: str) -> None:
    problem = refused(name)
    assert problem.code == "E0719"
    assert said in problem.helps[0]
    if "choose" in said:
        assert all(f"`example:{known}`" in problem.notes[0] for known in EXAMPLES)


def test_records_are_no_running_text() -> None:
    with pytest.raises(AttnError) as problem:
        find_text("example:dates")
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "E0719"
    assert "example:stdlib" in diagnostic.helps[0]
    assert isinstance(example_files("example:stdlib")[0][0], Path)


# ---------------------------------------------------------------------------------------------- names


def test_names_are_tagged_by_what_they_are_in_their_statement(tmp_path: Path) -> None:
    from attndsl.data.examples.names import _statements

    file = tmp_path / "some.py"
    file.write_text(
        "import os.path as place\nx.y = f(a, key=b.c(1, 'one'))\nfor i in z: pass\nclass A(B): q = 2\n",
        encoding="utf-8",
    )
    found = {" ".join(words): tags for words, tags in _statements(file)}
    assert found["x . y = f ( a , key = b . c ( 1 , 'one' ) )"] == [
        "read", "operator", "attribute", "operator", "called", "operator", "read", "operator", "argument", "operator",
        "read", "operator", "called", "operator", "number", "operator", "string", "operator", "operator",
    ]  # fmt: skip
    assert found["for i in z : pass"] == ["keyword", "assigned", "keyword", "read", "operator", "keyword"]
    assert found["class A ( B ) : q = 2"][:4] == ["keyword", "defined", "operator", "read"]
    assert found["import os . path as place"][:2] == ["keyword", "module"]


def test_names_are_the_same_each_time_and_hold_out_whole_files() -> None:
    table = names_table(400)
    assert len(table) == 400
    assert len({tuple(words) for words in table.columns["tokens"]}) == 400
    assert all(len(w) == len(t) for w, t in zip(table.columns["tokens"], table.columns["tags"], strict=True))
    assert table.columns == names_table(400).columns
    assert names_table(100).columns["tokens"] == table.columns["tokens"][:100]
