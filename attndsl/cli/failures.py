"""What becomes of every exception: a message that a user can act on, and an exit code. No traceback reaches him. And
what becomes of warnings: printed as errors are, errors with --strict, nothing with --allow."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attndsl.diagnostics import AttnError, Diagnostic
from attndsl.records import replace

FAILED = 1
INTERRUPTED = 130
BROKEN_PIPE = 141


def guarded(action: Callable[[], int], *, as_json: bool = False) -> int:
    """Run `action` and give its exit code, or that of what stopped it, which is told on stderr (on stdout as JSON)."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that lacks `×` shall not be the reason for failing
    try:
        code = action()
        sys.stdout.flush()
        return code
    except SystemExit as leaving:  # argparse has said its piece
        return leaving.code if isinstance(leaving.code, int) else FAILED
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has what it wanted. Nothing more may be written, not even by the interpreter's last flush.
        _close_stdout()
        return BROKEN_PIPE
    except Exception as problem:
        try:
            sys.stdout.flush()
        except OSError:  # a full disk keeps what could not be written in the buffer, and refuses it again at the end
            _close_stdout()
        if os.environ.get("ATTNDSL_TRACEBACK"):
            raise
        found = diagnostics_of(problem)
        if found is None:
            print(_bug(problem), file=sys.stderr)
            return FAILED
        report(found, as_json=as_json)
        return FAILED


def _close_stdout() -> None:
    """Send what is still to be written to nowhere."""
    with contextlib.suppress(OSError, ValueError):  # it may not be a file at all
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def report(diagnostics: tuple[Diagnostic, ...], *, as_json: bool = False) -> None:
    """Print diagnostics: as text on stderr, with the number of warnings at the end, or as JSON on stdout."""
    from attndsl.diagnostics.report import counted, render, to_json, wants_color

    sys.stdout.flush()
    if as_json:
        import json

        print(json.dumps(to_json(diagnostics), indent=2, ensure_ascii=False), flush=True)
    else:
        count = counted(diagnostics)
        text = render(diagnostics, color=wants_color(sys.stderr))
        print(f"{text}\n\n{count}\n" if count else text, file=sys.stderr)


class Warnings:
    """Listens to what a verb is warned of; `args` are its words, which may say `strict` and which codes to `allow`."""

    def __init__(self, args: Any) -> None:
        self.strict: bool = getattr(args, "strict", False)
        self.allowed: frozenset[str] = frozenset(getattr(args, "allow", ()))
        self.reported: set[Diagnostic] = set()

    def judged(self, found: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
        """Those that are not allowed; where it is strict, as errors."""
        kept = tuple(it for it in found if it.code not in self.allowed)
        return tuple(replace(it, severity="error") for it in kept) if self.strict else kept

    def __call__(self, found: tuple[Diagnostic, ...]) -> None:
        judged = tuple(it for it in self.judged(found) if it not in self.reported)
        self.reported.update(judged)
        if judged and self.strict:
            raise AttnError(*judged)
        if judged:
            report(judged)


def diagnostics_of(problem: Exception) -> tuple[Diagnostic, ...] | None:
    """The diagnostics that tell a user about `problem`; None where it can only be a bug of ours."""
    if isinstance(problem, AttnError):
        return problem.diagnostics
    if isinstance(problem, OSError):
        return (_of_system(problem),)
    if isinstance(problem, MemoryError) or _is_of_memory(problem):
        return (_of_memory(problem),)
    return None


def with_settings(diagnostics: tuple[Diagnostic, ...], settings: Mapping[str, str]) -> tuple[Diagnostic, ...]:
    """The diagnostics; where a value is out of its range, with the `--set` that it came from."""

    def with_help(it: Diagnostic) -> Diagnostic:
        if it.code not in ("E0209", "E0403"):
            return it
        said = set(re.findall(r"\w+", it.message + " " + (it.primary.span.text if it.primary else "")))
        ways = tuple(
            f"give `{name}` another value than `--set {name}={settings[name]}`" for name in settings if name in said
        )
        return replace(it, helps=(*it.helps, *ways))

    return tuple(with_help(it) for it in diagnostics)


def _of_system(problem: OSError) -> Diagnostic:
    reason = problem.strerror or str(problem) or type(problem).__name__
    place = f"`{os.fsdecode(problem.filename)}`: " if problem.filename is not None else ""
    helps = {
        "ENOSPC": "free some space or write somewhere else; what was there before is untouched",
        "EACCES": "check its permissions",
        "EISDIR": "it is a folder: name a file",
        "ENOTDIR": "a part of the path is a file, not a folder",
        "EROFS": "the file system is read-only: write somewhere else",
        "ENAMETOOLONG": "a name in a path has at most 255 bytes: choose a shorter one",
    }
    import errno

    help = helps.get(errno.errorcode.get(problem.errno or 0, ""))
    return Diagnostic("E0590", f"{place}{reason[:1].lower()}{reason[1:]}", helps=(help,) if help else ())


def _of_memory(problem: Exception) -> Diagnostic:
    first = str(problem).strip().split("\n")[0]
    return Diagnostic(
        "E0890",
        "there is not enough memory for this",
        notes=(first,) if first else (),
        helps=(
            "make it smaller: `--size B=1,T=…`, a smaller batch, or a smaller variant; "
            "`attndsl inspect SPEC --size …` says how much a model takes",
        ),
    )


def _is_of_memory(problem: Exception) -> bool:
    # torch is never imported for this: its own class is found by name; the CPU's allocator raises a plain RuntimeError,
    # and NumPy a ValueError for more bytes than can be counted.
    names = {cls.__name__ for cls in type(problem).__mro__}
    return "OutOfMemoryError" in names or (
        isinstance(problem, (RuntimeError, ValueError))
        and any(
            said in str(problem)
            for said in (
                "can't allocate memory",
                "array is too big",
                "Maximum allowed dimension",
                "Storage size calculation",
            )
        )
    )


def _bug(problem: Exception) -> str:
    import traceback

    frames = traceback.extract_tb(problem.__traceback__)
    where = f" ({os.path.basename(frames[-1].filename)}:{frames[-1].lineno} in {frames[-1].name})" if frames else ""
    first = str(problem).strip().split("\n")[0]
    from attndsl import __version__

    version = ".".join(map(str, sys.version_info[:3]))
    return "\n".join(
        (
            f"this is a bug in attndsl: {type(problem).__name__}: {first}{where}",
            f"  attndsl {__version__}, Python {version}, {sys.platform}",
            "  please report it with the command line and the spec; ATTNDSL_TRACEBACK=1 shows where it happened",
        )
    )
