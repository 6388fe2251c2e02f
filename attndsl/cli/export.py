"""Export a trained model for other tools.

--to huggingface DIR    a folder that `transformers` loads, by what the spec's weights section says; with the run's
                        tokenizer, where it reads text
--to safetensors FILE   one file with the parameters by their addresses (h.0.ln_1.scale); with --shard-size a folder
--to onnx FILE          one file of ONNX, for ONNX Runtime and others: the model in use, with dynamic axes by the names
                        of their sizes and the parameters by their addresses; with --incremental a graph that reads
                        a text on, whose states are inputs and, with `.next` behind their names, outputs
--to torch FILE         a program of `torch.export` (.pt2) that says the same, for PyTorch without attndsl; `states` is
                        a dict that goes in and comes out
"""

from __future__ import annotations

import argparse
import json
import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from attndsl.cli.arguments import Parser, Usage, add_sizes, path, positive
from attndsl.cli.paths import checked
from attndsl.diagnostics import error, listed

if TYPE_CHECKING:
    from pathlib import Path

    from attndsl.elaborate import Spec
    from attndsl.generation import Run
    from attndsl.syntax import tree


HUGGINGFACE, ONNX = "huggingface", "onnx"
_UNITS = {
    "": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 2**10, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40,
}  # fmt: skip


def size(text: str) -> int:
    """Bytes, as `500MB` says them."""
    found = re.fullmatch(r"(\d{1,18}(?:\.\d{1,18})?) *(|[kmgt]i?b)", text.strip(), re.IGNORECASE)
    count = int(Fraction(found[1]) * _UNITS[found[2].upper()]) if found is not None else 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"`{text}` is not a size: 500MB and 2GB are")
    return count


def configure(parser: Parser) -> None:
    parser.add_argument("run", metavar="RUN", type=path, help="the folder that `attndsl train` wrote")
    parser.add_argument(
        "--to", required=True, choices=(HUGGINGFACE, ONNX, "safetensors", *_backends()), help="for whom"
    )
    parser.add_argument("path", metavar="PATH", type=path, help="the folder or file to write")
    parser.add_argument(
        "--force",
        action="store_true",
        help="write into a folder that holds other files, or overwrite a file that is not an earlier export",
    )
    parser.add_argument(
        "--shard-size",
        metavar="SIZE",
        type=size,
        help="write several files with an index, with at most so many bytes of tensors each (500MB, 2GB; a larger "
        "tensor is alone in its file); without, a folder has one file up to 5GB",
    )
    programs = parser.add_argument_group("of programs")
    programs.add_argument("--incremental", action="store_true", help="the graph that reads a text on, token by token")
    programs.add_argument(
        "--inputs", metavar="NAMES", default="", help="the optional inputs that the file takes, as `valid,targets`"
    )
    programs.add_argument("--outputs", metavar="NAMES", help="what it gives (default: all that these inputs allow)")
    programs.add_argument("--opset", metavar="N", type=positive, help="the version of ONNX's operators (default: 23)")
    add_sizes(parser, "lengths that are constants in a program of torch; all others stay open")


def run(args: Any) -> int:
    from attndsl.elaborate import open_spec
    from attndsl.generation import load_run
    from attndsl.runs.record import open_record
    from attndsl.storage.shards import LARGEST
    from attndsl.weights import check_replaceable, export_huggingface, save_shards, save_weights

    _require_fitting(args)
    trained = load_run(args.run)
    left: tuple[str, ...] = ()
    largest = args.shard_size or LARGEST
    if args.to == "safetensors" and args.shard_size is not None:
        save_shards(args.path, trained.weights, trained.graph, largest=largest, force=args.force)
    elif args.to == "safetensors":
        target = checked(args.path)
        check_replaceable(target, force=args.force)
        save_weights(target, trained.weights, trained.graph)
    elif args.to != HUGGINGFACE:
        _, *others = (_to_onnx if args.to == ONNX else _to_backend)(args, trained)
        for file in others:
            print(f"wrote {file}, which belongs to it")
    else:
        section = _section(open_spec(open_record(trained.folder).spec), args.to)
        labels = trained.facts.get("labels") or ()
        left = export_huggingface(
            args.path, trained.graph, trained.weights, section,
            labels=labels, ids=_ids(trained), beside=_tokenizer(trained), force=args.force,
            largest=largest,
        )  # fmt: skip
    size = f"{trained.graph.parameter_count:,} parameters"
    print(f"wrote {args.path}: {trained.graph.name}, {size}, after {trained.step:,} steps")
    for address in left:
        print(f"left out: the state `{address}`, which has no name in {args.to}")
    return 0


def _require_fitting(args: Any) -> None:
    """Options are for what they say something of."""
    others = _backends()
    for option, given, kinds in (
        ("--incremental", args.incremental, (ONNX, *others)),
        ("--inputs", args.inputs, (ONNX, *others)),
        ("--outputs", args.outputs is not None, (ONNX, *others)),
        ("--opset", args.opset is not None, (ONNX,)),
        ("--size", args.sizes, others),
        ("--shard-size", args.shard_size is not None, (HUGGINGFACE, "safetensors")),
    ):
        if given and args.to not in kinds:
            raise Usage(f"`{option}` is for {listed([f'`--to {kind}`' for kind in kinds], 'and')}")


def _backends() -> tuple[str, ...]:
    """Those that write programs of their own."""
    from attndsl.running import backends

    return tuple(name for name, backend in backends.backends().items() if backend.exports)


def _to_onnx(args: Any, run: Run) -> tuple[Path, ...]:
    from attndsl.onnx_export import OPSET, export_onnx

    return export_onnx(
        checked(args.path), run.graph, run.weights,
        inputs=_names(args.inputs), outputs=None if args.outputs is None else _names(args.outputs),
        opset=args.opset or OPSET, incremental=args.incremental, force=args.force,
    )  # fmt: skip


def _to_backend(args: Any, run: Run) -> tuple[Path, ...]:
    from attndsl.passes.chosen import by_file
    from attndsl.running import backends
    from attndsl.weights import check_replaceable

    exporter = backends.find(args.to).exporter()
    outputs = None if args.outputs is None else _names(args.outputs)
    files = by_file(checked(args.path), run.graph, _names(args.inputs), outputs, incremental=args.incremental)
    for place in files:
        check_replaceable(place, force=args.force, is_earlier=exporter.is_earlier)
    made = {
        place: exporter.exported(graph, run.weights, taken, given, args.sizes)
        for place, (graph, taken, given) in files.items()
    }
    for place, (program, graph) in made.items():
        exporter.write_exported(program, graph, place)
    return tuple(made)


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
