"""A shipped spec against the published implementation: the same checkpoint, the same numbers, both ways.

How a family gets here: `tests/parity/families/NAME.py` defines `FAMILIES`, a tuple of `Family`. `test_families.py`
does the rest for each of its small configurations: one oracle per configuration, with parameters that all differ, is
saved as `transformers` saves it, loaded through the spec's own `weights` section with the sizes from its `config.json`,
and asked the same as we are.

- outputs and the loss: within 1e-4 in float32 and 1e-9 in float64, on NumPy and on PyTorch, and in float64 on PyTorch
  without the optimiser's passes (what these change in float32, `attndsl verify` says of every spec), at the positions
  that count (`Family.counted`);
- the gradients of the loss by every parameter: within as much of their largest element. In float32 ours are held
  against the oracle's in float64, since its own float32 sums over all positions may be off by more than that;
- exported again, the oracle loads it with nothing missing, left over or of another shape, and says the same;
- the hub's own layouts (`Family.hub`) load as the same parameters;
- optional inputs left out mean their defaults;
- the published parameter counts are ours and the oracle's;
- the smallest published size agrees too (slow).

`Trial` holds one configuration on trial and `Trial.differences` what was found; `tests.parity.rows` makes rows of
tables out of that. Nothing here imports torch before a trial starts.
"""

from __future__ import annotations

import copy
import importlib
import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from attndsl.diagnostics import Source
from attndsl.elaborate import Spec, elaborate, open_spec
from attndsl.graph import Graph
from attndsl.syntax import tree
from attndsl.syntax.parser import parse
from attndsl.values import to_python
from attndsl.weights import config_settings, load_weights, settings_for
from attndsl.weights.mapping import Item, WeightMap
from attndsl.weights.stacks import parts_of
from tests.parity.gradients import pulled

Array = np.ndarray[Any, Any]
Config = Mapping[str, Any]
Inputs = dict[str, Array]

ALLOWED = {"float32": 1e-4, "float64": 1e-9}
"""The largest difference of an output, and the largest of a gradient relative to the largest gradient."""

BACKENDS = ("numpy", "torch", "torch without passes")
COMPARED = [
    (backend, dtype) for backend in BACKENDS for dtype in ALLOWED if (backend, dtype) != (BACKENDS[-1], "float32")
]
"""On which backends configurations are compared, and in which precisions."""
NOISE_OF_PUBLISHED = 0.01
"""By how much parameters of published sizes are moved: twice that, and T5's unscaled scores get so large that float32
alone, the oracle's own too, is off by more than what is allowed."""
FLOOR = 1e-2
"""A parameter's gradient is judged relative to its own largest element, but to no less than this share of the largest
gradient of all: some gradients (by a key's bias) are zero but for rounding."""


# ---------------------------------------------------------------- how `transformers` does things


def save_pretrained(model: Any, folder: Path) -> Path:
    model.save_pretrained(folder)
    return folder


def from_pretrained(model: Any, folder: Path) -> tuple[Any, Mapping[str, Any]]:
    """Another model of the same class, and what the file lacked or had too much."""
    found: tuple[Any, Mapping[str, Any]] = type(model).from_pretrained(folder, output_loading_info=True, dtype="auto")
    return found


def trainable(model: Any) -> int:
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


# ---------------------------------------------------------------- what a family says


@dataclass(frozen=True)
class Patch:
    """What has to be changed about the oracle for float64 to be float64 all the way, and why: something around its runs
    (`enter`), or the float64 copy itself (`mend`)."""

    why: str
    enter: Callable[[], AbstractContextManager[Any]] = nullcontext
    mend: Callable[[Any], None] = lambda model: None


@dataclass(frozen=True)
class Published:
    """A published size: the oracle's configuration and how many parameters it is said to have."""

    variant: str | None  # of the spec; None: the model's own defaults
    config: Config
    count: int
    settings: Mapping[str, Any] = field(default_factory=dict)  # beside the variant's: which head it has


@dataclass(frozen=True)
class Family:
    """One published architecture (with one head) and the spec that describes it.

    `oracle(config)` makes the published model; the harness puts it in evaluation mode and moves all its trainable
    parameters (frozen ones and buffers are `oracle`'s to set). `inputs(config, rng)` gives batches by name, each a dict
    of our inputs: several for one configuration, with padding, of one row, of length one, at the limit. `ask(model,
    tensors)` puts such a batch, as tensors, to the oracle, and gives its answers as tensors by our outputs' names;
    `loss`, where there is one, is a scalar whose gradient is taken. `counted(batch)` says for an output which positions
    are compared, as an array of booleans over its first axes (padding's outputs mean nothing).
    """

    name: str
    spec: str
    configs: Mapping[str, Config]
    oracle: Callable[[Config], Any]
    inputs: Callable[[Config, np.random.Generator], Mapping[str, Inputs]]
    ask: Callable[[Any, Mapping[str, Any]], Mapping[str, Any]]
    counted: Callable[[Inputs], Mapping[str, Array]] = lambda batch: {}
    defaults: Callable[[Config, Inputs], Inputs] | None = None  # the optional inputs, as when they are left out
    settings: Callable[[Config], Mapping[str, Any]] = lambda config: {}  # what config.json cannot say
    section: str = "huggingface"
    layout: Callable[[], str] | None = None  # a `weights` section, where the spec has none
    save: Callable[[Any, Path], Path] = save_pretrained
    reload: Callable[[Any, Path], tuple[Any, Mapping[str, Any]]] = from_pretrained  # and what was missing or left over
    count: Callable[[Any], int] = trainable
    in_files: Callable[[str], str] = str  # what the oracle's parameter of a name is called in the files that it writes
    auto: str | None = None  # the `transformers.AutoModel…` that finds the oracle's class from an export
    patches: tuple[Patch, ...] = ()
    hub: Mapping[str, Callable[[dict[str, Any], dict[str, Any]], tuple[dict[str, Any], dict[str, Any]]]] = field(
        default_factory=dict
    )  # (tensors, configuration) as saved → as the hub has them
    canonical: Callable[[Mapping[str, Any]], Mapping[str, Any]] = dict  # what an export reproduces of its tensors
    buffers: tuple[str, ...] = ()  # the oracle's buffers that are parameters of the spec
    ungraded: tuple[
        str, ...
    ] = ()  # the oracle's trainable parameters that the spec has as constants, by published name
    published: tuple[Published, ...] = ()
    smallest: Config | None = None  # the smallest published size
    short: Callable[[Config, np.random.Generator], Inputs] | None = None  # a short batch for published sizes
    reduced: Callable[[Config], Config] | None = None  # a published size, narrow enough to be run; as deep as it is
    noise: float = 0.3  # by how much parameters are moved

    def __str__(self) -> str:
        return self.name


def families() -> tuple[Family, ...]:
    """All that `tests/parity/families` has, in alphabetical order of the files."""
    package = importlib.import_module("tests.parity.families")
    found = [importlib.import_module(f"{package.__name__}.{m.name}") for m in pkgutil.iter_modules(package.__path__)]
    return tuple(family for module in found for family in module.FAMILIES)


# ---------------------------------------------------------------- what is found


@dataclass(frozen=True)
class Answer:
    """Outputs by name; gradients of the loss by our parameters' addresses."""

    outputs: Mapping[str, Array]
    gradients: Mapping[str, Array]


@dataclass(frozen=True)
class Differences:
    """The largest ones, by (batch, output) and (batch, address)."""

    outputs: Mapping[tuple[str, str], float]
    gradients: Mapping[tuple[str, str], float]

    def beyond(self, allowed: float) -> list[str]:
        """What differs by more (or is not a number), in words."""
        found = {f"{name} ({batch})": d for (batch, name), d in self.outputs.items()}
        found |= {f"gradient by {address} ({batch})": d for (batch, address), d in self.gradients.items()}
        return [f"{what}: {difference:.3g}" for what, difference in found.items() if not difference <= allowed]


class Trial:
    """One configuration on trial: the oracle, its folder, our graph and parameters, and what both answer."""

    def __init__(
        self, family: Family, config: Config, folder: Path, *, short: bool = False, noise: float | None = None
    ) -> None:
        """With `short` the batch is the family's short one. Parameters are moved by `noise` (default: the family's)."""
        self.family, self.config, self.folder, self.short = family, config, folder, short
        self.noise = family.noise if noise is None else noise
        self._theirs: dict[str, dict[str, Answer]] = {}
        self._differences: dict[tuple[str, str], Differences] = {}

    # ------------------------------------------------------------ the two sides

    @cached_property
    def oracle(self) -> Any:
        """The published model in float32 and evaluation mode, no two of its parameters equal."""
        import torch

        torch.manual_seed(0)
        model = self.family.oracle(self.config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(torch.randn_like(parameter), alpha=self.noise)
        return model

    @cached_property
    def saved(self) -> Path:
        return self.family.save(self.oracle, self.folder / "theirs")

    @cached_property
    def spec(self) -> Spec:
        return open_spec(self.family.spec)

    @cached_property
    def sections(self) -> tuple[tree.Weights, ...]:
        return sections_of(self.family, self.spec)

    @property
    def section(self) -> tree.Weights:
        return section_of(self.family, self.sections)

    @cached_property
    def graph(self) -> Graph:
        return elaborate(self.spec, self.settings(self.saved))

    def settings(self, folder: Path) -> dict[str, Any]:
        """The hyperparameters of the weights in a folder."""
        return settings_for(folder, self.sections, self.family.settings(self.config))

    @cached_property
    def items(self) -> list[Item]:
        return WeightMap(self.section, self.graph).items()

    @cached_property
    def arrays(self) -> dict[str, Array]:
        return load_weights(self.saved, self.graph, self.sections)

    @cached_property
    def batches(self) -> Mapping[str, Inputs]:
        rng = np.random.default_rng(3)
        if self.short:
            assert self.family.short is not None
            return {"short": self.family.short(self.config, rng)}
        return self.family.inputs(self.config, rng)

    def program(self, backend: str, dtype: str) -> Any:
        if backend == "numpy":
            from attndsl.backends.numpy_reference import NumpyProgram

            return NumpyProgram(self.graph, dtype=dtype, parameters=self.arrays)
        from attndsl.backends.pytorch import TorchProgram

        return TorchProgram(self.graph, dtype=dtype, parameters=self.arrays, passes=backend == "torch")

    # ------------------------------------------------------------ what they answer

    def theirs(self, dtype: str) -> Mapping[str, Answer]:
        """The oracle's answers by batch. Its gradients are taken through the weights section to our addresses."""
        if dtype not in self._theirs:
            with ExitStack() as stack:
                model = self.oracle
                if dtype == "float64":
                    for patch in self.family.patches:
                        stack.enter_context(patch.enter())
                    model = copy.deepcopy(model).double()
                    for patch in self.family.patches:
                        patch.mend(model)
                self._theirs[dtype] = {name: self._asked(model, batch, dtype) for name, batch in self.batches.items()}
        return self._theirs[dtype]

    def _asked(self, model: Any, batch: Inputs, dtype: str) -> Answer:
        sources = {name: p for name, p in model.named_parameters() if p.requires_grad}
        sources |= {name: model.get_buffer(name).detach_().requires_grad_() for name in self.family.buffers}
        for source in sources.values():
            source.grad = None
        found = self.family.ask(model, tensors_of(batch, dtype))
        gradients: dict[str, Array] = {}
        if "loss" in found and dtype == "float64":  # float32 is held against these, too
            found["loss"].backward()
            by_name = {
                written: np.zeros(tuple(source.shape), dtype) if source.grad is None else source.grad.numpy().copy()
                for name, source in sources.items()
                if (written := self.family.in_files(name)) not in self.family.ungraded
            }
            gradients = self.pulled_back(by_name)
        return Answer({name: value.detach().numpy().copy() for name, value in found.items()}, gradients)

    def pulled_back(self, by_name: Mapping[str, Array]) -> dict[str, Array]:
        """Gradients by our parameters from those by published tensors: a published tensor is a function of ours, so the
        chain rule takes its gradient back. A parameter with several published copies gets the sum."""
        found: dict[str, Array] = {}
        used: set[str] = set()
        arrays = {address: self.arrays[part.whole][part.index] for address, part in parts_of(self.graph).items()}
        for item in self.items:
            names = {item.full_name(True), item.full_name(False)} & by_name.keys()
            for name in names - used:
                used.add(name)
                if not item.is_first:  # ours is the sum, by which the gradient is that by either of them
                    continue
                for address, gradient in pulled(item.form, by_name[name], arrays):
                    found[address] = found[address] + gradient if address in found else gradient
        assert used == by_name.keys(), f"not mapped by the section: {sorted(by_name.keys() - used)}"
        return _stacked(self.graph, found)

    def ours(self, backend: str, dtype: str) -> Iterator[tuple[str, Answer]]:
        """Our answers, batch by batch."""
        program = self.program(backend, dtype)
        for name, batch in self.batches.items():
            outputs = program.run(batch)
            gradients: Mapping[str, Array] = {}
            if "loss" in outputs:
                again, gradients, _ = program.gradients(batch, {"loss": np.ones(())})
                np.testing.assert_allclose(again["loss"], outputs["loss"], rtol=ALLOWED[dtype])
            yield name, Answer(outputs, gradients)

    def differences(self, backend: str, dtype: str) -> Differences:
        """Ours against theirs, in every batch."""
        key = backend, dtype
        if key not in self._differences:
            outputs: dict[tuple[str, str], float] = {}
            gradients: dict[tuple[str, str], float] = {}
            for name, ours in self.ours(backend, dtype):
                theirs, batch = self.theirs(dtype)[name], self.batches[name]
                lacking, extra = (
                    theirs.outputs.keys() - ours.outputs.keys(),
                    ours.outputs.keys() - theirs.outputs.keys(),
                )
                assert not lacking, f"we do not give {sorted(lacking)}"
                assert not extra or self.short, f"the oracle was not asked for {sorted(extra)}"
                counted = self.family.counted(batch)
                for output, right in theirs.outputs.items():
                    assert ours.outputs[output].dtype == dtype or right.dtype.kind != "f"
                    outputs[name, output] = largest_difference(ours.outputs[output], right, counted.get(output))
                exact = self.theirs("float64")[name].gradients
                gradients |= {(name, a): d for a, d in gradient_differences(ours.gradients, exact).items()}
            self._differences[key] = Differences(outputs, gradients)
        return self._differences[key]

    # ------------------------------------------------------------ files

    def write(self, name: str, tensors: Mapping[str, Any], config: Mapping[str, Any]) -> Path:
        """A folder as the hub has it."""
        from safetensors.torch import save_file

        place = self.folder / name
        place.mkdir()
        save_file({key: t.detach().clone().contiguous() for key, t in tensors.items()}, place / "model.safetensors")
        (place / "config.json").write_text(json.dumps(config))
        return place

    def saved_tensors(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What `save_pretrained` wrote: tensors and configuration."""
        from safetensors.torch import load_file

        files = sorted(self.saved.glob("*.safetensors"))
        tensors = {name: tensor for path in files for name, tensor in load_file(path).items()}
        return tensors, json.loads((self.saved / "config.json").read_text())


# ---------------------------------------------------------------- parts


def sections_of(family: Family, spec: Spec) -> tuple[tree.Weights, ...]:
    """The spec's, or the family's own."""
    if family.layout is None:
        return spec.weights
    file, problems = parse(Source(f"the layout of {family.name}", family.layout()))
    assert not problems, problems
    return tuple(declared for declared in file.declarations if isinstance(declared, tree.Weights))


def section_of(family: Family, sections: tuple[tree.Weights, ...]) -> tree.Weights:
    return next(section for section in sections if section.origin.text == family.section)


def tensors_of(batch: Inputs, dtype: str) -> dict[str, Any]:
    """A batch for torch, real numbers in `dtype`."""
    import torch

    return {
        name: torch.from_numpy(array.astype(dtype) if array.dtype.kind == "f" else array.copy())
        for name, array in batch.items()
    }


def largest_difference(ours: Array, theirs: Array, counted: Array | None = None) -> float:
    """Over the positions that count; infinite for another shape, not a number where either is not."""
    if ours.shape != theirs.shape:
        return float("inf")
    difference = np.abs(ours.astype("float64") - theirs)
    return float(np.max(difference if counted is None else difference[counted], initial=0.0))


def gradient_differences(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> dict[str, float]:
    """By address, relative to the gradient's largest element (or to `FLOOR`)."""
    if not theirs:
        return {}
    assert ours.keys() == theirs.keys(), f"no gradient to compare with: {sorted(ours.keys() ^ theirs.keys())}"
    sizes = {address: float(np.abs(array).max(initial=0.0)) for address, array in theirs.items()}
    floor = FLOOR * max(sizes.values())
    assert floor, "a loss without any gradient shows nothing"
    return {a: largest_difference(ours[a], theirs[a]) / max(sizes[a], floor) for a in theirs}


# ---------------------------------------------------------------- published sizes


def empty_oracle(family: Family, config: Config) -> Any:
    """The published model without memory for its parameters: to count them."""
    import torch

    with torch.device("meta"):
        return family.oracle(config)


def published_settings(family: Family, model: Any) -> dict[str, Any]:
    """The hyperparameters that the spec reads off an oracle's configuration; none where the section reads none."""
    section = section_of(family, sections_of(family, open_spec(family.spec)))
    if not section.config:
        return {}
    config = json.loads(json.dumps(model.config.to_dict())) | {"architectures": [type(model).__name__]}
    return {name: to_python(value) for name, value in config_settings(section, config).items()}


def _stacked(graph: Graph, gradients: Mapping[str, Array]) -> dict[str, Array]:
    """The gradients by address here, given those of single layers; without those that lack one."""
    pieces: dict[str, dict[tuple[int, ...], Array | None]] = {}
    for address, part in parts_of(graph).items():
        pieces.setdefault(part.whole, {})[part.index] = gradients.get(address)
    found = {}
    for whole, layers in pieces.items():
        arrays = [array for array in layers.values() if array is not None]
        if len(arrays) == len(layers):
            counts = [at + 1 for at in max(layers)]
            found[whole] = np.stack(arrays).reshape((*counts, *arrays[0].shape))
    return found
