"""generate, predict, embed and attend from the command line: what they print and write, and what they refuse."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from attndsl.attention_maps.run import attend, token_text
from attndsl.decoding.sequences import Beam
from attndsl.diagnostics import AttnError, error
from attndsl.generation import generate
from attndsl.generation.embed import embed, embed_places
from attndsl.generation.predict import predict
from attndsl.generation.respond import respond

NUMPY = ("--backend", "numpy")


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(run_of):
    return lambda kind: str(run_of(kind).folder)


# ---------------------------------------------------------------------------------------------- generate


def test_generate_prints_the_answer(attndsl, run_of, folder):
    run = run_of("sequence_to_sequence")
    (expected,) = respond(run, ["12 apples"], backend="numpy")
    for option in ("--prompt", "--source"):
        done = attndsl("generate", folder("sequence_to_sequence"), option, "12 apples", *NUMPY)
        assert (done.code, done.out) == (0, expected + "\n"), done.err
    (beamed,) = respond(run, ["12 apples"], beam=Beam(3, 1.0), backend="numpy")
    done = attndsl(
        "generate", folder("sequence_to_sequence"), "--prompt", "12 apples", "--beams", 3, "--length-penalty", 1, *NUMPY
    )
    assert done.out == beamed + "\n"


def test_generate_answers_a_file_line_by_line(attndsl, run_of, folder):
    Path("lines.txt").write_text("1 apples\n\n23\n")
    Path("rows.tsv").write_text("target\tsource\nx\t1 apples\ny\t23\n")
    expected = respond(run_of("sequence_to_sequence"), ["1 apples", "23"], backend="numpy")
    for name in ("lines.txt", "rows.tsv"):
        done = attndsl("generate", folder("sequence_to_sequence"), "--data", name, *NUMPY)
        assert done.out.split("\n") == [*expected, ""], done.err


def test_generate_samples_answers_by_seed(attndsl, folder):
    argv = ("generate", folder("sequence_to_sequence"), "--prompt", "12 apples", "--temperature", "2", *NUMPY, "--seed")
    texts = [attndsl(*argv, seed).out for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_generate_goes_on_with_a_text_as_before(attndsl, run_of, folder):
    run = run_of("next_token")
    done = attndsl("generate", folder("next_token"), "--prompt", "Now", "--tokens", 5, "--temperature", 0, *NUMPY)
    assert done.out == "Now" + "".join(generate(run, "Now", 5, temperature=0, backend="numpy")) + "\n"


def test_generate_goes_on_with_several_texts(attndsl, run_of, folder):
    run, options = run_of("next_token"), {"temperature": 0, "backend": "numpy"}
    argv = ("generate", folder("next_token"), "--tokens", 5, "--temperature", 0, *NUMPY)
    texts = [prompt + "".join(generate(run, prompt, 5, **options)) for prompt in ("Now", "Once upon")]
    done = attndsl(*argv, "--prompt", "Now", "--prompt", "Once upon")
    assert done.out == "".join(text.removesuffix("\n") + "\n" for text in texts)
    Path("lines.txt").write_text("Now\n\nOnce upon\n")
    done = attndsl(*argv, "--data", "lines.txt")
    assert done.out.splitlines() == [" ".join(text.split("\n")) for text in texts]
    done = attndsl(*argv, "--data", "lines.txt", "--prompt", "Now")
    assert (done.code, "`--prompt` and `--data` are given" in done.err) == (2, True)


def test_generate_answers_several_sources(attndsl, run_of, folder):
    expected = respond(run_of("sequence_to_sequence"), ["1 apples", "23"], backend="numpy")
    done = attndsl("generate", folder("sequence_to_sequence"), "--prompt", "1 apples", "--prompt", "23", *NUMPY)
    assert done.out.split("\n") == [*expected, ""], done.err
    done = attndsl("generate", folder("sequence_to_sequence"), "--prompt", "1", "--draft", folder("next_token"), *NUMPY)
    assert (done.code, "`--draft` is for a model that continues a text" in done.err) == (2, True)


def test_a_failure_on_the_way_begins_a_line(attndsl, folder, monkeypatch):
    def failing(*_: object, **__: object):
        yield " then"
        raise error("E0741", "the model's logits are not numbers")

    monkeypatch.setattr("attndsl.generation.generate", failing)
    done = attndsl("generate", folder("next_token"), "--prompt", "Now", *NUMPY)
    assert (done.code, done.out) == (1, "Now then\n")
    assert done.err.startswith("error[E0741]")


# ---------------------------------------------------------------------------------------------- predict


def test_predict_ranks_the_classes_of_a_text(attndsl, run_of, folder):
    ((expected,),) = predict(run_of("classify"), ["12 apples"], 2, backend="numpy")
    done = attndsl("predict", folder("classify"), "--text", "12 apples", "--top", 2, *NUMPY)
    assert done.code == 0, done.err
    heading, *lines = done.out.splitlines()
    assert heading.split() == ["class", "probability"]
    assert [line.split() for line in lines] == [
        [it.name, f"{100 * it.probability:.1f}", "%"] for it in expected.choices
    ]


def test_predict_gives_a_line_for_each_of_many(attndsl, folder):
    Path("rows.jsonl").write_text('{"text": "one"}\n{"text": "two\\nthree"}\n')
    done = attndsl("predict", folder("classify"), "--data", "rows.jsonl", *NUMPY)
    lines = done.out.splitlines()
    assert [line.split()[0] for line in lines] == ["text", "one", "two⏎three"]


def test_predict_says_tags_masks_and_pictures(attndsl, folder):
    done = attndsl("predict", folder("tag"), "--text", "12 apples", *NUMPY)
    assert [line.split()[0] for line in done.out.splitlines()] == ["word", "12", "apples"]
    done = attndsl("predict", folder("masked_tokens"), "--text", "a[MASK]b[MASK]", "--top", 2, *NUMPY)
    assert [line.split()[0] for line in done.out.splitlines()] == ["mask", "1", "1", "2", "2"]
    np.savez("two.npz", image=np.zeros((2, 8, 8), np.float32))
    done = attndsl("predict", folder("classify_images"), "--image", "two.npz", "--top", 1, *NUMPY)
    assert [line.split()[:2] for line in done.out.splitlines()] == [
        ["picture", "class"],
        ["picture", "1"],
        ["picture", "2"],
    ]


def test_predict_reads_stdin(attndsl, folder, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("12 äpfel\n".encode()), encoding="utf-8"))
    done = attndsl("predict", folder("classify"), "--text", "-", "--json", *NUMPY)
    assert json.loads(done.out)["results"][0]["example"] == "12 äpfel"


def test_predict_gives_json(attndsl, run_of, folder):
    found = json.loads(attndsl("predict", folder("pairs"), "--text", "a", "--pair", "b", "--json", *NUMPY).out)
    assert (found["schema"], found["objective"]) == ("attndsl.predict/1", "classify")
    ((expected,),) = predict(run_of("pairs"), [("a", "b")], backend="numpy")
    (result,) = found["results"]
    assert result["example"] == "a / b"
    assert result["predictions"][0]["choices"] == [
        {"name": it.name, "probability": pytest.approx(it.probability)} for it in expected.choices
    ]


def test_a_table_on_a_terminal_takes_no_markup(attndsl, folder, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    from attndsl.cli.using import print_table

    monkeypatch.setattr(sys, "stdout", shown := Terminal())
    print_table(("word", "tag"), [("[bold]x[/bold]", "[link=http://x]y")])
    assert "[bold]x[/bold]" in shown.getvalue()
    assert "[link=http://x]y" in shown.getvalue()


# ---------------------------------------------------------------------------------------------- embed


def test_embed_writes_vectors(attndsl, run_of, folder):
    texts = ["12 apples", "1"]
    expected = embed(run_of("classify"), texts, backend="numpy")
    done = attndsl("embed", folder("classify"), "--text", texts[0], "--text", texts[1], "-o", "v.npz", *NUMPY)
    assert done.code == 0, done.err
    assert "vectors: float32 2×16" in done.out
    assert done.out.rstrip().endswith("wrote v.npz")
    with np.load("v.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(file["vectors"], expected, atol=1e-6)
        assert file["texts"].tolist() == texts
    cosine = float(expected[0] @ expected[1] / np.linalg.norm(expected[0]) / np.linalg.norm(expected[1]))
    assert re.search(rf"^1 +12 apples +1\.00 +{cosine:.2f}$".replace("-", "\\-"), done.out, re.MULTILINE)
    found = json.loads(attndsl("embed", folder("classify"), "--text", "1", "--json", *NUMPY).out)
    assert found["shape"] == [1, 16]


def test_embed_writes_a_vector_for_each_word(attndsl, run_of, folder):
    expected = embed_places(run_of("both_directions"), ["as ever", "ever"], backend="numpy")
    argv = ("embed", folder("both_directions"), "--text", "as ever", "--text", "ever", "--pool", "none", *NUMPY)
    done = attndsl(*argv, "-o", "v.npz")
    assert done.code == 0, done.err
    assert "vectors: float32 3×16" in done.out
    assert re.search(r"^2 +ever +", done.out, re.MULTILINE)
    with np.load("v.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(file["vectors"], np.concatenate([rows for _, rows in expected]), atol=1e-6)
        assert file["places"].tolist() == ["as", "ever", "ever"]
        assert file["examples"].tolist() == [0, 0, 1]
    (first, second) = json.loads(attndsl(*argv, "--json").out)["results"]
    assert (first["places"], len(first["vectors"]), second["example"]) == (["as", "ever"], 2, "ever")


# ---------------------------------------------------------------------------------------------- attend


@pytest.mark.parametrize(
    ("kind", "argv", "groups", "maps"),
    [
        ("classify", ["--text", "12 apples"], ["Self-attention of the text"], 4),
        ("next_token", ["--prompt", "Now is"], ["Self-attention of the text"], 2),
        ("pairs", ["--text", "a", "--pair", "b"], ["Self-attention of the text"], 4),
        ("tag", ["--text", "12 apples"], ["Self-attention of the text"], 2),
        ("masked_tokens", ["--text", "a[MASK]b"], ["Self-attention of the text"], 2),
        (
            "sequence_to_sequence",
            ["--prompt", "12", "--target", "ap"],
            ["Self-attention of the source", "Self-attention of the target", "Cross-attention: target against source"],
            12,
        ),
        ("classify_images", ["--image", "one.npz"], ["Self-attention of the patches"], 4),
    ],
)
def test_attend_draws_every_kind(attndsl, folder, kind, argv, groups, maps):
    np.savez("one.npz", image=np.random.default_rng(0).random((8, 8), np.float32))
    for name in ("a.html", "a.svg", "one.svg"):
        chosen = ("--layer", 0, "--head", 1) if name == "one.svg" else ()
        done = attndsl("attend", folder(kind), *argv, "-o", name, *chosen, *NUMPY)
        assert done.code == 0, done.err
        assert [line.partition(": ")[0] for line in done.out.splitlines()[:-1]] == [
            group.partition(": ")[0] for group in groups
        ]
    assert Path("a.html").read_text().count('<button type="button"') == maps
    for name in ("a.svg", "one.svg"):
        root = ElementTree.parse(name).getroot()
        said = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
        assert [text for text in said if text in groups] == groups


def test_attend_labels_special_tokens_and_shows_what_a_decoder_is_shown(run_of):
    maps = attend(run_of("sequence_to_sequence"), "12", "ap", backend="numpy")
    cross = maps.groups[2].layers[0]
    assert cross.columns.labels == ("1", "2", "[END]")
    assert cross.rows.labels == ("[GO]", "a", "p")
    alone = attend(run_of("sequence_to_sequence"), "12", backend="numpy")
    said = respond(run_of("sequence_to_sequence"), ["12"], 19, backend="numpy")[0]
    written = [text for text in alone.groups[2].layers[0].rows.labels if not text.startswith("[")]
    assert "".join(written).replace("·", " ").strip() == said
    maps = attend(run_of("pairs"), ("a", "l"), backend="numpy")
    assert maps.groups[0].layers[0].columns.labels == ("[CLS]", "a", "[SEP]", "l", "[SEP]")


def test_attention_is_the_one_that_is_computed_with(run_of):
    run = run_of("next_token")
    maps = attend(run, "Now is", backend="numpy")
    tokens = run.tokenizer.encode("Now is")[None]
    expected = run.program("numpy").run({"tokens": tokens}, [], dump=["body.h.0.attn.weight"])
    np.testing.assert_allclose(maps.groups[0].layers[0].weights, expected["body.h.0.attn.weight"][0], atol=1e-6)


def test_pieces_of_words_keep_their_marks(run_of):
    tokenizers = pytest.importorskip("tokenizers")
    from attndsl.data.tokenizers import Published

    inner = tokenizers.Tokenizer(tokenizers.models.WordPiece({"[UNK]": 0, "run": 1, "##ning": 2}, unk_token="[UNK]"))
    tokenizer = Published(inner.to_str())
    assert [token_text(tokenizer, token) for token in (1, 2)] == ["run", "##ning"]


# ---------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("verb", "kind", "argv", "code"),
    [
        ("predict", "next_token", ["--text", "x"], "E0744"),
        ("generate", "classify", ["--prompt", "x"], "E0744"),
        ("predict", "both_directions", ["--text", "x"], "E0744"),
        ("generate", "sequence_to_sequence", ["--prompt", "x" * 40], "E0752"),
        ("generate", "sequence_to_sequence", ["--prompt", "x", "--beams", "2", "--length-penalty", "-1"], "E0743"),
        ("predict", "masked_tokens", ["--text", "x"], "E0749"),
        ("predict", "classify", ["--image", "x.png"], "E0749"),
        ("predict", "classify_images", ["--text", "x"], "E0749"),
        ("predict", "classify", ["--data", "none.txt"], "E0701"),
        ("embed", "next_token", ["--text", "x"], "E0746"),
        ("embed", "classify", ["--text", "x", "-o", "no/such/v.npz"], "E0883"),
        ("attend", "classify", ["--text", "x" * 40, "-o", "a.svg"], "E0752"),
        ("attend", "classify", ["--text", "x", "-o", "a.svg", "--layer", "7"], "E0746"),
        ("attend", "classify", ["--text", "x", "-o", "no/such/a.svg"], "E0883"),
    ],
)
def test_what_cannot_be_done_is_told(attndsl, folder, verb, kind, argv, code):
    done = attndsl(verb, folder(kind), *argv, *NUMPY)
    assert done.code == 1
    assert f"error[{code}]" in done.err
    assert "= help:" in done.err
    assert not list(Path().iterdir())


@pytest.mark.parametrize(
    ("verb", "kind", "argv"),
    [
        ("generate", "sequence_to_sequence", []),
        ("generate", "sequence_to_sequence", ["--prompt", "x", "--data", "y"]),
        ("generate", "sequence_to_sequence", ["--prompt", "x", "--beams", "2", "--top-k", "3"]),
        ("generate", "sequence_to_sequence", ["--prompt", "x", "--length-penalty", "1"]),
        ("generate", "next_token", ["--prompt", "x", "--beams", "2"]),
        ("predict", "classify", []),
        ("predict", "classify", ["--text", "x", "--data", "y"]),
        ("predict", "classify", ["--pair", "x"]),
        ("attend", "classify", ["--text", "x", "-o", "a.jpg"]),
        ("attend", "classify", ["--text", "x", "--text", "y", "-o", "a.svg"]),
        ("attend", "classify", ["--text", "x", "--target", "y", "-o", "a.svg"]),
        ("attend", "classify", ["--text", "x"]),
    ],
)
def test_options_that_make_no_sense(attndsl, folder, verb, kind, argv):
    done = attndsl(verb, folder(kind), *argv)
    assert done.code == 2
    assert f"attndsl {verb}" in done.err


def test_a_run_that_is_none(attndsl):
    for verb in ("predict", "embed", "attend"):
        more = ("-o", "a.svg") if verb == "attend" else ()
        done = attndsl(verb, "nowhere", "--text", "x", *more)
        assert (done.code, "error[E0732]" in done.err) == (1, True)


def test_errors_are_diagnostics(run_of):
    with pytest.raises(AttnError, match="E0741"):
        attend(run_of("classify"), "\ud800")
