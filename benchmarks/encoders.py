"""BERT-base and ViT-b16, forward, beside `transformers`, OpenVINO and ONNX Runtime (as exported, and fused by its own
optimizer), where these are installed.

    python benchmarks/encoders.py bert        8 texts of 128 tokens
    python benchmarks/encoders.py vit         8 images
    python benchmarks/encoders.py bert --compile     `transformers` and attndsl with torch.compile too

All sides have the same weights, inputs, threads and precision (float32), and first have to agree.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from in_turn import in_turn, machine, table
from torch import Tensor, nn
from transformers import BertConfig, BertModel, ViTConfig, ViTForImageClassification

from attndsl.backends.pytorch import TorchProgram
from attndsl.elaborate import load, open_spec
from attndsl.weights import load_weights, settings_for

Side = Callable[[], Tensor]
BASE = "transformers, eager"


class First(nn.Module):
    """A model of `transformers` as a function from one tensor to one tensor."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        hidden: Tensor = self.model(x).last_hidden_state
        return hidden


def models(name: str) -> tuple[First, TorchProgram, Tensor]:
    torch.manual_seed(0)
    if name == "bert":
        published = theirs = BertModel(BertConfig()).eval()
        x = torch.randint(0, 30522, (8, 128))
    else:
        published = ViTForImageClassification(ViTConfig()).eval()  # our model has the classifier, which is not run
        theirs, x = published.vit, torch.randn(8, 3, 224, 224)
    with tempfile.TemporaryDirectory() as folder:
        published.save_pretrained(folder)
        sections = open_spec(name).weights
        graph = load(name, settings_for(folder, sections))
        ours = TorchProgram(graph, parameters=load_weights(folder, graph, sections))
    ours.store("float32")  # for use alone, as `attndsl embed` does
    return First(theirs), ours, x


def openvino(model: nn.Module, x: Tensor) -> Side:
    import openvino

    options = {
        "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }  # fmt: skip
    compiled = openvino.compile_model(
        openvino.convert_model(model, example_input=x, input=list(x.shape)), "CPU", options
    )
    return lambda: torch.from_numpy(compiled(x.numpy())[0])


def onnxruntime(model: nn.Module, x: Tensor, folder: str, kind: str) -> dict[str, Side]:
    import onnxruntime as ort
    from onnxruntime.transformers import optimizer

    exported, fused = str(Path(folder) / "exported.onnx"), str(Path(folder) / "fused.onnx")
    torch.onnx.export(model, (x,), exported, input_names=["x"], output_names=["y"], dynamo=False)
    optimizer.optimize_model(exported, model_type=kind, num_heads=12, hidden_size=768).save_model_to_file(fused)
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()

    def side(path: str) -> Side:
        session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return lambda: torch.from_numpy(session.run(["y"], {"x": x.numpy()})[0])

    return {"ONNX Runtime": side(exported), "ONNX Runtime, fused": side(fused)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=("bert", "vit"))
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    print(machine())
    theirs, ours, x = models(args.model)
    module = ours.module.eval()
    sides: dict[str, Side] = {
        BASE: lambda: theirs(x),
        "attndsl, PyTorch": lambda: module(x, outputs=("hidden",))["hidden"],
    }
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        warnings.simplefilter("ignore")
        if args.compile:
            rival, fast = torch.compile(theirs), torch.compile(module)
            sides["transformers, compiled"] = lambda: rival(x)
            sides["attndsl, compiled"] = lambda: fast(x, outputs=("hidden",))["hidden"]
        for name, add in (
            ("openvino", lambda: {"OpenVINO": openvino(theirs, x)}),
            ("onnxruntime", lambda: onnxruntime(theirs, x, folder, args.model)),
        ):
            try:
                sides |= add()
            except ImportError:
                print(f"{name} is not installed")
        expected = theirs(x)
        for name, run in sides.items():
            difference = (run() - expected).abs().max().item()
            assert difference < 1e-3, f"{name} is off by {difference}"
        title = f"{args.model}, forward, {' x '.join(map(str, x.shape))}, float32"
        table(title, in_turn(sides, args.rounds), BASE, amount=len(x), unit="examples")


if __name__ == "__main__":
    main()
