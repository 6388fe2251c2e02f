"""Turn texts or pictures into vectors with a trained model.

The vectors are the model's output `memory` or `hidden`, averaged over the tokens (padding left out), or with --pool
the one at the first or the last token, or each of them (`none`; of a model that reads words, one for each word). An
output with one vector for the whole (`pooled`, or the `image_embeds` and `text_embeds` of a model of pictures and
texts) is taken as it is. -o writes an .npz file with the array `vectors`; for a few examples the cosines of all pairs
are printed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, add_backend, add_json, add_output
from attndsl.cli.using import add_examples, add_model, examples_of, named, open_model, print_table, printable

if TYPE_CHECKING:
    from attndsl.generation import Run
    from attndsl.running.program import Array

SHOWN = 12  # examples up to which all pairs are compared
SCHEMA = "attndsl.embed/1"


def configure(parser: Parser) -> None:
    add_model(parser)
    add_examples(parser)
    parser.add_argument(
        "--pool",
        choices=("mean", "first", "last", "none"),
        default="mean",
        help="which token's vector to use (default: the mean of all; none: each has its own, of words where the model "
        "reads words)",
    )
    parser.add_argument(
        "--from", dest="source", metavar="OUTPUT", help="the output of the model to use: hidden, pooled"
    )
    add_output(parser, "write the vectors to this .npz file")
    add_json(parser)
    add_backend(parser, default="the one that the run was trained with")


def run(args: Any) -> int:
    from attndsl.cli.paths import checked, write_arrays
    from attndsl.generation.embed import embed, similarities

    if args.output:
        checked(args.output)  # before anything is computed
    trained = open_model(args)
    examples = examples_of(trained, args)
    if args.pool == "none":
        return _places(trained, examples, args)
    vectors = embed(trained, examples, args.pool, args.source, backend=args.backend, device=args.device)
    names = [named(example, number, args) for number, example in enumerate(examples)]
    if args.output:
        write_arrays({"vectors": vectors, **_texts(examples)}, args.output)
    if args.json:
        plain = [{"example": name, "vector": row} for name, row in zip(names, vectors.tolist(), strict=True)]
        print(json.dumps({"schema": SCHEMA, "shape": list(vectors.shape), "results": plain}, ensure_ascii=False))
        return 0
    print(f"vectors: {vectors.dtype} {'×'.join(map(str, vectors.shape))}")
    if 1 < len(examples) <= SHOWN:
        _print_cosines(names, similarities(vectors))
    if args.output:
        print(f"wrote {args.output}")
    return 0


def _places(trained: Run, examples: Sequence[Any], args: Any) -> int:
    """A vector for each word or token."""
    import numpy

    from attndsl.cli.paths import write_arrays
    from attndsl.generation.embed import embed_places, similarities

    found = embed_places(trained, examples, args.source, backend=args.backend, device=args.device)
    vectors = numpy.concatenate([rows for _, rows in found])
    places = [place for pieces, _ in found for place in pieces]
    if args.output:
        owners = numpy.repeat(numpy.arange(len(found)), [len(pieces) for pieces, _ in found])
        write_arrays({"vectors": vectors, "places": numpy.array(places, dtype=str), "examples": owners}, args.output)
    if args.json:
        named_examples = [named(example, number, args) for number, example in enumerate(examples)]
        plain = [
            {"example": name, "places": pieces, "vectors": rows.tolist()}
            for name, (pieces, rows) in zip(named_examples, found, strict=True)
        ]
        print(json.dumps({"schema": SCHEMA, "shape": list(vectors.shape), "results": plain}, ensure_ascii=False))
        return 0
    print(f"vectors: {vectors.dtype} {'×'.join(map(str, vectors.shape))}")
    if 1 < len(places) <= SHOWN:
        _print_cosines([printable(place) for place in places], similarities(vectors))
    if args.output:
        print(f"wrote {args.output}")
    return 0


def _print_cosines(names: Sequence[str], cosines: Array) -> None:
    numbers = [str(number + 1) for number in range(len(names))]
    rows = [
        (number, name, *(f"{value:.2f}" for value in row))
        for number, name, row in zip(numbers, names, cosines, strict=True)
    ]
    print_table(("", "cosine", *numbers), rows, ("", *numbers))


def _texts(examples: Sequence[Any]) -> dict[str, Array]:
    """The texts beside their vectors; pictures are left out."""
    import numpy

    if not all(isinstance(example, str) for example in examples):
        return {}
    return {"texts": numpy.array(examples)}
