"""A spec as an object: checked when it is loaded, then drawn, run, compared, trained and turned into a PyTorch module.

>>> import attndsl
>>> model = attndsl.load("gpt2", depth=2)
>>> model
<attndsl.Model gpt2 · 53,561,088 parameters>
>>> model.inputs
{'tokens': 'int[B, T]', 'targets': 'int[B, T] optional'}
>>> model.with_(depth=3, width=36).parameters
1894248
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from attndsl.api.checking import check_spec
from attndsl.api.given import dtype_name, for_python, merged, python_warnings
from attndsl.backends.numpy_reference.backend import BACKEND as NUMPY
from attndsl.backends.pytorch.backend import BACKEND as TORCH
from attndsl.backends.pytorch.backend import META
from attndsl.diagnostics import AttnError, collected, error
from attndsl.elaborate import Spec
from attndsl.lazy import Array
from attndsl.running import backends

if TYPE_CHECKING:
    from attndsl.api.swept import SweptModel
    from attndsl.api.trained import TrainedModel
    from attndsl.comparison import Comparison
    from attndsl.diagnostics import Diagnostic
    from attndsl.drawing import Drawing
    from attndsl.elaborate.settings import Setting
    from attndsl.graph import Graph
    from attndsl.inspection import Report
    from attndsl.running.program import Program, Results
    from attndsl.typesetting import Equations
    from attndsl.verification import Verification

    Path_ = str | os.PathLike[str]
    Weights = Path_ | Mapping[str, Array]


class Model:
    """A checked model at given hyperparameters. It is immutable: `with_` returns another one.

    Made by `attndsl.load` and `attndsl.parse`. No array is allocated before the model runs, so that a model of any
    size can be loaded, counted, drawn and compiled on any machine.
    """

    spec: Spec
    """The parsed file, and which model and variant of it this is."""
    graph: Graph
    """What all else reads: the checked graph."""
    settings: Mapping[str, Setting]
    """The hyperparameters that were given, or taken from weights."""
    weights: Path | None
    """Where the parameters come from; None where they are drawn."""
    warnings: tuple[Diagnostic, ...]
    """What is right in the spec and hardly what was meant; `print(*model.warnings)` shows them as the command line
    does."""

    def __init__(self, spec: Spec, settings: Mapping[str, Setting] | None = None, weights: Path_ | None = None) -> None:
        given = dict(settings or {})
        self.spec = spec
        self.weights = Path(weights) if weights is not None else None
        try:
            with collected() as found:
                if self.weights is not None:
                    from attndsl.runs.given_weights import check_run, settings_with

                    given = settings_with(self.weights, spec, given)
                    self.graph = check_spec(spec, given)
                    check_run(self.weights, spec, self.graph)
                else:
                    self.graph = check_spec(spec, given)
        except AttnError as problem:
            raise AttnError(*map(for_python, problem.diagnostics)) from None
        self.warnings = tuple(map(for_python, found))
        self.settings = MappingProxyType(given)
        self._program: tuple[object, Program] | None = None

    # ------------------------------------------------------------ what it is

    @property
    def name(self) -> str:
        """The name that it was loaded by: `gpt2:medium`, `my.attn`."""
        return self.spec.name

    @property
    def variant(self) -> str | None:
        return self.graph.variant

    @property
    def hyperparameters(self) -> dict[str, object]:
        """Every hyperparameter's value by name: numbers and booleans; blocks, masks and words as text."""
        return dict(self.graph.hyperparameters)

    @property
    def parameters(self) -> int:
        """The number of parameters; one that is used in several places counts once."""
        return self.graph.parameter_count

    @property
    def inputs(self) -> dict[str, str]:
        """The inputs: names and types."""
        return {i.name: f"{i.value.type}{' optional' if i.optional else ''}" for i in self.graph.own_inputs}

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs: names and types."""
        return {o.name: str(o.value.type) for o in self.graph.own_outputs}

    @property
    def states(self) -> dict[str, str]:
        """What it keeps from one call to the next: addresses and types."""
        return {address: str(info.type) for info in self.graph.states for address in info.addresses()}

    def with_(self, settings: Mapping[str, Setting] | None = None, /, **hyperparameters: Setting) -> Model:
        """The same spec (and weights) with these hyperparameters changed."""
        return Model(self.spec, {**self.settings, **merged(settings, hyperparameters)}, self.weights)

    def __repr__(self) -> str:
        from attndsl.diagnostics.report import counted

        facts = (f"{self.parameters:,} parameters", counted(self.warnings))
        return f"<attndsl.Model {' · '.join(part for part in (self.name, *facts) if part)}>"

    # ------------------------------------------------------------ looking at it

    def inspect(self, sizes: Mapping[str, int] | None = None) -> Report:
        """Its layers with what each costs: shapes, parameters, FLOPs, memory (`attndsl.inspection.Report`). `sizes` are
        those that the inputs bind (`{"B": 1, "T": 1024}`)."""
        from attndsl.inspection import inspect

        return inspect(self.graph, sizes)

    def summary(self, sizes: Mapping[str, int] | None = None, *, width: int = 100) -> str:
        """What `attndsl inspect` prints."""
        from attndsl.inspection import render_tree

        return render_tree(self.inspect(sizes), width=width)

    def equations(self) -> Equations:
        """What it computes, as formulas: its own equations and a definition for each block. A notebook shows them;
        `attndsl.typesetting.equations_in_markdown` and `equations_in_latex` give their text."""
        from attndsl.typesetting import equations

        return equations(self.graph)

    def draw(
        self,
        format: str = "svg",
        *,
        depth: int | None = None,
        expand: str | Sequence[str] | None = None,
        sizes: Mapping[str, int] | None = None,
        landscape: bool = False,
        without: Sequence[str] = (),
        fit: str = "",
        unrolled: bool = False,
    ) -> Drawing:
        """Its diagram as svg, png, pdf or dot; `str(…)` of it is the text of an SVG, and a notebook shows it.

        `depth` opens so many levels of layers, `expand` the layer at an address (`"h.attn"`), or several. It runs from
        left to right where it is `landscape`; `without` leaves parts out (`"loss"`, `"legend"`, `"title"`, `"shapes"`);
        `fit` makes it fit a `"slide"` or a `"column"` of a paper; an `unrolled` scan is drawn step by step.
        Raises E0901 where Graphviz is missing, E0902 (another format), E0903 (no such layer), E0907 (no such part or
        page).
        """
        from attndsl.drawing import Style, picture

        style = Style(landscape, frozenset(without), fit, unrolled)
        return picture(self.graph, format, depth=depth, expand=expand, sizes=sizes, style=style)

    def save_drawing(
        self,
        path: Path_,
        *,
        depth: int | None = None,
        expand: str | Sequence[str] | None = None,
        sizes: Mapping[str, int] | None = None,
        landscape: bool = False,
        without: Sequence[str] = (),
        fit: str = "",
        unrolled: bool = False,
    ) -> None:
        """Draw it into a file, in the format of its suffix: .svg, .png, .pdf or .dot. The options are those of
        `draw`."""
        from attndsl.drawing import Style, render

        style = Style(landscape, frozenset(without), fit, unrolled)
        render(self.graph, os.fspath(path), depth=depth, expand=expand, sizes=sizes, style=style)

    def source(self) -> str:
        """The PyTorch module as the text of a Python file that imports nothing but torch (`--emit python`). Sizes on
        which nothing else in it hangs, no number and no mask, are arguments of the model's constructor."""
        return TORCH.source(self.graph, again=lambda sizes: self.with_(sizes).graph)

    def _repr_html_(self) -> str:
        from attndsl.api.shown import as_html

        return as_html(self)

    # ------------------------------------------------------------ running it

    def torch(
        self,
        weights: Weights | None = None,
        *,
        dtype: str = "float32",
        device: str = "cpu",
        seed: int = 0,
        compile: bool = False,
        plain: bool = False,
    ) -> Any:
        """A `torch.nn.Module` with its parameters in place and in evaluation mode: if `plain`, the one whose text
        `source()` is; else the same with products by the kernels that are the fastest on this machine.

        Its `forward` takes the inputs as tensors, by their names, and returns a dict of tensors, every output that they
        allow: `module(tokens=ids)["logits"]`. `outputs=("loss",)` computes only those, where the model has several. A
        model with states returns these beside it, and takes them: `outputs, states = module(ids, states=states)`.
        `state_dict()` has our addresses (`h.0.ln_1.scale`), and a plain one's `nn.Linear` a weight [out, in]. It is
        trained like any module, and its inputs are not checked against the spec's bounds (`program("torch").run` does
        that).

        With the device `meta` it is the plain one, and its parameters have shapes and no memory, for a model that is to
        be divided among processes: divide it, make room (`module.to_empty(device=…)`), and `fill` it, which takes
        `weights` and `seed`.

        `weights` is a path as for `load`, or a mapping from addresses to arrays; without, those that the model was
        loaded with, else initial values drawn by `seed`. `dtype` is float32, float64, bfloat16 or float16. `compile`
        compiles it with `torch.compile` at the first call. Raises E0810 where PyTorch is missing, E0811 (no such
        device), E0807 and E06xx (weights that are not this model's)."""
        if device == META:
            if weights is not None:
                message = "a module on the meta device has no memory for weights"
                raise error("E0807", message, help="make room, and give them to `fill`")
            TORCH.require(dtype=dtype_name(dtype))
            return TORCH.plain(self.graph, None, dtype=dtype_name(dtype), device=META, seed=seed, compile=compile)
        TORCH.require(dtype=dtype_name(dtype), device=device)  # before the weights are read
        arrays = self._arrays(weights)
        with python_warnings():
            if plain:
                return TORCH.plain(
                    self.graph, arrays, dtype=dtype_name(dtype), device=device, seed=seed, compile=compile
                )
            program: Any = TORCH.program(
                self.graph, dtype=dtype_name(dtype), device=device, seed=seed, parameters=arrays, compile=compile
            )
            return program.module

    def fill(self, module: Any, weights: Weights | None = None, *, seed: int = 0) -> None:
        """Set the parameters of a module that `torch` has made, a plain one, to what `torch` would have set them to. It
        has one of them in memory at a time: where they are divided among processes (`DTensor`, as `fully_shard` makes
        them), each process keeps its part, and nothing is sent. Raises E0807 (weights or a module that are not this
        model's, a module on the meta device) before any is set, and E06xx."""
        from attndsl.running.initial import drawn_parameters

        arrays = self._arrays(weights)
        with python_warnings():
            TORCH.fill(module, self.graph, drawn_parameters(self.graph, seed) if arrays is None else arrays)

    def numpy(self, weights: Weights | None = None, *, dtype: str = "float32", seed: int = 0) -> Program:
        """The model on NumPy, which says what every operation means: `.run(inputs)`, `.gradients(…)`, `.parameters()`
        (`attndsl.running.program.Program`). `weights` as in `torch`; `dtype` is float32 or float64."""
        return self.program(NUMPY.name, weights, dtype=dtype, seed=seed)

    def program(
        self,
        backend: str | None = None,
        weights: Weights | None = None,
        *,
        dtype: str = "float32",
        device: str | None = None,
        seed: int = 0,
        compile: bool = False,
        weights_as: str | None = None,
    ) -> Program:
        """The model on a backend, by its name (`attndsl.running.backends`; the best that is installed where none is
        named): NumPy arrays go in and come out, checked against the spec (`attndsl.running.program.Program`). Without a
        `device` it computes on the best that the backend has here. `weights` and the rest as in `torch`; with
        `weights_as`, `"bfloat16"` or `"int8"`, its matrices are kept in fewer bits."""
        chosen = backends.chosen(backend)
        place = chosen.require(dtype=dtype_name(dtype), device=device, compile=compile)  # before the weights are read
        arrays = self._arrays(weights)
        with python_warnings():
            return chosen.program(
                self.graph, dtype=dtype_name(dtype), device=place, seed=seed, parameters=arrays, compile=compile,
                weights_as=weights_as,
            )  # fmt: skip

    def save_onnx(
        self,
        path: Path_,
        weights: Weights | None = None,
        *,
        inputs: Sequence[str] = (),
        outputs: Sequence[str] | None = None,
        opset: int | None = None,
        incremental: bool = False,
        force: bool = False,
    ) -> None:
        """Write the model in use as a file of ONNX, as `attndsl export --to onnx` does: with its required inputs and
        the optional ones in `inputs`, and with `outputs` (None: all that these allow). `weights` as in `torch`;
        `incremental` writes the graph that reads a text on. Raises E0708 without the package `onnx`, E0652 where the
        opset cannot say the model, E0803 for a name that it lacks, E0612 where something else is in its place."""
        from attndsl.onnx_export import OPSET, export_onnx
        from attndsl.running.initial import initial_parameters

        arrays = self._arrays(weights)
        with python_warnings():
            export_onnx(
                path, self.graph, dict(initial_parameters(self.graph, 0)) if arrays is None else arrays,
                inputs=inputs, outputs=outputs, opset=OPSET if opset is None else opset, incremental=incremental,
                force=force,
            )  # fmt: skip

    def _arrays(self, weights: Weights | None) -> Mapping[str, Array] | None:
        """The parameters by address, read as they are asked for; None where they are to be drawn."""
        if isinstance(weights, Mapping):
            return weights
        where = weights if weights is not None else self.weights
        if where is None:
            return None
        from attndsl.runs.given_weights import check_run, read_weights

        check_run(where, self.spec, self.graph)
        with python_warnings():
            return read_weights(where, self.spec, self.graph)

    def examples(self, sizes: Mapping[str, int] | None = None, *, seed: int = 0) -> dict[str, Array]:
        """Random inputs within the spec's bounds, with the given `sizes` and small ones for the rest."""
        from attndsl.running.inputs import example_inputs

        return example_inputs(self.graph, sizes, seed=seed)

    def run(
        self,
        inputs: Mapping[str, Any] | None = None,
        outputs: str | Sequence[str] | None = None,
        *,
        states: Mapping[str, Any] | None = None,
        backend: str | None = None,
        weights: Weights | None = None,
        dtype: str = "float32",
        device: str | None = None,
        seed: int = 0,
        dump: str | Sequence[str] = (),
    ) -> Results:
        """The outputs by name (all that the inputs allow, unless named), and the values at the addresses in `dump`
        (`"h.0.attn"`). Without `inputs`, those of `examples()`. A model that keeps `states` begins with its initial
        ones, or with those of another call: `model.run(inputs, states=results.states)`.

        The program is kept for the next call that asks for the same one; `program()` gives one of your own. Raises
        E0801 to E0803 for inputs that do not fit, E0815 for states.
        """
        from attndsl.running.inputs import as_arrays, check_inputs
        from attndsl.running.states import refuse_as_inputs

        given = as_arrays(self.graph, inputs) if inputs is not None else self.examples()
        if inputs is not None:
            refuse_as_inputs(self.graph, given)
            check_inputs(self.graph, given)  # before parameters are drawn, which may take a while
        asked = (backend, os.fspath(weights) if isinstance(weights, (str, os.PathLike)) else None, dtype, device, seed)
        if self._program is None or self._program[0] != asked or isinstance(weights, Mapping):
            self._program = None  # two at a time may not fit
            program = self.program(backend, weights, dtype=dtype, device=device, seed=seed)
            self._program = (None if isinstance(weights, Mapping) else asked, program)
        chosen = (outputs,) if isinstance(outputs, str) else outputs
        addresses = (dump,) if isinstance(dump, str) else dump
        return self._program[1].run(given, chosen, states=states, seed=seed, dump=addresses)

    def compare(
        self,
        against: str | None = None,
        *,
        reference: str | None = None,
        weights: Weights | None = None,
        inputs: Mapping[str, Array] | None = None,
        gradients: bool = False,
        dtype: str = "float32",
        device: str | None = None,
        seed: int = 0,
        sizes: Mapping[str, int] | None = None,
    ) -> Comparison:
        """Compare a backend (by default PyTorch; or `"passes"`: the optimized graph) with NumPy's float64 run, or
        with that of another `reference`, array by array. The result prints as a table; `.ok` says whether all agree,
        `.divergence` where they first differ."""
        from attndsl.comparison import compare

        with python_warnings():
            return compare(
                self.graph, candidate=against, reference=reference, weights=self._arrays(weights), inputs=inputs,
                gradients=gradients, dtype=dtype, device=device, seed=seed, sizes=sizes,
            )  # fmt: skip

    def verify(
        self,
        weights: Weights | None = None,
        *,
        whole: bool = False,
        compile: bool = False,
        seed: int = 0,
        sizes: Mapping[str, int] | None = None,
    ) -> Verification:
        """Try all that must hold of it (`attndsl verify`): every pass, backend and kernel, gradients, each way to call
        it. The result prints as a table; `.ok` says whether all holds, `.findings` has a line for each claim, with the
        first value that differs or the reason why the claim says nothing of this model.

            found = attndsl.load("gpt2").verify()
            assert found.ok, found

        A large model is made smaller first, the same operations in the same order, but with `weights` (as in `torch`)
        and if `whole`. `sizes` are those of the example inputs; with `compile` compiled programs are tried too. Raises
        E0802 and E0803 for sizes that do not fit."""
        from attndsl.verification import verify_spec

        with python_warnings():
            return verify_spec(
                self.spec, self.graph, self.settings, weights=self._arrays(weights), whole=whole, sizes=sizes,
                seed=seed, compiled=compile,
            )  # fmt: skip

    # ------------------------------------------------------------ training it

    def train(
        self,
        data: Any,
        out: Path_ | None = None,
        settings: Mapping[str, Setting] | None = None,
        /,
        *,
        weights: Path_ | None = None,
        backend: str | None = None,
        device: str | None = None,
        compile: bool = False,
        log: Sequence[str] = (),
        quiet: bool = False,
        **changes: Setting,
    ) -> TrainedModel:
        """Train it by the spec's `train` section on `data` into the new folder `out` (default: `runs/NAME`).

        `data` is what the section's objective learns from: files, folders and globs of text, a table (.jsonl, .tsv,
        .csv, .npz, a folder of pictures by class), `"example:NAME"`, or any iterable of rows (dicts, or tuples in the
        order of the columns). Keys of the recipe and hyperparameters are changed by name:

            model.train("book.txt", "runs/book", steps=200, lr=1e-3, batch=16)
            attndsl.load("bert:classifier").train([{"text": "…", "label": "good"}, …], weights="runs/body")

        `weights` is a body to start from, whatever its head was; without, the weights that the model was loaded with,
        if any. Ctrl-C ends the run after the current step; `attndsl.resume(out)` resumes it. `log=["csv"]` writes
        the log in that form too, or as `"tensorboard"` reads it. With `quiet` nothing is printed. Raises E07xx (see
        `attndsl explain`).
        """
        from attndsl.api.trained import train

        given = {**self.settings, **merged(settings, changes)}
        start = weights if weights is not None else self.weights
        return train(
            self.spec, data, out, given, weights=start, backend=backend, device=device, compile=compile, log=log,
            quiet=quiet,
        )  # fmt: skip

    def sweep(
        self,
        data: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
        out: Path_ | None = None,
        settings: Mapping[str, Any] | None = None,
        *,
        seeds: int = 1,
        random: int | None = None,
        jobs: int = 1,
        weights: Path_ | None = None,
        backend: str | None = None,
        device: str | None = None,
        compile: bool = False,
        log: Sequence[str] = (),
        quiet: bool = False,
        **values: Any,
    ) -> SweptModel:
        """Train it with every combination of some settings, each with so many `seeds`, as `attndsl sweep` does, into
        the new folder `out` (default: `runs/NAME-sweep`). A list has the values to try; what is no list is that of all
        runs, and so is a list of one list:

            swept = model.sweep("book.txt", lr=[1e-3, 3e-4], norm=["layer_norm", "rms_norm"], seeds=3, jobs=2)
            swept["last"], swept["last.deviation"]          # arrays, a place for each combination
            swept.best().generate("Once upon")

        With `random=20` so many combinations are drawn, also from ranges: `lr="log(1e-4, 1e-2)"`. Each run is a process
        of its own, `jobs` at a time, so `data` are paths or `"example:NAME"`. All combinations are checked before the
        first run starts: raises what is wrong with any of them, E0726, E0731, E07xx. Ctrl-C stops the runs with
        checkpoints; `attndsl.open_sweep(out).resume()` goes on. `weights`, `log` and the rest as in `train`.
        """
        from attndsl.api.swept import sweep

        given = {name: [value] for name, value in self.settings.items()}
        return sweep(
            self.spec, data, out, {**given, **merged(settings, values)}, seeds=seeds, random=random, jobs=jobs,
            weights=weights if weights is not None else self.weights, backend=backend, device=device, compile=compile,
            log=log, quiet=quiet,
        )  # fmt: skip
