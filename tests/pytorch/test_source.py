"""The written file: it stands alone, is the same every time, and reads like one that a person wrote."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import attndsl
from attndsl import ops
from attndsl.elaborate import load
from attndsl.graph import Graph, Initializer, InputInfo, OutputInfo, ParameterInfo, Type, Value
from attndsl.graph.builder import Builder
from attndsl.passes import optimize
from attndsl.running.inputs import example_inputs
from tests.samples.graphs import GRAPHS, GraphBuilder
from tests.samples.ops import axes

GOLDEN = Path(__file__).parent / "golden"
SMALL = {"depth": "2", "width": "32", "heads": "4", "vocab": "50", "context": "16"}


def _source(name: str, settings: dict[str, str] | None = None) -> str:
    from attndsl.backends.pytorch import generate_source

    return generate_source(optimize(load(name, settings or {}))[0])


@pytest.mark.parametrize("name", ["gpt2"])
def test_golden(name: str) -> None:
    """Run with `ATTNDSL_GOLDEN=write` after a change of wording, and read the difference as a reviewer would."""
    text, golden = attndsl.load(name).source(), GOLDEN / f"{name}.py.txt"
    if os.environ.get("ATTNDSL_GOLDEN") == "write":
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*GRAPHS, "gpt2"])
def test_file_is_well_formed(name: str) -> None:
    from attndsl.backends.pytorch import generate_source

    text = _source("gpt2") if name == "gpt2" else generate_source(GRAPHS[name]())
    tree = ast.parse(text)
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert imported <= {"torch", "math", "torch.nn.functional", "__future__"}
    assert max(map(len, text.splitlines())) <= 120
    assert not re.search(r"[ \t]+$", text, re.MULTILINE)
    defined = {n.name for n in tree.body if isinstance(n, (ast.ClassDef, ast.FunctionDef))}
    for helper in defined - {n.name for n in tree.body[-1:] if isinstance(n, ast.ClassDef)} - {"in_files"}:  # for users
        assert len(re.findall(rf"\b{helper}\b", text)) > 1, f"{helper} is written and never used"


def test_comments_quote_the_spec() -> None:
    text = _source("gpt2")
    spec = load("gpt2").span.source  # type: ignore[union-attr]
    cited = re.findall(r"# gpt2\.attn:(\d+)  (.+)", text)
    assert len(cited) > 6
    for number, quoted in cited:
        line = " ".join(spec.line(int(number)).split("#")[0].split())
        assert line.startswith(quoted.rstrip("…"))


def test_same_text_under_every_hash_seed() -> None:
    code = (
        "from attndsl.backends.pytorch import generate_source\n"
        "from attndsl.elaborate import load\nfrom attndsl.passes import optimize\n"
        f"print(generate_source(optimize(load('gpt2', {SMALL}))[0]), end='')"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {_source("gpt2", SMALL)}


def test_writing_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from attndsl.backends.pytorch import generate_source\n"
        "from attndsl.elaborate import load\nfrom attndsl.passes import optimize\n"
        f"assert 'class GPT2' in generate_source(optimize(load('gpt2', {SMALL}))[0])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.torch
def test_file_runs_where_attndsl_is_not(tmp_path: Path) -> None:
    """With the weights of a program it gives that program's logits; without, it starts from draws of its own."""
    import torch

    from attndsl.backends.pytorch import TorchProgram

    graph = load("gpt2", SMALL)
    program, inputs = TorchProgram(graph), example_inputs(graph)
    (tmp_path / "model.py").write_text(program.source, encoding="utf-8")
    torch.save(program.module.state_dict(), tmp_path / "weights.pt")
    np.savez(tmp_path / "inputs.npz", **inputs)
    (tmp_path / "script.py").write_text(
        f"""
import sys
sys.path += {[path for path in sys.path if path.endswith("site-packages")] + [str(tmp_path)]!r}
sys.modules["attndsl"] = None
import numpy, torch
from model import GPT2
model = GPT2().eval()
assert abs(model.h[0].mlp.up.weight.std().item() - 0.02) < 0.002
print(model.load_state_dict(torch.load("weights.pt")))
arrays = numpy.load("inputs.npz")
with torch.no_grad():
    out = model(**{{name: torch.from_numpy(arrays[name]) for name in arrays}})
numpy.savez("outputs.npz", **{{name: value.numpy() for name, value in out.items()}})
""",
        encoding="utf-8",
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "script.py"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "All keys matched" in done.stdout, done.stderr
    found = np.load(tmp_path / "outputs.npz")
    for name, array in program.run(inputs).items():
        np.testing.assert_allclose(found[name], array, rtol=1e-6, atol=1e-6)


@pytest.mark.torch
def test_names_that_python_or_torch_have_taken() -> None:
    """Labels and parameters may be called anything: `class`, `train`, `self`, `T`."""
    from attndsl.backends.pytorch import TorchProgram

    b = GraphBuilder("forward", D=3, torch=2)
    x = b.input("lambda", "float T D")
    for address in ("class.weight", "train", "eval.x", "self.x", "parameters.to", "torch.F", "0.1", "T.x", "x._y"):
        x = b.emit(ops.Mul(), x, b.parameter(address, "D", "uniform", 0.5, 1.5), names=(address.split(".")[0],))
    b.output("return", x)
    b.output("sum", b.emit(ops.Sum(axes("T D")), x, names=("math",)))
    graph = b.graph()
    program = TorchProgram(graph)
    assert set(program.parameters()) == {a for info in graph.parameters for a in info.addresses()}
    given = {"lambda": np.ones((2, 3), np.float32)}
    product = np.prod(list(program.parameters().values()), axis=0)
    np.testing.assert_allclose(program.run(given)["return"], np.stack([product] * 2), rtol=1e-5)
    program.gradients(given, {"sum": np.ones(())})


@pytest.mark.torch
def test_attribute_names_of_modules_are_known() -> None:
    from torch import nn

    from attndsl.backends.pytorch.names import MODULE_ATTRIBUTES

    def is_torchs(name: str) -> bool:  # `transformers`, where a test has imported it, puts some of its own there
        return str(getattr(getattr(nn.Module, name, None), "__module__", "torch")).partition(".")[0] != "transformers"

    names = {name for name in dir(nn.Module()) if not name.startswith("_")}
    assert {name for name in names if is_torchs(name)} <= MODULE_ATTRIBUTES


INITIALIZERS = [
    (Initializer("normal", (0.3,)), 0.0, 0.3),
    (Initializer("uniform", (-1.0, 2.0)), 0.5, 3 / 12**0.5),
    (Initializer("truncated", (0.3,)), 0.0, 0.3 * 0.8796),
    (Initializer("xavier"), 0.0, (2 / 300) ** 0.5),
    (Initializer("kaiming"), 0.0, (2 / 100) ** 0.5),
    (Initializer("zeros"), 0.0, 0.0),
    (Initializer("ones"), 1.0, 0.0),
    (Initializer("constant", (2.5,)), 2.5, 0.0),
    (Initializer("identity"), 1 / 200, (1 / 200 * (1 - 1 / 200)) ** 0.5),
]


@pytest.mark.torch
@pytest.mark.parametrize(("initializer", "mean", "deviation"), INITIALIZERS, ids=lambda x: getattr(x, "kind", ""))
def test_the_file_draws_first_values_too(initializer: Initializer, mean: float, deviation: float) -> None:
    """As `attndsl.running.initial` does, if not the same bits."""
    import torch

    from attndsl.backends.pytorch import generate_source
    from attndsl.graph.initial import written_out
    from attndsl.running.initial import initial_value

    type = Type("float", axes("I O"))
    builder, x = Builder(), Value(Type("float", axes("O")))
    result = builder.emit(ops.Mul(), x, builder.emit(ops.Parameter("w", type)))
    graph = Graph("Start", {}, {"I": 100, "O": 200}, (InputInfo("x", x),), (OutputInfo("y", result),),
                  (ParameterInfo("w", type, initializer),), (), {}, builder.region((x,), (result,)))  # fmt: skip
    torch.manual_seed(0)
    namespace: dict[str, object] = {}
    exec(generate_source(graph), namespace)
    drawn = namespace["Start"]().w.detach().numpy()  # type: ignore[operator]
    ours = initial_value(written_out(initializer, type), graph.sizes, (), np.random.default_rng(0))
    for values in (drawn, ours):
        assert values.mean() == pytest.approx(mean, abs=0.02)
        assert values.std() == pytest.approx(deviation, abs=0.01)
    if deviation == 0 or initializer.kind == "identity":
        np.testing.assert_array_equal(drawn, ours)
    np.testing.assert_allclose([drawn.min(), drawn.max()], [ours.min(), ours.max()], rtol=0.3, atol=1e-6)
