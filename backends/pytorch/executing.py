"""A written file run: its names, and what a run of it stands in: random numbers, torch's dtype, mistakes said where
they belong."""

from __future__ import annotations

import hashlib
import linecache
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import torch

from attndsl.backends.pytorch.kernels import measured
from attndsl.backends.pytorch.source import WrittenFile
from attndsl.backends.pytorch.timed import TIMED
from attndsl.diagnostics import AttnError, Diagnostic, Label, error
from attndsl.graph import Graph, Node

_numbers = count(1)


def execute(
    written: WrittenFile,
    title: str,
    device: torch.device,
    block: int | None = None,
    products: str | None = None,
    mesh: Any = None,
    timed: bool = False,
) -> dict[str, Any]:
    """The names that the file defines, with the kernels that are the fastest there, or `products` for all products. The
    text is kept where tracebacks and debuggers look for it. Each has a name of its own as a module, by which torch
    knows its operators: those of another file of the same name would take their place. A loss head takes `block` logits
    at a time, if that is given, and one row at least. One that works together with other devices finds them on the
    `mesh`; if it is `timed`, its seconds with them are counted."""
    number = next(_numbers)
    name = f"<attndsl {title} {number}>"
    linecache.cache[name] = (len(written.source), None, written.source.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": f"attndsl_{title}_{number}", "__file__": name}
    exec(compile(written.source, name, "exec", dont_inherit=True), namespace)  # the backend's own text
    if device.type == "cpu" and "KERNELS" in namespace:
        kinds = namespace["KERNELS"]
        kinds.update(dict.fromkeys(kinds, products) if products is not None else measured(kinds))
    if block is not None and "LOGITS" in namespace:
        namespace["LOGITS"] = block
    if "MESH" in namespace:
        namespace["MESH"] = mesh
        if timed:
            namespace["dist"] = TIMED
    return namespace


def step_seed(seed: int, step: int) -> int:
    """The seed of torch's generator at a step: a hash, so that neighbouring steps draw nothing alike."""
    digest = hashlib.blake2b(f"{seed} {step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@contextmanager
def seeded(seed: int, step: int, device: Any) -> Iterator[None]:
    """What is drawn inside depends on (seed, step) alone, and the generators outside do not notice."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices):
        number = step_seed(seed, step)
        torch.default_generator.manual_seed(number)  # `torch.manual_seed` would load torch's compiler
        for each in devices:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(number)
        yield


@contextmanager
def nothing() -> Iterator[None]:
    yield


@contextmanager
def by_kernel(name: str | None) -> Iterator[None]:
    """Attention that is torch's own call, by one of its kernels, and by the plain one where that does not do."""
    if name is None:
        yield
        return
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel([getattr(SDPBackend, name), SDPBackend.MATH]):
        yield


@contextmanager
def float_dtype(dtype: Any) -> Iterator[None]:
    """For models without a parameter or float input to take their dtype from."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


# ---------------------------------------------------------------- what may go wrong


@contextmanager
def out_of_memory(graph: Graph, device: Any) -> Iterator[None]:
    try:
        yield
    except (RuntimeError, MemoryError) as problem:
        text = str(problem)
        full = isinstance(problem, (torch.OutOfMemoryError, MemoryError)) or "DefaultCPUAllocator" in text
        if not full:
            raise
        raise error(
            "E0814",
            f"`{graph.name}` ran out of memory on {device}",
            graph.span,
            note=text.strip().split("\n")[0],
            help="make the batch or the sequence shorter, take a smaller variant, or compute in bfloat16",
        ) from None


@contextmanager
def placed(written: WrittenFile) -> Iterator[None]:
    """An index out of range, and an int divided by zero, said at the line of the spec that they come from."""
    try:
        yield
    except (ArithmeticError, IndexError, RuntimeError) as problem:
        text = str(problem)
        node = failed_node(written, problem)
        at = Label(node.at) if node is not None and node.at is not None else None
        if isinstance(problem, ArithmeticError):
            raise AttnError(Diagnostic("E0805", text, at)) from None
        beyond = ("out of bounds", "Class values must be", "indexing axis dim should be positive")
        index = isinstance(problem, IndexError) or any(said in text for said in beyond)
        if not index and "ZeroDivisionError" not in text:
            raise
        code, said = ("E0801", "an index is out of range") if index else ("E0805", "an int is divided by zero")
        raise AttnError(Diagnostic(code, said, at, notes=(f"torch: {text.splitlines()[0]}",))) from None


def failed_node(written: WrittenFile, problem: BaseException) -> Node | None:
    """The node behind the innermost line of the written file that the problem passed through."""
    found, trace = None, problem.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.startswith("<attndsl "):
            found = written.nodes.get(trace.tb_lineno) or found
        trace = trace.tb_next
    return found
