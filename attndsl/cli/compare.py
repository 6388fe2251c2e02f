"""Compare one backend with another: the same weights and inputs, a row for every output and, with --gradients, for
every parameter's gradient, with the greatest absolute and relative difference and what is allowed.

Without options PyTorch is compared with NumPy. Where they differ the exit code is 1, and the first value that differs
is named with its line in the spec. With --against passes, NumPy on the optimized graph is compared with NumPy on the
plain one. Random numbers of a model are drawn once, for both. A run's folder in place of SPEC is the model that was
trained there, with its weights.

In float64 an output may be off by 1e-10 of its largest value, a gradient by 1e-8. In a lower precision 16 times what
float32 costs NumPy here is allowed, in proportion to the dtype's spacing, and 32 units of the largest value's last
place; but never more than the square root of the dtype's epsilon for an output (3.5e-4 of its largest value in
float32), and the cube root for a gradient (4.9e-3). What is nothing but the rounding noise of larger numbers is judged
by these. A number against an infinity or NaN differs; whole numbers and bools must be equal.
"""

from __future__ import annotations

from typing import Any

from attndsl.cli.arguments import Parser, add_device, add_dtype, add_tried, path


def configure(parser: Parser) -> None:
    from attndsl.comparison.sides import candidates
    from attndsl.running import backends

    add_tried(parser)
    parser.add_argument(
        "--inputs", metavar="IN.npz", type=path, help="arrays, named after the inputs (default: examples)"
    )
    parser.add_argument(
        "--gradients", action="store_true", help="also compare the gradients of parameters and float inputs"
    )
    right, best = backends.reference(), backends.preferred(lambda each: not each.is_reference)
    parser.add_argument(
        "--against",
        type=backends.canonical,
        choices=candidates(),
        help=f"the backend under test, or `passes`: the reference on the optimized graph (default: {best.name})",
    )
    parser.add_argument(
        "--reference",
        type=backends.canonical,
        choices=tuple(backends.backends()),
        help=f"the reference backend, at its highest precision (default: {right.name})",
    )
    add_dtype(parser, "the precision of the backend under test (default: float32)")
    add_device(parser)


def run(args: Any) -> int:
    from attndsl.cli.models import inputs_file, load_with_weights, read_inputs, tell
    from attndsl.comparison import compare

    file = inputs_file(args.inputs, args.sizes)
    graph, weights = load_with_weights(args.spec, args.settings, args.weights)
    comparison = compare(
        graph,
        candidate=args.against,
        reference=args.reference,
        weights=weights,
        inputs=read_inputs(file, graph) if file else None,
        gradients=args.gradients,
        dtype=args.dtype,
        device=args.device,
        seed=args.seed,
        sizes=args.sizes or None,
    )
    return tell(comparison, as_json=args.json)
