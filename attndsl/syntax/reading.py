"""Files → sources, and what can be wrong before any parsing."""

from __future__ import annotations

import os
import stat

from attndsl.diagnostics import AttnError, Source, Span, error, nearest
from attndsl.syntax.limits import MAX_BYTES, too_large


def read_source(path: str, name: str | None = None) -> Source:
    """The text of the file at `path`, which messages will call `name` (or its path). Raises as `read_bytes` and
    `decode` do."""
    name = path if name is None else name
    return decode(read_bytes(path, name), name)


def read_bytes(path: str, name: str) -> bytes:
    """What the file at `path` holds. Raises `AttnError` when it does not exist, is not a regular file, cannot be read
    or is too large (then nothing is read)."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise _directory(path, name)
        if not stat.S_ISREG(status.st_mode):
            raise error("E0001", f"`{name}` is not a file", help="give the path of an `.attn` file")
        if status.st_size > MAX_BYTES:
            raise AttnError(too_large(name, status.st_size))
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(path, name) from None
    except (OSError, ValueError) as problem:  # ValueError: a path with a NUL in it
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        message = f"`{name}` cannot be read: {reason[:1].lower()}{reason[1:]}"
        raise error("E0001", message, help="check the path and its permissions") from None
    if len(data) > MAX_BYTES:  # it grew in between
        raise AttnError(too_large(name, len(data)))
    return data


def decode(data: bytes, name: str) -> Source:
    """The source of a file's bytes. Raises `AttnError` where they are not UTF-8, or hold a NUL."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as problem:
        _refuse_binary(data, name)
        at = len(data[: problem.start].decode("utf-8"))
        source = Source(name, data.decode("utf-8", errors="replace"))
        raise error(
            "E0002",
            f"`{name}` is not UTF-8 text",
            Span(source, at, at + 1),
            f"byte 0x{data[problem.start]:02x}",
            note=f"at byte {problem.start:,}, on line {source.position(at)[0]}",
            help="save the file as UTF-8",
        ) from None
    at = text.find("\0")
    if at >= 0:
        _refuse_binary(data, name)
        source = Source(name, text)
        raise error(
            "E0002",
            f"`{name}` is not text: it holds a NUL byte",
            Span(source, at, at + 1),
            note=f"at byte {len(text[:at].encode()):,}, on line {source.position(at)[0]}",
        )
    return Source(name, text.removeprefix("\ufeff"))


def _refuse_binary(data: bytes, name: str) -> None:
    from attndsl.syntax.foreign import binary

    told = binary(data, name)
    if told is not None:
        raise AttnError(told)


def _neighbours(folder: str) -> list[str]:
    try:
        return sorted(entry for entry in os.listdir(folder or ".") if entry.endswith(".attn"))
    except OSError:
        return []


def _missing(path: str, name: str) -> AttnError:
    folder, file = os.path.split(path)
    neighbours = _neighbours(folder)
    if folder and not os.path.isdir(folder):
        helps: tuple[str, ...] = (f"there is no folder `{folder}` either",)
    elif file + ".attn" in neighbours:
        helps = (f"did you mean `{os.path.join(folder, file)}.attn`?",)
    else:
        # The endings, which are all the same, would make any two short names alike.
        near = nearest(file.removesuffix(".attn"), (other.removesuffix(".attn") for other in neighbours))
        helps = (f"did you mean `{os.path.join(folder, near)}.attn`?",) if near else ()
    helps = (
        helps or _files_in(neighbours, "there are") or ("`attndsl list` shows the specs that are there without a file",)
    )
    return error("E0001", f"there is no file `{name}`", help=helps)


def _directory(path: str, name: str) -> AttnError:
    helps = _files_in(_neighbours(path), "the files in it:") or ("give the path of an `.attn` file",)
    return error("E0001", f"`{name}` is a folder, not a file", help=helps)


def _files_in(names: list[str], intro: str) -> tuple[str, ...]:
    if not names:
        return ()
    return (f"{intro} {', '.join(f'`{file}`' for file in names[:5])}{' …' * (len(names) > 5)}",)
