"""Run a model once: arrays in, arrays out, by the names of the spec's inputs and outputs.

--inputs takes an .npz file as `numpy.savez` writes it; without it, example inputs are drawn at --size. -o writes an
.npz file with every output that the inputs allow. --dump ADDRESS adds any labelled value: h.3.attn, h.3.attn.score.
A model with states begins with its initial ones, or with those in --state-in; --state-out writes those for the next
run, which goes on from there.
"""

from __future__ import annotations

from typing import Any

from attndsl.cli.arguments import (
    Parser,
    Usage,
    add_backend,
    add_dtype,
    add_output,
    add_seed,
    add_settings,
    add_sizes,
    add_spec,
    add_warnings,
    add_weights,
    add_weights_as,
    path,
)
from attndsl.lazy import Array, np


def configure(parser: Parser) -> None:
    add_spec(parser)
    add_settings(parser)
    add_warnings(parser)
    parser.add_argument(
        "--inputs", metavar="IN.npz", type=path, help="arrays, named after the inputs (default: examples, by --seed)"
    )
    add_sizes(parser, "sizes of the example inputs, where --inputs is not given")
    add_weights(parser)
    add_weights_as(parser)
    add_output(parser, "write the outputs to this .npz file")
    parser.add_argument("--state-in", metavar="FILE", type=path, help="begin with the states in this file")
    parser.add_argument("--state-out", metavar="FILE", type=path, help="write the states to this file (safetensors)")
    parser.add_argument(
        "--dump",
        metavar="ADDRESS",
        action="append",
        default=[],
        help="also output the value with this label (may be repeated)",
    )
    add_backend(parser)
    add_dtype(parser, "the precision to compute in (default: float32)")
    add_seed(parser)


def run(args: Any) -> int:
    from attndsl.cli.models import inputs_file, load_with_weights, read_inputs
    from attndsl.cli.paths import checked, write_arrays
    from attndsl.running import backends
    from attndsl.running.inputs import example_inputs

    for target in (args.output, args.state_out):
        if target:
            checked(target)  # before anything is computed
    file = inputs_file(args.inputs, args.sizes)
    graph, weights = load_with_weights(args.spec, args.settings, args.weights)
    # Before parameters are drawn, which may take a while.
    inputs = read_inputs(file, graph) if file else example_inputs(graph, args.sizes or None, seed=args.seed)
    backend = backends.chosen(args.backend)
    program = backend.program(
        graph,
        dtype=args.dtype,
        device=args.device,
        parameters=weights,
        seed=args.seed,
        weights_as=args.weights_as,
    )
    states = None
    if args.state_in or args.state_out:
        from attndsl.running.state_files import read_states, write_states

        if not graph.states:
            option = "--state-in" if args.state_in else "--state-out"
            raise Usage(f"`{option}` is for a model with states, and `{graph.name}` has none", "leave it out")
        parameters = program.parameters()
        states = read_states(args.state_in, graph, parameters) if args.state_in else None
    outputs = program.run(inputs, states=states, seed=args.seed, dump=tuple(args.dump))
    for name, array in outputs.items():
        print(_line(name, array))
    if args.state_out:
        write_states(args.state_out, outputs.states, graph, parameters)
        print(f"wrote {args.state_out}")
    if args.output:
        write_arrays(outputs, args.output)
        print(f"wrote {args.output}")
    return 0


def _line(name: str, array: Array) -> str:
    """`logits: float32 2×16×50257 · mean 0.012, deviation 1.3, from -4.1 to 5.2`."""
    shape = "×".join(map(str, array.shape)) or "scalar"
    line = f"{name}: {array.dtype} {shape}"
    if array.size == 0:
        return line
    if array.ndim == 0:
        return f"{line} · {array.item():.6g}"
    if array.dtype.kind != "f":
        return f"{line} · from {array.min()} to {array.max()}"
    values = array.astype("float64")
    with np.errstate(all="ignore"):  # what is not finite is said as it is
        spread = f"mean {values.mean():.4g}, deviation {values.std():.4g}"
    return f"{line} · {spread}, from {values.min():.4g} to {values.max():.4g}"
