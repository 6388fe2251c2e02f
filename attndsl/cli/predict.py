"""Print what a trained model predicts: classes, tags of words, masked tokens, answers to questions.

For a classifier the most likely classes with their probabilities; for a tagger a tag for each word; for a model that
answers questions (--text) from texts (--pair) the most likely parts of the text; for a model of masked tokens the most
likely tokens for each mask in the text, which is written as the model writes it (`The [MASK] of the list`). A model of
pictures and texts can choose among any classes: --labels zero,one,two names them, by default those of its training
data, and --template is the text that each becomes (--template "{}" leaves them as they are). --data takes a file of
examples and gives a line for each.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, add_backend, add_json, positive
from attndsl.cli.using import (
    add_examples,
    add_model,
    examples_of,
    named,
    open_model,
    print_table,
    printable,
)

if TYPE_CHECKING:
    from attndsl.objectives import Objective
    from attndsl.objectives.predictions import Prediction

SCHEMA = "attndsl.predict/1"


def configure(parser: Parser) -> None:
    add_model(parser)
    add_examples(parser)
    parser.add_argument(
        "--top", type=positive, default=5, metavar="K", help="how many of the most likely answers to show (default: 5)"
    )
    parser.add_argument(
        "--labels",
        metavar="NAMES",
        help="the classes to choose from, with commas between, for a model of pictures and texts",
    )
    parser.add_argument(
        "--template", metavar="TEXT", help='the text that names a class, with {} for the name: "a picture of a {}"'
    )
    add_json(parser)
    add_backend(parser, default="the one that the run was trained with")


def run(args: Any) -> int:
    from attndsl.generation.predict import predict

    trained = open_model(args)
    examples = examples_of(trained, args)
    labels = [label.strip() for label in args.labels.split(",")] if args.labels is not None else None
    found = predict(
        trained, examples, args.top, labels=labels, template=args.template, backend=args.backend, device=args.device
    )
    names = [named(example, number, args) for number, example in enumerate(examples)]
    objective = trained.recipe.objective
    if args.json:
        print(json.dumps(_json(objective.kind, names, found), indent=2, ensure_ascii=False))
    elif objective.about.places:
        _print_places(objective.about, names, found)
    elif len(found) == 1:
        _print_ranks(objective.about.says, found[0][0])
    else:
        _print_classes("picture" if objective.about.sees() else "text", objective.about.says, names, found)
    return 0


def _print_ranks(says: str, found: Prediction) -> None:
    rows = [(_named(it.name), _share(it.probability)) for it in found.choices]
    print_table((says, "probability"), rows, ("probability",))


def _print_classes(what: str, says: str, names: Sequence[str], found: Sequence[Sequence[Prediction]]) -> None:
    rows = []
    for name, (prediction,) in zip(names, found, strict=True):
        best, *others = prediction.choices
        then = ", ".join(f"{_named(it.name)} {_share(it.probability)}" for it in others[:2])
        rows.append((name, _named(best.name), _share(best.probability), then))
    columns = 4 if any(row[3] for row in rows) else 3
    print_table((what, says, "probability", "then")[:columns], [row[:columns] for row in rows], ("probability",))


def _print_places(about: type[Objective], names: Sequence[str], found: Sequence[Sequence[Prediction]]) -> None:
    """A table for each example, with a line or more for each place in it."""
    for number, (name, predictions) in enumerate(zip(names, found, strict=True)):
        if number:
            print()
        if about.ranks and len(found) > 1:
            print(name)
        rows = [
            (_token(it.place), _token(choice.name), _share(choice.probability))
            for it in predictions
            for choice in (it.choices if about.ranks else it.choices[:1])
        ]
        print_table((about.places, about.says, "probability"), rows, ("probability",))


def _named(text: str) -> str:
    """A class, or an answer; an empty one says that there is none."""
    return printable(text) or "(none)"


def _token(text: str) -> str:
    """A token with the spaces around it made visible."""
    return printable(text.replace(" ", "·") if text != text.strip() else text)


def _share(probability: float) -> str:
    return f"{100 * probability:.1f} %"


def _json(kind: str, names: Sequence[str], found: Sequence[Sequence[Prediction]]) -> dict[str, Any]:
    results = [
        {
            "example": name,
            "predictions": [
                {
                    **({"place": it.place} if it.place else {}),
                    "choices": [{"name": choice.name, "probability": choice.probability} for choice in it.choices],
                }
                for it in predictions
            ],
        }
        for name, predictions in zip(names, found, strict=True)
    ]
    return {"schema": SCHEMA, "objective": kind, "results": results}
