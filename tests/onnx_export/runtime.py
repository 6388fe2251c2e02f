"""A model of ONNX in ONNX Runtime, as a program that the comparisons of this project can judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from attndsl.backends.numpy_reference.evaluator import NumpyProgram
from attndsl.onnx_export import NEXT, OPSET, to_onnx
from attndsl.running.inputs import chosen_outputs
from attndsl.running.slots import in_use, kept, slot_places

Array = np.ndarray[Any, Any]


def session(model: Any) -> Any:
    """A session on one thread that complains of nothing but errors."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    data = model if isinstance(model, str) else model.SerializeToString()
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def results(running: Any, given: Mapping[str, Array]) -> dict[str, Array]:
    """What a session gives, by name; what it does not take is left out."""
    taken = {each.name for each in running.get_inputs()}
    arrays = {name: np.asarray(array) for name, array in given.items() if name in taken}
    arrays = {name: a.astype("float32") if a.dtype.kind == "f" else a for name, a in arrays.items()}
    return dict(zip([each.name for each in running.get_outputs()], running.run(None, arrays), strict=True))


class OnnxProgram(NumpyProgram):
    """What a file says, for the inputs that it is given; states in and out as they are with every backend."""

    opset = OPSET

    def outputs(
        self,
        inputs: Mapping[str, Array],
        outputs: Sequence[str] | None,
        training: bool = False,
        seed: int = 0,
        step: int = 0,
        dump: Sequence[str] = (),
    ) -> dict[str, Array]:
        own = [name for name in chosen_outputs(self.graph, outputs, inputs) if name not in self.graph.state_names]
        key = (frozenset(inputs), tuple(own))
        made: dict[Any, Any] = self.__dict__.setdefault("sessions", {})
        if key not in made:
            given = [info.name for info in self.graph.own_inputs if info.optional and info.name in inputs]
            made[key] = session(to_onnx(self.graph, self.arrays, inputs=given, outputs=own, opset=self.opset))
        found = results(made[key], inputs)
        return {name.removesuffix(NEXT): array for name, array in found.items()}

    def advance(
        self,
        inputs: Mapping[str, Array],
        stacks: Mapping[str, Array],
        outputs: Sequence[str],
        slots: Mapping[str, int] | None = None,
    ) -> tuple[dict[str, Array], dict[str, Array]]:
        views = in_use(slot_places(self.graph), stacks, slots or {})
        found = self.outputs({**inputs, **views}, outputs)
        return {name: found[name] for name in outputs}, kept(self.graph.state_names, stacks, views, found)
