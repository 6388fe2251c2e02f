"""Print the text of a spec, or of the standard library's file that has a block, mask or bias.

`attndsl show gpt2 > my.attn` gives a spec to change; `attndsl show layer_norm` shows how the norm is written.

With --equations, what a model computes is printed as formulas instead: its own equations, with repeats as recursions,
and one definition for each block, masks by their formulas. They are read off the checked graph, so they are those of
the variant and the hyperparameters at hand. It is a page of Markdown, or with --latex a document of its own.
"""

from __future__ import annotations

import sys
from typing import Any

from attndsl.cli.arguments import Parser, Usage, add_settings, path


def configure(parser: Parser) -> None:
    parser.add_argument(
        "spec", metavar="SPEC", type=path, help="a spec, or a name of the standard library: gpt2, layer_norm, causal"
    )
    parser.add_argument("--equations", action="store_true", help="print what the model computes, as formulas")
    parser.add_argument("--latex", action="store_true", help="print the equations as a LaTeX document")
    add_settings(parser, "set a hyperparameter of the model whose equations are printed (may be repeated)")


def run(args: Any) -> int:
    if args.equations:
        sys.stdout.write(_equations(args.spec, args.settings, latex=args.latex))
        return 0
    if args.latex or args.settings:
        option = "--latex" if args.latex else "--set"
        raise Usage(f"`{option}` is for equations, and a spec's text is printed as it is", "add `--equations`")
    sys.stdout.write(_text(args.spec))
    return 0


def _equations(spec: str, settings: dict[str, str], *, latex: bool) -> str:
    from attndsl.cli.models import load_graph
    from attndsl.typesetting import equations, equations_in_latex, equations_in_markdown

    if _standard(spec) is not None:
        message = f"`{spec}` is of the standard library, and equations are those of a model"
        raise Usage(message, "name a spec that uses it, such as `gpt2`: every block that it calls is defined")
    found = equations(load_graph(spec, settings))
    return equations_in_latex(found) if latex else equations_in_markdown(found)


def _text(name: str) -> str:
    from attndsl.elaborate import open_spec

    place = _standard(name)
    return open_spec(name).source.text if place is None else place


def _standard(name: str) -> str | None:
    """The text of the standard library's file that has `name`; None where it has no such name, or a spec has it too."""
    from attndsl.elaborate import shipped
    from attndsl.elaborate.files import standard_names

    place = standard_names().get(name)
    return None if place is None or name in shipped() else place.read_text(encoding="utf-8")
