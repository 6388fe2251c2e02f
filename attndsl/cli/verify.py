"""Verify a model: try every claim that must hold of it, and print a table with the largest difference between numbers
that should be equal, and what is allowed.

What passes fuse is what its parts give; each pass changes nothing; NumPy, PyTorch and compiled PyTorch agree; every
kernel for attention is the dense mask; a gradient is what finite differences are; a row of a batch is what it is alone;
padding changes nothing, and documents in one row are what they are in rows of their own; a text that is read on in
pieces is what it is as a whole, with drafts that are rejected, as beams, and past the context. Where a claim does not
hold the exit code is 1, and the first value that differs is named with its line in the spec; where it could not be
tried since something raised an error, that. Where it says nothing of a model the reason is given.

A large model is verified at smaller sizes, which are told: the same operations in the same order, with two or more
layers, heads and experts. --whole takes it as it is, as does --weights; what --set says stays. A run's folder in place
of SPEC is the model that was trained there, with its weights.

Differences may be as large as rounding makes them: in float64 16 units of the last place of the largest value for each
operation one after the other, times the root of the terms in the longest sum, and never more than `attndsl compare`
allows.
"""

from __future__ import annotations

from typing import Any

from attndsl.cli.arguments import Parser, add_tried


def configure(parser: Parser) -> None:
    add_tried(parser)
    parser.add_argument("--whole", action="store_true", help="verify a large model at its own sizes")
    parser.add_argument("--compile", action="store_true", help="also run what takes a while: compiled programs")


def run(args: Any) -> int:
    from attndsl.api.checking import of_run
    from attndsl.cli.models import load_with_weights, tell
    from attndsl.elaborate import open_spec
    from attndsl.verification import verify_spec

    graph, weights = load_with_weights(args.spec, args.settings, args.weights)
    verification = verify_spec(
        open_spec(of_run(args.spec)[0]),
        graph,
        args.settings,
        weights=weights,
        whole=args.whole,
        sizes=args.sizes or None,
        seed=args.seed,
        compiled=args.compile,
    )
    return tell(verification, as_json=args.json)
