"""Export a trained model for other tools.

--to huggingface DIR    a folder that `transformers` loads, by what the spec's weights section says; with the run's
                        tokenizer, where it reads text
--to safetensors FILE   one file with the parameters by their addresses (h.0.ln_1.scale)
--to onnx FILE          one file of ONNX, for ONNX Runtime and others: the model in use, with dynamic axes by the names
                        of their sizes and the parameters by their addresses; with --incremental a graph that reads
                        a text on, whose states are inputs and, with `.next` behind their names, outputs
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, Usage, path, positive
from attndsl.diagnostics import error

if TYPE_CHECKING:
    from attndsl.elaborate import Spec
    from attndsl.generation import Run
    from attndsl.syntax import tree


def configure(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=path, help="the folder that `attndsl train` wrote")
    parser.add_argument("--to", required=True, choices=("huggingface", "onnx", "safetensors"), help="for whom")
    parser.add_argument("path", metavar="PATH", type=path, help="the folder or file to write")
    parser.add_argument(
        "--force",
        action="store_true",
        help="write into a folder that holds other files, or overwrite a file that is not an earlier export",
    )
    onnx = parser.add_argument_group("of ONNX")
    onnx.add_argument("--incremental", action="store_true", help="the graph that reads a text on, token by token")
    onnx.add_argument(
        "--inputs", metavar="NAMES", default="", help="the optional inputs that the file takes, as `valid,targets`"
    )
    onnx.add_argument("--outputs", metavar="NAMES", help="what it gives (default: all that these inputs allow)")
    onnx.add_argument("--opset", metavar="N", type=positive, help="the version of ONNX's operators (default: 23)")


def run(args: Any) -> int:
    from attndsl.elaborate import open_spec
    from attndsl.generation import load_run
    from attndsl.runs.record import open_record
    from attndsl.weights import check_replaceable, export_huggingface, save_weights

    if args.to != "onnx" and (args.incremental or args.inputs or args.outputs is not None or args.opset is not None):
        raise Usage("`--incremental`, `--inputs`, `--outputs` and `--opset` are for `--to onnx`")
    trained = load_run(args.run)
    left: tuple[str, ...] = ()
    if args.to == "safetensors":
        from attndsl.cli.paths import checked

        target = checked(args.path)
        check_replaceable(target, force=args.force)
        save_weights(target, trained.weights, trained.graph)
    elif args.to == "onnx":
        from attndsl.cli.paths import checked
        from attndsl.onnx_export import OPSET, export_onnx

        _, *others = export_onnx(
            checked(args.path), trained.graph, trained.weights,
            inputs=_names(args.inputs), outputs=None if args.outputs is None else _names(args.outputs),
            opset=args.opset or OPSET, incremental=args.incremental, force=args.force,
        )  # fmt: skip
        for file in others:
            print(f"wrote {file}, which belongs to it")
    else:
        section = _section(open_spec(open_record(trained.folder).spec), args.to)
        labels = trained.facts.get("labels") or ()
        left = export_huggingface(
            args.path, trained.graph, trained.weights, section,
            labels=labels, ids=_ids(trained), beside=_tokenizer(trained), force=args.force,
        )  # fmt: skip
    size = f"{trained.graph.parameter_count:,} parameters"
    print(f"wrote {args.path}: {trained.graph.name}, {size}, after {trained.step:,} steps")
    for address in left:
        print(f"left out: the state `{address}`, which has no name in {args.to}")
    return 0


def _names(text: str) -> list[str]:
    return [name for name in map(str.strip, text.split(",")) if name]


# What `transformers` calls the token of each role, in a model's configuration (with `_id` behind it) and in a
# tokenizer's.
_OF_TOKENIZERS = {
    "pad": "pad_token", "begin": "bos_token", "end": "eos_token", "unknown": "unk_token", "mask": "mask_token",
}  # fmt: skip
_KEYS = {**_OF_TOKENIZERS, "start": "decoder_start_token"}


def _ids(run: Run) -> dict[str, int | None]:
    """The run's special tokens by the keys of a published configuration. Models that write have a first and a last
    token, or none; what an encoder-decoder's decoder is shown first is `start`, or what stands in for it."""
    from attndsl.data.special import stands_for
    from attndsl.objectives.base import Use

    roles, special = run.recipe.objective.roles, run.tokenizer.special if run.tokenizer is not None else {}
    wanted = ["pad"]
    if run.recipe.objective.about.use not in (Use.PREDICT, Use.EMBED):
        wanted += ["begin", "end"]
    # Without `null`, what `transformers` would take is the number of GPT-2's own token.
    found = {f"{_KEYS[role]}_id": special.get(role) for role in wanted if role in special or role != "pad"}
    start = stands_for("start", dict.fromkeys(special, True)) if "target" in roles else None
    return found | ({f"{_KEYS['start']}_id": special[start]} if start is not None else {})


def _tokenizer(run: Run) -> dict[str, str]:
    """The files from which `transformers` makes the run's tokenizer, by name: `tokenizer.json`, and the roles of its
    special tokens; none where it reads no text."""
    if run.tokenizer is None:
        return {}
    kind = {"tokenizer_class": "PreTrainedTokenizerFast", "clean_up_tokenization_spaces": False}
    roles = {_OF_TOKENIZERS[role]: name for role, name in run.tokenizer.names.items() if role in _OF_TOKENIZERS}
    return {
        "tokenizer.json": run.tokenizer.to_file(),
        "tokenizer_config.json": json.dumps({**kind, **roles}, ensure_ascii=False, indent=2),
    }


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
