"""Draw what a trained model attends to: the attention weights of every layer and head, as heat maps.

-o attention.html writes one page that needs nothing else: all layers and heads, the one that is pointed at large, with
the tokens on both sides. -o attention.svg or .png writes the same as a picture; with --layer and --head, one map large.
All maps have one scale of colours. A
translator is given --prompt, its source, and --target (without it, what the model writes is shown): the source against
itself, the target against itself, the target against the source. A model of pictures is given --image: where the class
token looks.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attndsl.cli.arguments import Parser, Usage, add_backend, add_output, natural
from attndsl.cli.using import add_examples, add_model, examples_of, open_model, typed


def configure(parser: Parser) -> None:
    add_model(parser)
    add_examples(parser, several=False)
    parser.add_argument("--prompt", "--source", metavar="TEXT", help="the same as --text: what an encoder is given")
    parser.add_argument(
        "--target", metavar="TEXT", help="the text of the decoder (default: what it would write itself)"
    )
    parser.add_argument("--layer", type=natural, metavar="N", help="only this layer, counted from 0")
    parser.add_argument("--head", type=natural, metavar="N", help="only this head, counted from 0")
    add_output(
        parser, "the file to write: .html for a page with all of them, .svg or .png for a picture", required=True
    )
    add_backend(parser, default="the one that the run was trained with")


def run(args: Any) -> int:
    from attndsl.attention_maps import ENDINGS, save
    from attndsl.cli.paths import checked

    if Path(args.output).suffix.lower() not in ENDINGS:
        raise Usage(f"`{args.output}` is none of .html, .svg and .png", "for example `-o attention.html`")
    place = checked(args.output)  # before anything is computed
    args.text += [args.prompt] if args.prompt is not None else []
    if len(args.text) + len(args.image) > 1:
        raise Usage("one text or picture at a time can be drawn", "leave the others out")
    trained = open_model(args)
    if args.target is not None and "target" not in trained.recipe.objective.roles:
        raise Usage("`--target` is the text of a decoder beside an encoder, and this model has none", "leave it out")
    (example, *more) = examples_of(trained, args)
    if more:
        raise Usage(f"`{args.image[0]}` holds {len(more) + 1:,} pictures, and one at a time can be drawn")
    from attndsl.attention_maps.run import attend

    target = typed(args.target) if args.target is not None else None
    maps = attend(trained, example, target, backend=args.backend, device=args.device)
    maps = maps.chosen(args.layer, args.head)
    how = f"attndsl attend {args.run} …"
    save(maps, place, how)
    for group in maps.groups:
        heads = max(len(layer.heads) for layer in group.layers)
        print(f"{group.title}: {_count(len(group.layers), 'layer')} of {_count(heads, 'head')}")
    print(f"wrote {args.output}")
    return 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")
