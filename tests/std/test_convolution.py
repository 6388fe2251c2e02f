"""Convolution and pooling against `torch.nn.functional`, values and gradients, and the names of the axes they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest

from attndsl.backends.numpy_reference import NumpyProgram
from attndsl.diagnostics import AttnError
from tests.std.meaning import Array, drawn, written

ONE = "model M(width=4) {{\n input x: [B, T, width]\n output y = {call}\n}}\n"
TWO = "model M(width=4) {{\n input x: [B, Y, X, width]\n output y = {call}\n}}\n"

#: size, stride, pad, dilation
SETTINGS = [
    (3, 1, 1, 1),
    (3, 1, 0, 1),
    (2, 2, 0, 1),
    (3, 2, 1, 1),
    (4, 3, 2, 1),
    (3, 1, 2, 2),
    (3, 2, 1, 2),
    (1, 1, 0, 1),
]


def agrees(text: str, x: Array, oracle: Callable[..., object], parameters: Mapping[str, Array]) -> None:
    """Values and all gradients as torch's autograd finds them in `oracle(x, *parameters)`, in the layout of `text`; and
    our PyTorch module as NumPy."""
    import torch

    from attndsl.comparison import compare

    graph = written(text)
    program = NumpyProgram(graph, dtype="float64")
    program.load(parameters)
    tensors = [torch.tensor(array, requires_grad=True) for array in (x, *parameters.values())]
    meant = oracle(*tensors)
    cotangent = drawn(*meant.shape, seed=9)  # type: ignore[attr-defined]
    (meant * torch.from_numpy(cotangent)).sum().backward()  # type: ignore[operator]
    outputs, by_parameter, by_input = program.gradients({"x": x}, {"y": cotangent})
    np.testing.assert_allclose(outputs["y"], meant.detach().numpy(), atol=1e-12)  # type: ignore[attr-defined]
    np.testing.assert_allclose(by_input["x"], tensors[0].grad.numpy(), atol=1e-12)
    for address, tensor in zip(parameters, tensors[1:], strict=True):
        np.testing.assert_allclose(by_parameter[address], tensor.grad.numpy(), atol=1e-11)
    result = compare(graph, inputs={"x": x}, weights=parameters, gradients=True, dtype="float64")
    assert result.ok, result


@pytest.mark.torch
@pytest.mark.parametrize(("size", "stride", "pad", "dilation"), SETTINGS)
@pytest.mark.parametrize("bias", [True, False])
def test_conv(size: int, stride: int, pad: int, dilation: int, bias: bool) -> None:
    from torch.nn.functional import conv1d

    def oracle(x, weight, bias=None):  # type: ignore[no-untyped-def]
        return conv1d(x.mT, weight.permute(2, 1, 0), bias, stride, pad, dilation).mT

    call = f"conv(x, 5, {size}, stride={stride}, pad={pad}, dilation={dilation}, bias={str(bias).lower()})"
    parameters = {"conv.weight": drawn(size, 4, 5, seed=1)} | ({"conv.bias": drawn(5, seed=2)} if bias else {})
    agrees(ONE.format(call=call), drawn(2, 11, 4), oracle, parameters)


@pytest.mark.torch
@pytest.mark.parametrize(("size", "stride", "pad", "dilation"), SETTINGS)
def test_conv2d(size: int, stride: int, pad: int, dilation: int) -> None:
    from torch.nn.functional import conv2d

    def oracle(x, weight, bias):  # type: ignore[no-untyped-def]
        y = conv2d(x.permute(0, 3, 1, 2), weight.permute(3, 2, 0, 1), bias, stride, pad, dilation)
        return y.permute(0, 2, 3, 1)

    call = f"conv2d(x, 5, {size}, stride={stride}, pad={pad}, dilation={dilation})"
    parameters = {"conv2d.weight": drawn(size, size, 4, 5, seed=1), "conv2d.bias": drawn(5, seed=2)}
    agrees(TWO.format(call=call), drawn(2, 11, 8, 4), oracle, parameters)


@pytest.mark.torch
@pytest.mark.parametrize(("size", "stride", "pad", "dilation"), SETTINGS)
def test_depthwise(size: int, stride: int, pad: int, dilation: int) -> None:
    from torch.nn.functional import conv1d, conv2d

    def one(x, weight, bias):  # type: ignore[no-untyped-def]
        return conv1d(x.mT, weight.permute(2, 1, 0), bias, stride, pad, dilation, groups=4).mT

    def two(x, weight, bias):  # type: ignore[no-untyped-def]
        kernel = weight.permute(3, 2, 0, 1)
        return conv2d(x.permute(0, 3, 1, 2), kernel, bias, stride, pad, dilation, groups=4).permute(0, 2, 3, 1)

    rest = f"{size}, stride={stride}, pad={pad}, dilation={dilation})"
    bias = drawn(4, seed=2)
    parameters = {"depthwise.weight": drawn(size, 1, 4, seed=1), "depthwise.bias": bias}
    agrees(ONE.format(call=f"depthwise(x, {rest}"), drawn(2, 11, 4), one, parameters)
    parameters = {"depthwise2d.weight": drawn(size, size, 1, 4, seed=1), "depthwise2d.bias": bias}
    agrees(TWO.format(call=f"depthwise2d(x, {rest}"), drawn(2, 11, 8, 4), two, parameters)


@pytest.mark.torch
@pytest.mark.parametrize("groups", [2, 4])
def test_groups(groups: int) -> None:
    from torch.nn.functional import conv1d, conv2d

    rest = f"12, 3, stride=2, pad=1, groups={groups})"
    bias = drawn(12, seed=2)

    def one(x, weight, bias):  # type: ignore[no-untyped-def]
        return conv1d(x.mT, weight.permute(2, 1, 0), bias, 2, 1, groups=groups).mT

    def two(x, weight, bias):  # type: ignore[no-untyped-def]
        y = conv2d(x.permute(0, 3, 1, 2), weight.permute(3, 2, 0, 1), bias, 2, 1, groups=groups)
        return y.permute(0, 2, 3, 1)

    parameters = {"conv.weight": drawn(3, 4 // groups, 12, seed=1), "conv.bias": bias}
    agrees(ONE.format(call=f"conv(x, {rest}"), drawn(2, 11, 4), one, parameters)
    parameters = {"conv2d.weight": drawn(3, 3, 4 // groups, 12, seed=1), "conv2d.bias": bias}
    agrees(TWO.format(call=f"conv2d(x, {rest}"), drawn(2, 7, 6, 4), two, parameters)


@pytest.mark.torch
def test_ends_that_are_padded_differently() -> None:
    from torch.nn.functional import conv1d, pad

    def causal(x, weight, bias):  # type: ignore[no-untyped-def]
        return conv1d(pad(x.mT, (6, 0)), weight.permute(2, 1, 0), bias, dilation=2, groups=4).mT

    parameters = {"depthwise.weight": drawn(4, 1, 4, seed=1), "depthwise.bias": drawn(4, seed=2)}
    agrees(
        ONE.format(call="x + depthwise(x, 4, dilation=2, before=6)"),
        drawn(2, 9, 4),
        lambda x, *w: x + causal(x, *w),
        parameters,
    )


@pytest.mark.torch
@pytest.mark.parametrize(
    "call",
    [
        "conv(x, 5, 3, pad=1)",
        "conv(x, 5, 4, stride=2)",
        "conv_transpose(x, 5, 4, stride=2, pad=1)",
    ],
)
def test_a_sequence_whose_channels_are_last_is_read_without_a_copy(call: str) -> None:
    """Only the kernel, which torch wants in another order, is laid out anew."""
    import torch

    from attndsl.backends.pytorch import TorchProgram

    module = TorchProgram(written(ONE.format(call=call))).module
    x = torch.randn(3, 50, 4)
    with torch.no_grad(), torch.profiler.profile(record_shapes=True) as seen:
        module(x)
    copies = [event.input_shapes[0] for event in seen.events() if event.name == "aten::clone"]
    assert not [shape for shape in copies if 3 in shape and 4 in shape and len(shape) in (3, 4) and max(shape) > 40]


#: size, stride, pad, dilation, extra, groups
TRANSPOSED = [(3, 1, 0, 1, 0, 1), (4, 2, 1, 1, 0, 1), (3, 2, 1, 1, 1, 2), (2, 3, 0, 1, 2, 1), (3, 1, 1, 2, 0, 4)]


@pytest.mark.torch
@pytest.mark.parametrize(("size", "stride", "pad", "dilation", "extra", "groups"), TRANSPOSED)
def test_transposed(size: int, stride: int, pad: int, dilation: int, extra: int, groups: int) -> None:
    from torch.nn.functional import conv_transpose1d, conv_transpose2d

    options = {"stride": stride, "padding": pad, "output_padding": extra, "groups": groups, "dilation": dilation}
    rest = f"8, {size}, stride={stride}, pad={pad}, dilation={dilation}, extra={extra}, groups={groups})"
    bias = drawn(8, seed=2)

    def one(x, weight, bias):  # type: ignore[no-untyped-def]
        return conv_transpose1d(x.mT, weight.permute(1, 2, 0), bias, **options).mT

    def two(x, weight, bias):  # type: ignore[no-untyped-def]
        y = conv_transpose2d(x.permute(0, 3, 1, 2), weight.permute(2, 3, 0, 1), bias, **options)
        return y.permute(0, 2, 3, 1)

    parameters = {"conv_transpose.weight": drawn(size, 4, 8 // groups, seed=1), "conv_transpose.bias": bias}
    agrees(ONE.format(call=f"conv_transpose(x, {rest}"), drawn(2, 5, 4), one, parameters)
    parameters = {"conv2d_transpose.weight": drawn(size, size, 4, 8 // groups, seed=1), "conv2d_transpose.bias": bias}
    agrees(TWO.format(call=f"conv2d_transpose(x, {rest}"), drawn(2, 4, 3, 4), two, parameters)


BEHIND = {
    "a dense layer": "linear(conv(x, width, 3, pad=1), width)",
    "another name": "rearrange(conv(x, width, 3, pad=1), [width] -> [channel=width])",
    "a bias before the groups are one": """grouped(x)
}
block grouped(x: [*, T, D]) {
  param kernel: [size=3, in=D / 2, group=2, out=3] = normal(1)
  param bias: [out=3, group=2] = normal(1)
  seen = windows(rearrange(x, [D] -> [group=2, in=D / 2]), over=T -> [U, R], size=3) |> rearrange([R] -> [size=3])
  return rearrange(dot(seen, kernel, over=[size, in]) + bias, [group, out] -> [all=6])""",
}


@pytest.mark.torch
@pytest.mark.parametrize("behind", BEHIND)
def test_channels_may_get_another_name_behind_the_bias(behind: str) -> None:
    from attndsl.comparison import compare

    graph, x = written(ONE.format(call=BEHIND[behind])), drawn(2, 5, 4)
    weights = NumpyProgram(graph, dtype="float64").parameters()
    weights = {address: drawn(*array.shape, seed=3) for address, array in weights.items()}
    assert compare(graph, inputs={"x": x}, weights=weights, gradients=True, dtype="float64").ok


@pytest.mark.torch
@pytest.mark.parametrize(("size", "stride", "pad"), [(2, 2, 0), (2, 2, 1), (3, 2, 1), (3, 1, 1), (4, 3, 2), (5, 1, 0)])
@pytest.mark.parametrize("kind", ["max", "mean"])
def test_pooling(kind: str, size: int, stride: int, pad: int) -> None:
    from torch.nn import functional

    one = {"max": functional.max_pool1d, "mean": functional.avg_pool1d}[kind]
    two = {"max": functional.max_pool2d, "mean": functional.avg_pool2d}[kind]
    rest = f"{size}, stride={stride}, pad={pad})"
    x = drawn(2, 11, 4) - 3  # mostly negative: a zero of the padding would be the largest
    agrees(ONE.format(call=f"{kind}_pool(x, {rest}"), x, lambda x: one(x.mT, size, stride, pad).mT, {})
    x = drawn(2, 11, 8, 4) - 3
    agrees(
        TWO.format(call=f"{kind}_pool2d(x, {rest}"),
        x,
        lambda x: two(x.permute(0, 3, 1, 2), size, stride, pad).permute(0, 2, 3, 1),
        {},
    )


@pytest.mark.parametrize("kind", ["max", "mean"])
def test_windows_lie_side_by_side_unless_told_otherwise(kind: str) -> None:
    x = drawn(2, 9, 4)
    y = NumpyProgram(written(ONE.format(call=f"{kind}_pool(x, 3)")), dtype="float64").run({"x": x})["y"]
    assert np.allclose(y, getattr(np, kind)(x.reshape(2, 3, 3, 4), 2))


def test_an_axis_that_keeps_its_length_keeps_its_name() -> None:
    """So a residual can be added; whatever shortens it makes an axis of its own, and layers stack."""
    graph = written("""
model M(width=4) {
  input x: [B, T, width]
  input z: [B, Y, X, width]
  y = x + conv(x, width, 3, pad=1) + conv(x, width, 3, pad=2, dilation=2) + max_pool(x, 3, 1, 1) + mean_pool(x, 1)
  output y = y + depthwise(x, 5, pad=2)
  z += conv2d(z, width, 3, pad=1) + max_pool2d(z, 3, 1, 1) + depthwise2d(z, 3, pad=1)
  output z_ = conv2d(z, width, 3, stride=2) as one |> conv2d(6, 2) as two |> max_pool2d(2)
  output short = conv(x, width, 2)
}
""")
    assert {o.name: str(o.value.type) for o in graph.outputs}["short"] == "float[B, T-1, width]"
    assert [[a.name for a in o.value.type.axes] for o in graph.outputs] == [
        ["B", "T", "width"],
        ["B", "V", "U", "6"],
        ["B", "T-1", "width"],
    ]


def test_numbers_of_windows_are_formulas() -> None:
    """A kernel, a padding, a stride or a dilation that is a hyperparameter keeps the length as its value would."""
    graph = written("""
model M(width=4, kernel=5, reach=3, patch=2, gap=3, frames=6) {
  input x: [B, T, width]
  x += conv(x, width, kernel, pad=(kernel - 1) / 2) + conv(x, width, 2 * reach + 1, pad=reach)
  x += depthwise(x, kernel, dilation=gap, pad=gap * (kernel - 1) / 2)
  seen = windows(x, over=T -> [T, R], size=kernel, before=kernel - 1, after=0)
  output causal = x + mean(seen, over=R)
  seen = windows(x, over=T -> [T, R], size=kernel, before=(kernel - 1) // 2, after=kernel // 2)
  output even = x + mean(seen, over=R)
  input z: [B, Y * patch, X * patch, width]
  output patches = conv2d(z, width, patch, stride=patch)
  input audio: [B, 2 * frames, width]
  output y: [B, frames, width] = conv(audio, width, 3, stride=2, pad=1)
}
""")
    assert {o.name: str(o.value.type) for o in graph.outputs} == {
        "causal": "float[B, T, width]", "even": "float[B, T, width]",
        "patches": "float[B, Y, X, width]", "y": "float[B, frames, width]",
    }  # fmt: skip


STACK = """
model M(width=4, depth=3) {
  input x: [B, T, width]
  repeat i in depth {
    seen = windows(x, over=T -> [T, R], size=2, dilation=2 ^ i, before=2 ^ i)
    x += mean(seen, over=R)
    x += conv(x, width, 2 * i + 1, pad=i, dilation=1, init=normal(0.5)) as wide
    x += depthwise(x, 3, dilation=i + 1, pad=i + 1) as deep
  }
  output y = x
}
"""


@pytest.mark.torch
def test_windows_differ_from_layer_to_layer() -> None:
    """Dilations that double, and kernels that grow: one body for each, as if they were written out."""
    from attndsl.comparison import compare

    graph, x = written(STACK), drawn(2, 9, 4)
    program = NumpyProgram(graph, dtype="float64", seed=3)
    weights = program.parameters()
    assert [weights[f"i.{i}.wide.weight"].shape for i in range(3)] == [(1, 4, 4), (3, 4, 4), (5, 4, 4)]

    def taps(x: Array, weight: Array, dilation: int, before: int) -> list[Array]:
        padded = np.pad(x, ((0, 0), (before, dilation * (len(weight) - 1) - before), (0, 0)))
        return [padded[:, r * dilation : r * dilation + x.shape[1]] for r in range(len(weight))]

    y = x
    for i in range(3):
        y = y + np.mean(taps(y, np.ones(2), 2**i, 2**i), axis=0)
        wide = weights[f"i.{i}.wide.weight"]
        y = y + sum(tap @ w for tap, w in zip(taps(y, wide, 1, i), wide, strict=True)) + weights[f"i.{i}.wide.bias"]
        deep = weights[f"i.{i}.deep.weight"]
        y = y + sum(tap * w for tap, w in zip(taps(y, deep, i + 1, i + 1), deep[:, 0], strict=True))
        y = y + weights[f"i.{i}.deep.bias"]
    np.testing.assert_allclose(program.run({"x": x})["y"], y, atol=1e-12)
    assert compare(graph, inputs={"x": x}, weights=weights, gradients=True, dtype="float64").ok


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("x + conv(x, width, 3)", "E0203"),  # two shorter, and not to be added
        ("max_pool(x, 2, pad=2)", "E0210"),  # windows of nothing but padding
        ("conv(x, 5, 3, stride=0)", "E0209"),
        ("conv(x, 5, 3, pad=-1)", "E0209"),
        ("conv(x, 5, 3, pad=1.5)", "E0209"),
    ],
)
def test_what_does_not_fit(call: str, code: str) -> None:
    with pytest.raises(AttnError) as caught:
        written(ONE.format(call=call))
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_a_sequence_shorter_than_the_window_is_refused() -> None:
    program = NumpyProgram(written(ONE.format(call="conv(x, 5, 4)")))
    assert program.run({"x": drawn(1, 4, 4)})["y"].shape == (1, 1, 5)
    with pytest.raises(AttnError) as caught:
        program.run({"x": drawn(1, 3, 4)})
    assert [d.code for d in caught.value.diagnostics] == ["E0206"]
