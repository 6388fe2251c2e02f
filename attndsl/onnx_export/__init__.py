"""Models as files of ONNX, which other tools run: a third lowering beside NumPy and PyTorch.

Given a graph and its parameters; gives an `onnx.ModelProto` with dynamic axes by their names, initialisers by their
addresses, and an operator of ONNX wherever one means the same. `chosen` decides what the file takes and gives, `body`
goes through the nodes, the tables of rules are in `pointwise`, `movement`, `reductions` and `fused`, sizes are computed
in `lengths`, `writer` holds every node to the schema of the opset, and `saving` puts a model in its place.
"""

from attndsl.onnx_export.file import NEXT, to_onnx
from attndsl.onnx_export.saving import export_onnx
from attndsl.onnx_export.writer import OPSET

__all__ = ["NEXT", "OPSET", "export_onnx", "to_onnx"]
