"""Backends: what each can do, told by itself, and the registry that finds one by its name.

A backend is an object that says its names, devices and precisions, what it needs to be installed, and makes programs
and trainers (`Backend`). Those that come with attndsl are the folders of `attndsl/backends`, each with a module
`backend` whose `BACKEND` it is; another package announces one by an entry point of the group `attndsl.backends`, and a
program of yours calls `register`. Nothing else knows which there are.

Finding them loads neither NumPy nor PyTorch: a backend imports what it computes with when it makes something.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypedDict, TypeVar, Unpack

from attndsl.diagnostics import AttnError, did_you_mean, error, listed
from attndsl.lazy import Array
from attndsl.running.processes import ALONE, Launch, Processes

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from attndsl.graph import Graph
    from attndsl.layouts import Layout
    from attndsl.passes import Miss, Rewrite
    from attndsl.running.program import Program
    from attndsl.running.trainer import Trainer, Training
    from attndsl.running.ways import Way

GROUP = "attndsl.backends"
"""The folder of the backends that come with attndsl, and the group of entry points by which others are found."""


class Emitted(NamedTuple):
    """The source that a backend writes: what `attndsl compile --emit` calls it, and the ending of its files."""

    stage: str
    ending: str


Again = Callable[[Mapping[str, int]], "Graph"]
"""A model with other sizes, all of which are given."""


class ProgramArguments(TypedDict):
    """What `make_program` is given beside the graph."""

    dtype: str
    device: str
    parameters: Mapping[str, Array] | None
    seed: int
    compile: bool


class Exporter(Protocol):
    """What makes programs that run without attndsl, as files."""

    def exported(
        self,
        graph: Graph,
        arrays: Mapping[str, Array],
        inputs: Sequence[str] = ...,
        outputs: Sequence[str] | None = ...,
        sizes: Mapping[str, int] | None = ...,
    ) -> tuple[Any, Graph]:
        """The graph in use with `arrays` as its parameters: a program, and the graph that it says. It takes the
        required inputs and those named of the optional ones, and gives these outputs (None: all that the inputs
        allow); `sizes` are lengths that are constants in it."""
        ...

    def write_exported(self, program: Any, graph: Graph, path: str | os.PathLike[str]) -> None:
        """Write both, all or nothing."""
        ...

    def is_earlier(self, path: Path) -> bool:
        """Whether a file is one that was written here."""
        ...


class Backend:
    """A way to run graphs. A subclass says what it can do, and implements `make_program`; `make_trainer` where it
    trains, `source` where it writes any.

    `program` and `trainer` check what is asked for against what is said here, so that no backend tells its limits
    itself.
    """

    name: str
    """As `--backend` takes it."""
    title: str
    """As people call it: `PyTorch`."""
    aliases: tuple[str, ...] = ()
    """Other names that are understood."""
    packages: tuple[str, ...] = ()
    """The modules that it computes with: all must be importable, and a run records their versions."""
    install: str = ""
    """The command that installs `packages`; empty where they come with attndsl."""
    devices: tuple[str, ...] = ("cpu",)
    """Kinds of devices; `cuda:1` is one of the kind `cuda`."""
    dtypes: tuple[str, ...] = ("float32", "float64")
    """The precisions of its programs."""
    precisions: tuple[str, ...] = ()
    """The precisions that it trains in, first the one that stands in for those it lacks; empty: it does not train."""
    parallel: bool = False
    """Whether it trains in several processes."""
    compiles: bool = False
    """Whether its programs can be translated further (`--compile`)."""
    optimizes: bool = False
    """Whether its programs run the graph after the passes; else the graph as it is."""
    emits: Emitted | None = None
    """What `source` writes."""
    exports: bool = False
    """Whether `attndsl export` can write a model as a program of its own, which runs without attndsl."""
    is_reference: bool = False
    """Whether it says what is right: what all others are held against."""
    preference: int = 0
    """The default is the installed one with the highest; a backend that is not to be the default leaves it at 0."""

    def make_program(
        self,
        graph: Graph,
        *,
        dtype: str,
        device: str,
        parameters: Mapping[str, Array] | None,
        seed: int,
        compile: bool,
    ) -> Program:
        """A program of `graph` with these parameters by address; None: drawn by `seed`
        (`attndsl.running.initial.initial_parameters`)."""
        raise NotImplementedError(type(self).__name__)

    def make_stored(self, graph: Graph, weights_as: str, **given: Unpack[ProgramArguments]) -> Program:
        """A program whose matrices are kept as `weights_as` (`Program.store`)."""
        program = self.make_program(graph, **given)
        program.store(weights_as)
        return program

    def make_trainer(
        self,
        graph: Graph,
        recipe: Training,
        *,
        device: str,
        parameters: Mapping[str, Array] | None,
        compile: bool,
        processes: Processes,
        layout: Layout | None,
    ) -> Trainer:
        """A trainer of `graph` by `recipe`, which computes in `self.precision(recipe.precision)`; one of several where
        the backend has `joined` them, by the `layout` (None: each has its share of rows and parameters)."""
        raise NotImplementedError(type(self).__name__)

    def source(self, graph: Graph, device: str | None = None, again: Again | None = None) -> str:
        """The text that runs `graph` without attndsl, where it `emits` one, written for one of its `devices` (None: the
        first). Where `again` makes the same model with other sizes (or raises `AttnError`), the text may leave those
        open on which nothing else in it hangs."""
        raise NotImplementedError(type(self).__name__)

    def exporter(self) -> Exporter:
        """What exports models, where it `exports`."""
        raise NotImplementedError(type(self).__name__)

    def taken_apart(self, graph: Graph) -> Sequence[Miss]:
        """The operators of an optimised graph that it computes by their parts though others have one call for them, and
        why."""
        return ()

    def ways(self) -> Sequence[Way]:
        """The ways in which it can run a graph besides its usual one: without its passes, compiled, by another kernel.
        All give the same, which `attndsl verify` shows."""
        return ()

    def attention_forms(self, graph: Graph) -> Sequence[Rewrite]:
        """How it computes the attentions of an optimised graph, and why so."""
        return ()

    def kernels(self, graph: Graph) -> Sequence[str]:
        """With what it computes an optimised graph's products on this machine's processor, in words: a heading and
        lines below it. It may time them, and is asked only where all `packages` are there."""
        return ()

    def default_device(self) -> str:
        """The best device that this machine has. Called only where all `packages` are there."""
        return self.devices[0]

    def require_device(self, device: str) -> None:
        """Raise E0811 where this machine lacks a device of a known kind."""

    def joined(self, launch: Launch) -> AbstractContextManager[Processes]:
        """The processes that train together, of which this one is one. Raises E0770 where they cannot meet."""
        raise NotImplementedError(type(self).__name__)

    def launch(self, count: int, words: Sequence[str]) -> int:
        """Run Python with these words in `count` processes of this machine that are `joined`; the exit code. Raises
        E0771 where one was killed."""
        raise NotImplementedError(type(self).__name__)

    # ------------------------------------------------------------ what others call

    @property
    def names(self) -> tuple[str, ...]:
        """Its name, and its aliases."""
        return (self.name, *self.aliases)

    @property
    def installed(self) -> bool:
        """Whether its packages are there; they are not loaded."""
        return all(importlib.util.find_spec(package) is not None for package in self.packages)

    def program(
        self,
        graph: Graph,
        *,
        dtype: str = "float32",
        device: str | None = None,
        parameters: Mapping[str, Array] | None = None,
        seed: int = 0,
        compile: bool = False,
        weights_as: str | None = None,
    ) -> Program:
        """A program of `graph` (`attndsl.running.program.Program`). Without `parameters` they are drawn by `seed`;
        without a `device` it is the best there is; with `weights_as` its matrices are kept in fewer
        bits (`attndsl.running.weights_as`). Raises E0806 (parameters that do not fit into memory), E0807 (parameters of
        another model), E0810 to E0812 (see `require`)."""
        place = self.require(dtype=dtype, device=device, compile=compile)
        given: ProgramArguments = {
            "dtype": dtype,
            "device": place,
            "parameters": parameters,
            "seed": seed,
            "compile": compile,
        }
        if weights_as is None:
            return self.make_program(graph, **given)
        return self.make_stored(graph, weights_as, **given)

    def trainer(
        self,
        graph: Graph,
        recipe: Training,
        *,
        device: str | None = None,
        parameters: Mapping[str, Array] | None = None,
        compile: bool = False,
        processes: Processes = ALONE,
        layout: Layout | None = None,
    ) -> Trainer:
        """A trainer of `graph` (`attndsl.running.trainer.Trainer`), one of those of `processes` by the `layout`. Raises
        what `program` raises, and E0812 where the backend does not train, or not in several processes."""
        if not self.precisions:
            raise error("E0812", f"the {self.title} backend does not train", help=_others(lambda b: bool(b.precisions)))
        if processes.size > 1 and not self.parallel:
            raise error("E0812", f"the {self.title} backend trains in one process", help=_others(lambda b: b.parallel))
        place = self.require(device=device, compile=compile)
        return self.make_trainer(
            graph, recipe, device=place, parameters=parameters, compile=compile, processes=processes,
            layout=layout,
        )  # fmt: skip

    def precision(self, wanted: str) -> str:
        """What a trainer computes in that is asked for `wanted`."""
        return wanted if wanted in self.precisions else self.precisions[0]

    def require(self, *, dtype: str | None = None, device: str | None = None, compile: bool = False) -> str:
        """The device to compute on: `device`, or the best there is. Raises E0810 where a package is missing or broken,
        E0811 where there is no such device or the backend does not compile, E0812 where it lacks the precision."""
        self._require_packages()
        if dtype is not None and dtype not in self.dtypes:
            known = f"it computes in {listed(self.dtypes)}"
            help = _others(lambda b: dtype in b.dtypes) or did_you_mean(dtype, self.dtypes)
            raise error("E0812", f"the {self.title} backend has no precision `{dtype}`: {known}", help=help)
        if compile and not self.compiles:
            help = (*_others(lambda b: b.compiles), "or do without compiling")
            raise error("E0811", f"the {self.title} backend does not compile", help=help)
        if device is None:
            return self.default_device()
        kind = device.partition(":")[0]
        if kind not in self.devices:
            help = (*_others(lambda b: kind in b.devices), f"or compute on {listed(self.devices, 'or')}")
            raise error("E0811", f"the {self.title} backend has no device `{device}`", help=help)
        self.require_device(device)
        return device

    def versions(self) -> dict[str, str]:
        """The versions of its packages, which the last bits of its results depend on."""
        modules = {package: importlib.import_module(package) for package in self.packages}
        return {package: str(getattr(module, "__version__", "unknown")) for package, module in modules.items()}

    def described(self, dtype: str, device: str) -> str:
        """`PyTorch float32 on cuda`: a program of it, in words."""
        return f"{self.title} {dtype}" + (f" on {device}" if len(self.devices) > 1 else "")

    def _require_packages(self) -> None:
        for package in self.packages:
            try:
                importlib.import_module(package)
            except Exception as problem:  # half a package fails in any way: OSError for a library, ImportError, …
                raise self._unusable(package, problem) from None

    def _unusable(self, package: str, problem: Exception) -> AttnError:
        if isinstance(problem, ModuleNotFoundError) and problem.name == package:
            message, reason = f"the {self.title} backend needs {package}, which is not installed", ""
            way = f"install it with `{self.install or f'pip install {package}'}`"
        else:
            message = f"the {self.title} backend needs {package}, which is installed but cannot be loaded"
            reason = (str(problem).strip() or type(problem).__name__).splitlines()[0]
            way = f"reinstall it: `pip install --force-reinstall {package}`"
        others = [f"`{each.name}`" for each in backends().values() if each is not self and each.installed]
        instead = (f"or use another backend: {listed(others, 'or')}",) if others else ()
        return error("E0810", message, note=reason or (), help=(way, *instead))


# ---------------------------------------------------------------- the registry

_found: dict[str, Backend] = {}
_broken: dict[str, str] = {}  # entry points that could not be loaded, and why
_searched = False

AnyBackend = TypeVar("AnyBackend", bound=Backend)


def register(backend: AnyBackend) -> AnyBackend:
    """Add a backend. Raises `ValueError` where another has one of its names."""
    clash = {name for other in backends().values() for name in other.names} & {*backend.names}
    if clash:
        raise ValueError(f"there already is a backend `{min(clash)}`")
    _found[backend.name] = backend
    return backend


def unregister(name: str) -> None:
    """Take away a backend that was registered."""
    del _found[name]


def backends() -> Mapping[str, Backend]:
    """Every backend by name, whether it is installed or not: those of attndsl in the order of their folders, then those
    of other packages."""
    global _searched
    if not _searched:
        _searched = True
        _search()
    return _found


def find(name: str, also: Sequence[str] = ()) -> Backend:
    """The backend of that name or alias. Raises E0723 where there is none; the message names what may `also` be given
    in its place."""
    for backend in backends().values():
        if name in backend.names:
            return backend
    if name in _broken:
        raise error("E0723", f"the backend `{name}` cannot be loaded: {_broken[name]}", help="reinstall its package")
    known = (*backends(), *also)
    raise error(
        "E0723", f"there is no backend `{name}`", help=did_you_mean(name, known) or f"there are {listed(known)}"
    )


def canonical(name: str) -> str:
    """The name of the backend that `name` is an alias of; any other text as it is."""
    return next((each.name for each in backends().values() if name in each.aliases), name)


def default() -> Backend:
    """The backend to take where none is named: the best that is installed."""
    return max((each for each in backends().values() if each.installed), key=_preference)


def chosen(name: str | None) -> Backend:
    """The backend called `name`; the default where that is None. Raises E0723."""
    return find(name) if name is not None else default()


def usable(name: str | None) -> Backend:
    """The backend called `name` where there is such a one and it is installed, else the default: what ran on one
    machine may run on another."""
    found = backends().get(name or "")
    return found if found is not None and found.installed else default()


def reference() -> Backend:
    """The backend that says what is right: the first that claims to."""
    return next(each for each in backends().values() if each.is_reference)


def preferred(where: Callable[[Backend], bool]) -> Backend:
    """The best of those `where` says yes to, installed or not."""
    return max(filter(where, backends().values()), key=_preference)


def by_preference() -> list[Backend]:
    """Those that may be the default, the best first: the default is the first that is installed."""
    return sorted((each for each in backends().values() if each.preference), key=_preference, reverse=True)


def _preference(backend: Backend) -> int:
    return backend.preference


def _search() -> None:
    folder = importlib.import_module(GROUP)
    for module in pkgutil.iter_modules(folder.__path__):
        register(importlib.import_module(f"{GROUP}.{module.name}.backend").BACKEND)
    from importlib.metadata import entry_points

    for entry in entry_points(group=GROUP):
        try:
            register(entry.load())
        except Exception as problem:  # another's package: whatever is wrong with it is not a reason for ours to fail
            _broken[entry.name] = (str(problem).strip() or type(problem).__name__).splitlines()[0]


def _others(can: Callable[[Backend], bool]) -> tuple[str, ...]:
    """The way out where a backend cannot do what another can."""
    names = [f"`{each.name}`" for each in backends().values() if can(each)]
    return (f"use a backend that can: {listed(names, 'or')}",) if names else ()
