"""What the verbs that use a trained model have in common: which model, what it is given, and tables of what it says."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, Usage, add_settings, add_weights_as, path

if TYPE_CHECKING:
    from attndsl.generation import Run


def add_model(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=path, help="the folder that `attndsl train` wrote")
    parser.add_argument(
        "--weights",
        metavar="DIR",
        type=path,
        help="a published folder with weights, config.json and tokenizer.json; RUN is the name of its spec then: bert",
    )
    add_settings(parser, "change a hyperparameter that the weights do not depend on (may be repeated)")
    add_weights_as(parser)


def add_examples(parser: Parser, *, several: bool = True) -> None:
    """What the model is given; with `several`, more than one of each, or a file of them."""
    more = " (may be repeated)" if several else ""
    parser.add_argument("--text", metavar="TEXT", action="append", default=[], help=f"a text; - reads from stdin{more}")
    parser.add_argument("--pair", metavar="TEXT", help="the second text, for a model that takes pairs")
    parser.add_argument(
        "--image",
        metavar="FILE",
        type=path,
        action="append",
        default=[],
        help=f"a picture: a file that Pillow reads, or an .npz with an array `image`{more}",
    )
    if several:
        parser.add_argument(
            "--data",
            metavar="FILE",
            type=path,
            help="many of them: a text file with one on each line, or a table (.jsonl, .csv, .tsv, .npz, a folder of "
            "pictures)",
        )


def open_model(args: Any) -> Run:
    """The run, or the spec with published weights that stands in for one."""
    from attndsl.generation import load_run
    from attndsl.records import replace

    if args.weights is None:
        return replace(load_run(args.run, args.settings), weights_as=args.weights_as)
    if Path(args.run).is_dir():
        raise Usage(f"`{args.run}` is a folder, and with --weights RUN is the name of a spec", "for example `bert`")
    from attndsl.generation.published import open_published

    return replace(open_published(args.run, args.weights, args.settings), weights_as=args.weights_as)


def examples_of(run: Run, args: Any) -> list[Any]:
    """What the options give: at least one example."""
    from attndsl.generation.examples import pictures, read_examples, typed_examples

    given = [name for name, value in (("--text", args.text), ("--image", args.image), ("--data", _data(args))) if value]
    if len(given) > 1:
        raise Usage(f"{' and '.join(given)} are given, and one of them is enough", "leave the others out")
    if args.pair is not None and not args.text:
        raise Usage("`--pair` is the second text, but there is no first", "give it with `--text`")
    if args.image:
        return list(pictures(run, args.image))
    if _data(args):
        return read_examples(run, args.data)
    if not args.text:
        raise Usage("there is no input", *_ways(run, args))
    return typed_examples(run, [typed(text) for text in args.text], args.pair)


def _data(args: Any) -> str | None:
    found: str | None = getattr(args, "data", None)
    return found


def _ways(run: Run, args: Any) -> Iterator[str]:
    from attndsl.generation.examples import takes_pictures

    yield "give a picture: `--image FILE`" if takes_pictures(run) else 'give a text: `--text "…"`'
    if hasattr(args, "data"):
        yield "or a file of them: `--data FILE`"


def typed(text: str) -> str:
    """A text from the command line, or where that is `-`, all of stdin without the newline at its end."""
    if text != "-":
        return text
    return sys.stdin.buffer.read().decode("utf-8", "surrogateescape").removesuffix("\n")


def named(example: Any, number: int, args: Any, width: int = 60) -> str:
    """An example in a line: its text, its file, or its number."""
    if hasattr(example, "dtype"):
        files = args.image
        return Path(files[number]).name if number < len(files) and len(files) > 1 else f"picture {number + 1}"
    text = (
        example
        if isinstance(example, str)
        else " / ".join(example)
        if isinstance(example, tuple)
        else " ".join(example)
    )
    return printable(text if len(text) <= width else text[: width - 1] + "…")


def printable(text: str) -> str:
    """The text in one line: a model may say anything, and shall not move the cursor."""
    shown = text.replace("\n", "⏎").replace("\t", "⇥")
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in shown)


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str] = ()) -> None:
    """A table on stdout: with lines on a terminal, in plain columns elsewhere. The columns called `numbers` are aligned
    at the right."""
    if sys.stdout.isatty():
        _print_rich(headings, rows, numbers)
        return
    from attndsl.tables import aligned

    print("\n".join(aligned(headings, rows, numbers)))


def _print_rich(headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[str]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD)
    for heading in headings:
        table.add_column(Text(heading), justify="right" if heading in numbers else "left")
    for row in rows:
        table.add_row(*map(Text, row))  # as text: markup in what a model says is not markup
    Console().print(table)


def table_width(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """How many characters `print_table` takes for a line on a terminal."""
    return sum(max(map(len, column)) + 3 for column in zip(headings, *rows, strict=True)) + 1
