"""Tables: the same rows whatever they were read from, a split that keeps what belongs together, and what is refused."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from attndsl.data.table import Table, read_table, split_table
from attndsl.diagnostics import AttnError, Diagnostic

ROWS = [{"text": "to be", "label": "a"}, {"text": 'or, "not"', "label": "b"}, {"text": "größer\nstill", "label": "a"}]


def lines(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def refused(do: Callable[[], object]) -> Diagnostic:
    with pytest.raises(AttnError) as problem:
        do()
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.helps, "no way out is given"
    return diagnostic


# ---------------------------------------------------------------------------------------------- reading


def forms(folder: Path) -> dict[str, Any]:
    """The same rows in every form."""
    (folder / "a.csv").write_text('\ufefftext,label\nto be,a\n"or, ""not""",b\n\n"größer\nstill",a\n', encoding="utf-8")
    np.savez(folder / "a.npz", **{name: np.array([row[name] for row in ROWS]) for name in ("text", "label")})
    return {
        "jsonl": lines(folder / "a.jsonl", ROWS),
        "csv": str(folder / "a.csv"),
        "npz": folder / "a.npz",
        "dicts": ROWS,
        "generator": (row for row in ROWS),
        "tuples": [(row["text"], row["label"]) for row in ROWS],
        "columns": {"label": [row["label"] for row in ROWS], "text": [row["text"] for row in ROWS]},
        "arrays": {name: np.array([row[name] for row in ROWS]) for name in ("text", "label")},
        "glob": str(folder / "a.j*"),
    }


@pytest.mark.parametrize("form", ["jsonl", "csv", "npz", "dicts", "generator", "tuples", "columns", "arrays", "glob"])
def test_the_same_rows_are_the_same_table(tmp_path: Path, form: str) -> None:
    table = read_table(forms(tmp_path)[form], ("text", "label"))
    assert len(table) == 3
    assert table.texts("text") == [row["text"] for row in ROWS]
    assert table.encode_labels("label", table.labels_of("label")).tolist() == [0, 1, 0]
    assert table.digest == read_table(ROWS).digest
    assert read_table(table) is table


def test_the_digest_knows_every_value_and_the_order() -> None:
    changed = [
        [*ROWS[:2], {"text": "größer\nstill", "label": "b"}],
        ROWS[::-1],
        ROWS[:2],
        [{**r, "x": 1} for r in ROWS],
    ]
    assert len({read_table(rows).digest for rows in [ROWS, *changed]}) == 5
    images = np.zeros((2, 1, 2, 2), np.uint8)
    other = images.copy()
    other[1, 0, 1, 1] = 1
    assert read_table({"image": images}).digest != read_table({"image": other}).digest


def test_between_tabs_quotes_are_text(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text('tokens\ttags\nI say "no\tA B C\n')
    table = read_table(str(tmp_path / "a.tsv"))
    assert table.words("tokens") == [["I", "say", '"no']]
    assert table.labels_of("tags", several=True) == ["A", "B", "C"]


def test_tags_are_lists_or_words(tmp_path: Path) -> None:
    table = read_table(lines(tmp_path / "a.jsonl", [{"tags": ["O", "N"]}, {"tags": "N"}, {"tags": []}]))
    assert table.labels_of("tags", several=True) == ["N", "O"]
    assert [row.tolist() for row in table.encode_labels("tags", ["N", "O"], several=True)] == [[1, 0], [0], []]


def test_files_follow_one_another_and_rows_know_theirs(tmp_path: Path) -> None:
    found = forms(tmp_path)
    rows = [{"label": "b", "extra": 1, "text": "more"}]
    table = read_table([found["csv"], lines(tmp_path / "b.jsonl", rows), str(found["npz"])])
    assert table.texts("text") == [row["text"] for row in [*ROWS, *rows, *ROWS]]
    assert [table.place(row) for row in (0, 2, 3)] == [
        f"{found['csv']}:2", f"{found['csv']}:5", f"{tmp_path / 'b.jsonl'}:1"
    ]  # fmt: skip
    assert table.take([3]).place(0) == table.place(3)
    assert table.place(4) == str(found["npz"])
    problem = refused(lambda: table.require("extra"))
    assert (problem.code, table.place(0) in problem.message) == ("E0711", True)


def test_a_folder_gives_all_its_tables(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "notes.txt").write_text("no table")
    lines(tmp_path / "deep" / "b.jsonl", ROWS[1:])
    lines(tmp_path / "a.jsonl", ROWS[:1])
    assert read_table(str(tmp_path)).texts("text") == [row["text"] for row in ROWS]


def test_pictures_are_scaled_when_they_are_asked_for() -> None:
    bright = np.full((4, 5, 6), 255, np.uint8)
    assert read_table({"image": bright}).images("image").shape == (4, 1, 5, 6)
    assert read_table({"image": bright}).images("image").max() == 1.0
    table = read_table([{"image": np.full((5, 6), 0.25)} for _ in range(3)])
    assert table.images("image").shape == (3, 1, 5, 6)
    assert table.images("image").dtype == np.float32
    assert table.images("image").max() == 0.25
    last = np.zeros((2, 8, 9, 3), np.uint8)
    last[:, :, :, 1] = 51
    found = read_table({"image": last}).images("image")
    assert found.shape == (2, 3, 8, 9)
    assert np.unique(found[:, 1]).tolist() == [np.float32(0.2)]


@pytest.mark.parametrize(
    ("values", "said"),
    [(200.0, "divide them by 255"), (16.0, "divide them by 16"), (np.nan, "repair them"), (np.inf, "repair them")],
)
def test_floats_that_are_no_brightnesses_are_refused(values: float, said: str) -> None:
    """Bytes as floats would be shown to a model hundreds of times too bright, and train to nothing."""
    table = read_table({"image": np.array([[[0.0, values], [0.5, 1.0]]])})
    problem = refused(lambda: table.images("image"))
    assert (problem.code, said in problem.helps[0]) == ("E0716", True)
    centred = np.array([[[-2.0, 2.0]]])
    assert read_table({"image": centred}).images("image").max() == 2.0


def test_numbers_of_numpy_are_labels_wherever_they_stand() -> None:
    rows = [{"label": number} for number in np.array([3, 1, 3])]
    assert read_table(rows).labels_of("label") == ["1", "3"]
    assert read_table(rows).encode_labels("label", ["1", "3"]).tolist() == [1, 0, 1]
    tags = [{"tags": np.array(["A", "B"])}]
    assert read_table(tags).labels_of("tags", several=True) == ["A", "B"]


def test_columns_as_a_tuple_are_told_from_rows() -> None:
    columns = (np.zeros((3, 4, 4)), np.arange(3))
    problem = refused(lambda: read_table(columns, ("image", "label")))
    assert problem.code == "E0712"
    assert problem.notes[0] == "it is an array of the shape [3, 4, 4]"
    assert problem.helps[1] == 'whole columns are a mapping: `{"image": …, "label": …}` with an array for each'


def test_pictures_of_several_sizes_are_refused() -> None:
    table = read_table([{"image": np.zeros((4, size))} for size in (5, 6)])
    problem = refused(lambda: table.images("image"))
    assert problem.code == "E0715"
    assert "[4, 5], [4, 6]" in problem.message


class Frame:
    """As much of a data frame as is looked at."""

    columns = ("text", 7)

    def __getitem__(self, name: object) -> list[object]:
        return ["a", "b"] if name == "text" else [1, 2]

    def to_dict(self) -> None: ...


def test_a_data_frame_is_a_table() -> None:
    table = read_table(Frame())
    assert table.texts("text") == ["a", "b"]
    assert table.labels_of("7") == ["1", "2"]


def test_labels_are_in_order() -> None:
    table = read_table(
        {"n": np.array([10, 9, -1, 10]), "w": ["b", "a", "B", "a"], "m": ["1", "x", "1", "1"], "f": [1.0] * 4}
    )
    assert table.labels_of("n") == ["-1", "9", "10"]
    assert table.labels_of("w") == ["B", "a", "b"]
    assert table.labels_of("m") == ["1", "x"]
    assert table.labels_of("f") == ["1"]
    assert table.encode_labels("n", ["-1", "9", "10"]).tolist() == [2, 1, 0, 2]


# ---------------------------------------------------------------------------------------------- the split


def numbered(count: int) -> Table:
    return read_table([{"text": f"row {n}", "label": n % 3} for n in range(count)])


@pytest.mark.parametrize(
    ("count", "fraction", "held"), [(100, 0.05, 5), (100, 0.0, 0), (3, 0.05, 1), (1, 0.5, 0), (2, 0.9, 1)]
)
def test_so_many_rows_are_held_out(count: int, fraction: float, held: int) -> None:
    train, out = split_table(numbered(count), fraction)
    assert (len(train), len(out)) == (count - held, held)
    assert sorted(train.texts("text") + out.texts("text")) == sorted(numbered(count).texts("text"))


def test_the_split_does_not_depend_on_the_order() -> None:
    table = numbered(200)
    mixed = table.take(np.random.default_rng(0).permutation(200))
    for one, other in zip(split_table(table, 0.1), split_table(mixed, 0.1), strict=True):
        assert set(one.texts("text")) == set(other.texts("text"))
    first, _ = split_table(table, 0.1)
    assert first.texts("text") == sorted(first.texts("text"), key=lambda text: int(text[4:]))


def test_equal_rows_fall_on_one_side() -> None:
    rows = [{"text": f"row {n % 20}"} for n in range(100)]
    train, out = split_table(read_table(rows), 0.3)
    assert not set(train.texts("text")) & set(out.texts("text"))
    assert 30 <= len(out) < 35


def test_a_group_stays_together() -> None:
    rows = [{"text": f"row {n}", "group": n // 10} for n in range(100)]
    train, out = split_table(read_table(rows), 0.25)
    assert len(out) == 30
    assert not set(train.columns["group"]) & set(out.columns["group"])


# ---------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("name", "content", "expected", "said"),
    [
        ("a.jsonl", b'{"a": 1}\nnot json\n', "E0712", "a.jsonl:2 is not JSON"),
        ("a.jsonl", b'{"a": 1}\n\n{"a": \n', "E0712", "a.jsonl:3 is not JSON"),
        ("a.jsonl", b'{"a": 1}\n[1, 2]\n', "E0712", "a.jsonl:2 is not a JSON object"),
        ("a.jsonl", b"[" * 100_000, "E0712", "a.jsonl:1 is not JSON"),
        ("a.jsonl", b"", "E0713", "no rows"),
        ("a.jsonl", b"\n \n", "E0713", "no rows"),
        ("a.jsonl", b'{"a": "\xff"}\n', "E0703", "in line 1"),
        ("a.jsonl", b"PK\x03\x04\0\0", "E0703", "zero bytes"),
        ("a.csv", b"a,b\n1,2\n1,2,3\n", "E0712", "a.csv:3 has 3 values, but the header names 2 columns"),
        ("a.csv", b'a,b\n"1\n2",3\n1\n', "E0712", "a.csv:4 has 1 value,"),
        ("a.csv", b'a,b\n"1"x,2\n', "E0712", "a.csv:2"),
        ("a.csv", b'a,b\n"1,2\n', "E0712", "a.csv:2"),
        ("a.csv", b"a,a\n1,2\n", "E0712", "two columns `a`"),
        ("a.csv", b"a,\n1,2\n", "E0712", "without a name"),
        ("a.csv", b"a,b\n", "E0713", "no rows"),
        ("a.csv", b"", "E0713", "no rows"),
        ("a.tsv", b"\x89PNG\r\n\xff\xfe", "E0703", "is not UTF-8"),
        ("a.npz", b"garbage", "E0718", "archive"),
        ("a.npz", b"", "E0718", "archive"),
        ("a.npz", b"PK\x03\x04garbage", "E0718", "archive"),
        ("a.parquet", b"x", "E0718", "is not a table"),
        ("a", b"x", "E0718", "is not a table"),
    ],
)  # fmt: skip
def test_files_that_are_no_tables(tmp_path: Path, name: str, content: bytes, expected: str, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    problem = refused(lambda: read_table(str(tmp_path / name)))
    assert problem.code == expected
    assert said in problem.message


def test_a_line_that_is_not_json_is_shown(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("the beginning " + "x" * 500)
    problem = refused(lambda: read_table(tmp_path / "a.jsonl"))
    assert "`the beginning xxx" in problem.notes[0]
    assert len(problem.notes[0]) < 100


def test_archives_that_are_no_tables(tmp_path: Path) -> None:
    np.savez(tmp_path / "ragged.npz", image=np.zeros((3, 2, 2)), label=np.arange(4))
    np.savez(tmp_path / "scalar.npz", image=np.zeros((3, 2, 2)), label=np.int64(4))
    np.savez(tmp_path / "objects.npz", label=np.array([{}, None]))
    np.savez(tmp_path / "empty.npz", label=np.zeros(0))
    np.save(tmp_path / "single.npy", np.arange(3))
    (tmp_path / "single.npy").rename(tmp_path / "single.npz")
    names = ("ragged", "scalar", "objects", "single", "empty")
    problems = [refused(functools.partial(read_table, tmp_path / f"{name}.npz")) for name in names]
    assert [problem.code for problem in problems] == ["E0718"] * 4 + ["E0713"]
    assert "`image`: 3" in problems[0].notes[0]
    assert "`label` is a single value" in problems[1].message


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([], "E0713"),
        (iter(()), "E0713"),
        ({}, "E0713"),
        ({"a": []}, "E0713"),
        ({"a": [1], "b": [1, 2]}, "E0718"),
        ([1, 2], "E0712"),
        ([("a", "b", "c")], "E0712"),
        ([{"a": 1}, None], "E0712"),
        ("no/such/file.jsonl", "E0701"),
        ("no/such/*.jsonl", "E0701"),
        ("", "E0701"),
    ],
)
def test_data_that_are_no_table(data: Any, expected: str) -> None:
    assert refused(lambda: read_table(data, ("text", "label"))).code == expected


def test_a_folder_without_records_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no table")
    assert refused(lambda: read_table(tmp_path)).code == "E0713"


def test_a_near_file_is_suggested(tmp_path: Path) -> None:
    lines(tmp_path / "reviews.jsonl", ROWS)
    assert refused(lambda: read_table(tmp_path / "review.jsonl")).helps[0] == "did you mean `reviews.jsonl`?"


def test_a_missing_column_is_named_with_those_there_are() -> None:
    problem = refused(lambda: read_table(ROWS).require("lable"))
    assert problem.code == "E0711"
    assert problem.helps[0] == "did you mean `label`?"
    assert "`text`, `label`" in problem.notes[0]


def test_a_row_without_the_column_is_named() -> None:
    table = read_table([{"text": "x", "label": 1}, {"text": "y"}])
    assert table.texts("text") == ["x", "y"]
    problem = refused(lambda: table.labels_of("label"))
    assert problem.code == "E0711"
    assert problem.message.startswith("row 1 of the data has no `label`")


def test_an_unknown_label_is_named_with_its_row(tmp_path: Path) -> None:
    table = read_table(lines(tmp_path / "a.jsonl", ROWS))
    problem = refused(lambda: table.encode_labels("label", ["a", "bb"]))
    assert problem.code == "E0714"
    assert f"{tmp_path / 'a.jsonl'}:2: there is no label `b`" in problem.message
    assert "`a`, `bb`" in problem.notes[0]


@pytest.mark.parametrize(
    "ask",
    [
        lambda table: table.texts("number"),
        lambda table: table.texts("none"),
        lambda table: table.words("number"),
        lambda table: table.words("mixed"),
        lambda table: table.labels_of("none"),
        lambda table: table.labels_of("half"),
        lambda table: table.labels_of("nan"),
        lambda table: table.labels_of("mixed"),
        lambda table: table.images("number"),
        lambda table: table.images("text"),
        lambda table: table.images("ints"),
    ],
)
def test_values_of_another_kind_are_refused(ask: Callable[[Table], object]) -> None:
    table = read_table(
        {
            "number": [1, 2],
            "none": [None, "x"],
            "mixed": [["a", 1], ["b"]],
            "half": [0.5, 1.0],
            "nan": [float("nan"), 1.0],
            "text": ["a", "b"],
            "ints": np.zeros((2, 8, 8), np.int64),
        }
    )
    assert refused(lambda: ask(table)).code == "E0716"
