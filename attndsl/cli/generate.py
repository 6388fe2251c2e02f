"""Write text with a trained model, as it comes.

--prompt gives the beginning (`--prompt -` reads it from stdin). --temperature 0 takes the most likely token each time;
the same seed gives the same text. Past the model's context the oldest tokens fall away, which is said on stderr.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

from attndsl.cli.arguments import Parser, add_seed, natural, path, positive


def configure(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=path, help="the folder that `attndsl train` wrote")
    parser.add_argument("--prompt", metavar="TEXT", default="", help="the beginning of the text; - reads it from stdin")
    parser.add_argument(
        "--tokens", type=natural, default=256, metavar="N", help="how many tokens to add (default: 256)"
    )
    parser.add_argument(
        "--temperature", type=_number, default=1.0, metavar="X", help="0 for the likeliest token (default: 1)"
    )
    parser.add_argument("--top-k", type=positive, metavar="K", help="choose among the K likeliest tokens")
    parser.add_argument("--top-p", type=_number, metavar="P", help="choose among the likeliest tokens that make up P")
    add_seed(parser)
    parser.add_argument("--backend", choices=("numpy", "torch"), help="default: the one that the run was trained with")
    parser.add_argument(
        "--device", choices=("cpu", "cuda"), help="where torch computes (default: cuda where there is one)"
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"`{text}` is not a number") from None


def run(args: Any) -> int:
    from attndsl.generation import generate, load_run

    prompt = args.prompt
    if prompt == "-":
        prompt = sys.stdin.buffer.read().decode("utf-8", "surrogateescape")
    trained = load_run(args.run)
    notes: list[str] = []
    pieces = generate(
        trained,
        prompt,
        args.tokens,
        temperature=args.temperature,
        top_k=args.top_k,
        top_p=args.top_p,
        seed=args.seed,
        backend=args.backend,
        device=args.device,
        say=notes.append,
    )
    _tell(notes)
    _write(prompt)
    last = prompt
    for piece in pieces:
        _write(piece)
        last = piece
    if not last.endswith("\n"):
        _write("\n")
    _tell(notes)
    return 0


def _tell(notes: list[str]) -> None:
    """Say on stderr what there is to say: before the text or after it, never in the middle of a line."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    notes.clear()


def _write(text: str) -> None:
    if sys.stdout.isatty():  # a model may say anything, and shall not move the cursor
        text = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    sys.stdout.write(text)
    sys.stdout.flush()
