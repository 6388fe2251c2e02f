"""Give a trained model to other tools.

--to huggingface DIR    a folder that `transformers` loads, by what the spec's weights section says
--to safetensors FILE   one file with the parameters by their addresses (h.0.ln_1.scale)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, path
from attndsl.diagnostics import error

if TYPE_CHECKING:
    from attndsl.elaborate import Spec
    from attndsl.syntax import tree


def configure(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=path, help="the folder that `attndsl train` wrote")
    parser.add_argument("--to", required=True, choices=("huggingface", "safetensors"), help="for whom")
    parser.add_argument("path", metavar="PATH", type=path, help="the folder or file to write")
    parser.add_argument(
        "--force",
        action="store_true",
        help="write into a folder that has other files, or over a file that is no earlier export",
    )


def run(args: Any) -> int:
    from attndsl.elaborate import open_spec
    from attndsl.generation import load_run
    from attndsl.training.record import open_record
    from attndsl.weights import check_replaceable, export_huggingface, save_weights

    trained = load_run(args.run)
    if args.to == "safetensors":
        from attndsl.cli.files import checked

        target = checked(args.path)
        check_replaceable(target, force=args.force)
        save_weights(target, trained.weights, trained.graph)
    else:
        section = _section(open_spec(open_record(trained.folder).spec), args.to)
        labels = trained.facts.get("labels") or ()
        export_huggingface(args.path, trained.graph, trained.weights, section, labels=labels, force=args.force)
    size = f"{trained.graph.parameter_count:,} parameters"
    print(f"wrote {args.path}: {trained.graph.name}, {size}, after {trained.step:,} steps")
    return 0


def _section(spec: Spec, origin: str) -> tree.Weights:
    for section in spec.weights:
        if section.origin.text == origin:
            return section
    raise error(
        "E0650",
        f"the spec of this run does not say what its weights are called in {origin}",
        spec.model.name.span,
        f"no `weights {spec.model.name.text} from {origin}` for this model",
        help=("`--to safetensors` needs no such section", "`attndsl show gpt2` shows how one is written"),
    )
