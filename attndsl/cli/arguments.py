"""What verbs have in common on the command line: the parser, and the options that several of them take."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Any, NoReturn

from attndsl.diagnostics import did_you_mean, listed

USAGE = 2  # the exit code of a command line that makes no sense


class Usage(Exception):
    """Options that make no sense together, found after parsing; told like argparse's own complaints."""

    def __init__(self, message: str, *helps: str) -> None:
        super().__init__(message)
        self.message, self.helps = message, helps


class _Help(argparse.RawDescriptionHelpFormatter):
    """argparse makes one for every option that is added, and asks how wide the terminal is each time."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, **{"width": _columns(), **options})


def _columns() -> int:
    try:
        columns = int(os.environ.get("COLUMNS", 0)) or os.get_terminal_size(1).columns
    except (OSError, ValueError):
        columns = 0
    return (columns or 80) - 2


class Parser(argparse.ArgumentParser):
    """argparse with our manner of speaking: what is wrong, what was probably meant, where to read on."""

    def __init__(self, prog: str, **options: Any) -> None:
        super().__init__(prog, allow_abbrev=False, formatter_class=_Help, add_help=False, **options)
        self.add_argument("-h", "--help", action="help", help="print this help and exit")

    def parse_strictly(self, argv: list[str]) -> argparse.Namespace:
        args, unknown = self.parse_known_args(argv)
        if unknown:
            option = unknown[0].split("=")[0]
            if not option.startswith("-"):
                self.error(f"unexpected argument `{unknown[0]}`")
            known = [name for action in self._actions for name in action.option_strings]
            self.error(f"unknown option `{option}`", *did_you_mean(option, known))
        return args

    def error(self, message: str, *helps: str) -> NoReturn:
        from attndsl.diagnostics.report import as_message
        from attndsl.running.processes import Launch

        lines = [
            f"{self.prog}: {message}",
            *(f"  {help}" for help in helps),
            f"  `{self.prog} --help` shows how it is used",
        ]
        # Of several processes that a launcher gave the same words, the first says it.
        launch = Launch.of_environment()
        self.exit(USAGE, "\n".join(map(as_message, lines)) + "\n" if launch is None or not launch.rank else None)


def path(text: str) -> str:
    """Whatever names a file or a folder (or a spec): anything but nothing, which Python would take for `.`."""
    if not text:
        raise argparse.ArgumentTypeError("the path is empty: name a file or a folder")
    return text


def positive(text: str) -> int:
    """A whole number of at least 1."""
    return _number(text, lambda value: value >= 1, "a whole number of at least 1")


def natural(text: str) -> int:
    """A whole number of at least 0."""
    return _number(text, lambda value: value >= 0, "a whole number of at least 0")


def _number(text: str, fits: Callable[[int], bool], wanted: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = None
    if value is None or not fits(value):
        raise argparse.ArgumentTypeError(f"`{text}` is not {wanted}")
    return value


class _Settings(argparse.Action):
    """`--set name=value`, repeated: a mapping from names to texts; the spec's own types decide what a text means."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        name, equals, value = values.partition("=")
        name, value = name.strip(), value.strip()
        if not equals or not name or not value:
            parser.error(f"`--set {values}`: write `--set name=value`, for example `--set depth=6`")
        settings = dict(getattr(namespace, self.dest))
        if name in settings and settings[name] != value:
            parser.error(f"`--set {name}` is given twice: {settings[name]} and {value}")
        settings[name] = value
        setattr(namespace, self.dest, settings)


LONGEST = 2**62 - 1
"""What a size may be, as for a hyperparameter."""


class _Sizes(argparse.Action):
    """`--size B=2,T=128`: a mapping from the names of sizes to whole numbers."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        sizes = dict(getattr(namespace, self.dest))
        for entry in values.split(","):
            name, equals, value = (part.strip() for part in entry.partition("="))
            if not equals or not name or not value.isdecimal() or not value.isascii():
                parser.error(f"`--size {values}`: write sizes as whole numbers, for example `--size B=2,T=128`")
            if len(value) > len(str(LONGEST)) or int(value) > LONGEST:
                parser.error(f"`--size {name}`: no axis is longer than {LONGEST:,}")
            if name in sizes and sizes[name] != int(value):
                parser.error(f"`--size {name}` is given twice: {sizes[name]} and {int(value)}")
            sizes[name] = int(value)
        setattr(namespace, self.dest, sizes)


def add_spec(parser: Parser, *, several: bool = False) -> None:
    parser.add_argument(
        "specs" if several else "spec",
        metavar="SPEC",
        type=path,
        nargs="+" if several else None,
        help="a file (my.attn), a shipped spec (gpt2), a variant of either (gpt2:medium, my.attn:large), or the folder "
        "of a run",
    )


def add_tried(parser: Parser) -> None:
    """What a verb is told that tries a model on examples."""
    add_spec(parser)
    add_settings(parser)
    add_warnings(parser)
    add_sizes(parser, "sizes of the example inputs")
    add_weights(parser)
    add_seed(parser)
    add_json(parser)


def add_settings(parser: Parser, help: str = "set a hyperparameter (may be repeated)") -> None:
    parser.add_argument(
        "--set",
        dest="settings",
        metavar="NAME=VALUE",
        action=_Settings,
        default={},
        help=help,
    )


def add_warnings(parser: Parser) -> None:
    """`--strict` and `--allow`, for every verb that checks a spec (`attndsl.cli.failures.Warnings` reads them)."""
    parser.add_argument("--strict", action="store_true", help="treat warnings as errors")
    parser.add_argument(
        "--allow",
        metavar="CODE",
        action="append",
        type=_warning_code,
        default=[],
        help="do not report warnings with this code, such as W0101 (may be repeated)",
    )


def _warning_code(text: str) -> str:
    """The code of a warning, as messages show it."""
    from attndsl.diagnostics.codes import codes

    code = text.strip().upper()
    known = [known for known in codes() if known.startswith("W")]
    if code not in known:
        near = did_you_mean(code, known)
        raise argparse.ArgumentTypeError(f"there is no warning `{text}`" + "".join(f"; {help}" for help in near))
    return code


def add_sizes(parser: Parser, meaning: str) -> None:
    parser.add_argument("--size", dest="sizes", metavar="B=2,T=128", action=_Sizes, default={}, help=meaning)


def add_json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON for other programs (with a versioned schema)")


def add_output(parser: Parser, meaning: str, *, required: bool = False) -> None:
    parser.add_argument("-o", "--output", metavar="PATH", type=path, required=required, help=meaning)


def add_backend(parser: Parser, *, default: str | None = None) -> None:
    """`--backend` and `--device`, of those that there are. `default` says which backend is taken without."""
    from attndsl.running import backends

    known = backends.backends().values()
    described = listed([each.name + (f" (`{each.install}`)" if each.install else "") for each in known], "or")
    if default is None:
        default = " where it is installed, else ".join(each.name for each in backends.by_preference())
    parser.add_argument(
        "--backend",
        type=backends.canonical,
        choices=tuple(backends.backends()),
        help=f"{described}; default: {default}",
    )
    add_device(parser)


def add_device(parser: Parser) -> None:
    from attndsl.running import backends

    known = dict.fromkeys(device for each in backends.backends().values() for device in each.devices)
    parser.add_argument(
        "--device", choices=tuple(known), help="where to compute (default: the best device that the backend finds)"
    )


def add_dtype(parser: Parser, meaning: str) -> None:
    from attndsl.running import backends

    known = dict.fromkeys(dtype for each in backends.backends().values() for dtype in each.dtypes)
    parser.add_argument("--dtype", choices=tuple(known), default="float32", help=meaning)


def add_weights_as(parser: Parser) -> None:
    from attndsl.running.weights_as import WEIGHTS_AS

    parser.add_argument(
        "--weights-as",
        choices=WEIGHTS_AS,
        help="keep the matrices in fewer bits, which is faster where a token is made at a time: bfloat16 rounds, int8 "
        "has a scale for each channel (default: float32)",
    )


def add_weights(parser: Parser) -> None:
    parser.add_argument(
        "--weights",
        metavar="PATH",
        type=path,
        help="a safetensors file in our names, a run's folder, or a folder that `save_pretrained` wrote "
        "(default: initial values drawn from --seed)",
    )


def add_seed(parser: Parser) -> None:
    parser.add_argument(
        "--seed", type=natural, default=0, metavar="N", help="the seed of all random numbers (default: 0)"
    )
