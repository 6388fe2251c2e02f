"""Verify a model: try every claim that must hold of it, and print a table with the largest difference between numbers
that should be equal, and what is allowed.

What passes fuse is what its parts give; each pass changes nothing; NumPy, PyTorch and compiled PyTorch agree; every
kernel for attention is the dense mask; a gradient is what finite differences are; a row of a batch is what it is alone;
padding changes nothing; a text that is read on in pieces is what it is as a whole. Where a claim does not hold the exit
code is 1, and the first value that differs is named with its line in the spec. Where it says nothing of a model the
reason is given.

A large model is verified at smaller sizes, which are told: the same operations in the same order, with two or more
layers, heads and experts. --whole takes it as it is, as does --weights; what --set says stays.

Differences may be as large as rounding makes them: in float64 16 units of the last place of the largest value for each
operation one after the other, times the root of the terms in the longest sum, and never more than `attndsl compare`
allows.
"""

from __future__ import annotations

from typing import Any

from attndsl.cli.arguments import (
    Parser,
    add_json,
    add_seed,
    add_settings,
    add_sizes,
    add_spec,
    add_warnings,
    add_weights,
)


def configure(parser: Parser) -> None:
    add_spec(parser)
    add_settings(parser)
    add_warnings(parser)
    add_sizes(parser, "sizes of the example inputs")
    add_weights(parser)
    parser.add_argument("--whole", action="store_true", help="verify a large model at its own sizes")
    parser.add_argument("--compile", action="store_true", help="also run what takes a while: compiled programs")
    add_seed(parser)
    add_json(parser)


def run(args: Any) -> int:
    from attndsl.api.checking import of_run
    from attndsl.cli.models import load_graph, load_with_weights
    from attndsl.elaborate import open_spec
    from attndsl.verification import verify
    from attndsl.verification.padding import padding_inputs
    from attndsl.verification.reducing import reduced

    spec, settings = of_run(args.spec, args.settings)
    if args.weights is not None or args.whole:
        graph, weights = load_with_weights(args.spec, args.settings, args.weights)
        changes = None
    else:
        load_graph(args.spec, args.settings)  # its warnings are told
        weights, (graph, changes) = None, reduced(open_spec(spec), settings)
    verification = verify(
        graph,
        weights=weights,
        sizes=args.sizes or None,
        seed=args.seed,
        compiled=args.compile,
        padding=padding_inputs(open_spec(spec), graph),
        reduced=changes,
    )
    if args.json:
        import json

        print(json.dumps(verification.to_json(), indent=2, ensure_ascii=False))
    else:
        print(verification)
    return 0 if verification.ok else 1
