"""Short texts that would unroll, multiply out or branch without end: each is answered soon, in little memory."""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from attndsl.diagnostics import AttnError
from attndsl.elaborate import elaborate, open_text
from attndsl.sizes import Size, SizeTooLong
from tests.costs import is_ever_less, less_than

TIMES = 8
"""So many times as long as `attndsl check gpt2` takes, which is a second where that takes an eighth of one."""
BYTES = 256 << 20

FIRST = "model M(width=8, heads=2, depth=3) {\n  input x: [B, T, width]\n"
LAST = "  output y = x\n}\n"


def body(*statements: str) -> str:
    return FIRST + "".join(f"  {s}\n" for s in statements) + LAST


def steps(count: int, first: str, step: str) -> list[str]:
    """`a0 = first`, then `step` again and again, `{a}` being the value before."""
    return [f"a0 = {first}", *(f"a{i} = {step.format(a=f'a{i - 1}')}" for i in range(1, count))]


def blocks(count: int, call: str, last: str) -> str:
    """Blocks that call the next one by `call`."""
    text = "".join(f"block b{i}()(x: [*]) -> [*] {{\n  return {call.format(b=f'b{i + 1}')}\n}}\n" for i in range(count))
    return text + f"block b{count}()(x: [*]) -> [*] {{\n  return {last}\n}}\n" + body("x = b0(x)")


def masks(count: int, call: str) -> str:
    text = "".join(f"mask m{i}(q, k) = {call.format(m=f'm{i + 1}')}\n" for i in range(count))
    return text + f"mask m{count}(q, k) = q >= k\n" + body("x = attention(x, 2, mask=m0)")


def nested(count: int, condition: str) -> str:
    """Repeats inside one another, with a condition on all their indices in the innermost one."""
    heads = (f"repeat h{i} in 3 {{" for i in range(count))
    return body(*heads, f"x = tanh(x) if {condition} else sin(x)", *"}" * count)


BOMBS = {
    "loops in loops": (body(*(f"repeat h{i} in 1 {{" for i in range(41)), "x = tanh(x)", *"}" * 41), "E0111"),
    "a sum squared": (body(*steps(13, "B + T + width + 1", "{a} * {a}"), "z = x * a12"), "E0209"),
    "a power of powers": (body(*steps(40, "2 * T", "{a} ^ 16"), "z = x * a39"), "E0209"),
    "a number squared": (body(*steps(60, "99999", "{a} * {a}"), "z = x * a59"), "E0405"),
    "a number doubled": (body(*steps(1500, "1", "{a} + {a}")), "E0405"),
    "minima in maxima": (body(*steps(40, "T", "minimum({a} + B, maximum({a}, B) * 2)"), "z = x * a39"), "E0209"),
    "quotients of quotients": (body(*steps(40, "T + 1", "({a} * {a}) // ({a} + B) % ({a} + 3)")), "E0209"),
    "an axis of sums": (f"model M() {{\n  input x: [{'*'.join(f'(A{i}+1)' for i in range(200))}]\n{LAST}", "E0209"),
    "an axis of factors": (f"model M() {{\n  input x: [{'*'.join(f'A{i}' for i in range(900))}]\n{LAST}", "E0209"),
    "blocks that call twice": (blocks(40, "{b}({b}(x))", "x"), "E0111"),
    "blocks that add up": (blocks(40, "{b}(x) + {b}(x)", "tanh(x)"), "E0111"),
    "Fibonacci": (
        "block b(n)(x: [*]) -> [*] {\n  if n > 1 {\n    return b(x, n - 1) + b(x, n - 2)\n  }\n  return tanh(x)\n}\n"
        + body("x = b(x, 45)"), "E0111",
    ),
    "a block that calls itself": ("block b(x: [*]) -> [*] {\n  return b(x)\n}\n" + body("x = b(x)"), "E0111"),
    "masks that call twice": (masks(40, "{m}[q=q, k=k] and not {m}[q=q, k=k]"), "E0111"),
    "a mask combined with itself": (
        body(*steps(60, "causal", "{a} & ({a} | local(3))"), "x = attention(x, 2, mask=a59)"), "E0111",
    ),
    "blocks in blocks": (
        "block both(f, g)(x: [*]) -> [*] {\n  return f(g(x))\n}\n"
        + body(*steps(60, "tanh", "both({a}, {a})"), "x = a59(x)"), "E0111",
    ),
    "a setting made of settings": (
        "model M(" + ", ".join(f"a{i}=a{i - 1} & a{i - 1}" if i else "a0=causal" for i in range(60)) + ") {\n"
        "  input x: [B, T, 8]\n" + LAST, "E0111",
    ),
    "many kinds of layers": (
        body("repeat h in 99999 {", *(f"x += tanh(x) if (h // {2 ** i}) % 2 == 1 else sin(x)" for i in range(14)), "}"),
        "E0111",
    ),
    "a thousand kinds of layers": (body("repeat h in 4096 {", "x = dropout(attention(x, 2), h / 5000)", "}"), "E0111"),
    "a kind for each layer": (body("repeat h in 3900 {", "x = dropout(x, h / 5000)", "}"), "E0111"),
    "an index doubled": (body("repeat h in 4 {", *steps(60, "h", "{a} + {a}"), "x = x * a59", "}"), "E0405"),
    "conditions on many indices": (nested(12, "+".join(f"h{i}" for i in range(12)) + " > 11"), "E0111"),
    "a condition on thirty indices": (nested(30, "+".join(f"h{i}" for i in range(30)) + " == 3"), "E0111"),
    "many axes": (body(*steps(40, "x", "broadcast({a}, [H{a}=2])")), "E0111"),
    "many inputs": (body(*(f"input i{i}: [A{i}, C{i}]" for i in range(2000))), ""),
    "forty repeats": (nested(40, "width > 3"), ""),
    "many layers": (body("repeat h in 100000 {", "  x = tanh(x) if h % 2 == 0 else sin(x)", "}"), ""),
    "an enormous repeat": (body("repeat h in 10 ^ 14 {", "  x += linear(x, width)", "}"), ""),
    "lookups": (body("param t: [64, width]", *("z = take(t, range(T), over=64)" for _ in range(1500))), ""),
}  # fmt: skip


def checked(spec: str, said: Path) -> tuple[int, float]:
    """The exit code of a check with little memory, and its processor seconds."""
    with said.open("wb") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "attndsl", "check", spec, "--allow", "W0101"],  # most names are there for bulk
            stdout=file, stderr=file, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES)),
        )  # fmt: skip
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage.ru_utime + usage.ru_stime


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> float:
    """The processor seconds of `attndsl check gpt2`."""
    said = tmp_path_factory.mktemp("usual") / "said"
    found = [checked("gpt2", said) for _ in range(5)]
    assert {status for status, _ in found} == {0}, said.read_text(encoding="utf-8")
    return statistics.median(seconds for _, seconds in found)


@pytest.mark.parametrize("name", BOMBS)
def test_it_is_answered_soon_and_in_little_memory(name: str, usual: float, tmp_path: Path) -> None:
    text, code = BOMBS[name]
    assert len(text) < 64 << 10
    spec = tmp_path / "bomb.attn"
    spec.write_text(text, encoding="utf-8")

    def answered() -> float:
        status, seconds = checked(str(spec), tmp_path / "said")
        message = (tmp_path / "said").read_text(encoding="utf-8")
        assert status == (1 if code else 0), message
        assert message.startswith(f"error[{code}]" if code else str(spec)), message
        assert message.count("error[") <= 1, message
        return seconds

    def beside() -> float:
        """What it may take, measured for about as long: whatever else runs slows both."""
        return sum(checked("gpt2", tmp_path / "beside")[1] for _ in range(TIMES))

    took = answered()
    assert took < TIMES * usual or is_ever_less(answered, beside)


def test_sizes_have_bounds_of_their_own() -> None:
    """Whoever calculates with them: passes do too."""
    a, b = Size.symbol("A"), Size.symbol("B")

    def often(step: Callable[[Size], Size], size: Size) -> None:
        for _ in range(20):
            size = step(size)

    for step, start, reason in (
        (lambda size: size * size, a + b + 1, "terms"),
        (lambda size: size * size, a, "exponent"),
        (lambda size: size * 10**30, a, "too large"),
        (lambda size: size.minimum(size * 2 - b), a, "parts"),
    ):
        with pytest.raises(SizeTooLong, match=reason):
            often(step, start)


def test_equal_sizes_cost_next_to_nothing() -> None:
    w, h, t = Size.symbol("width"), Size.symbol("heads"), Size.symbol("T")
    with less_than(0.1):
        for i in range(200):
            assert (w + i) * (t + h) == w * t + w * h + t * i + h * i


def test_a_text_may_write_its_layers_out() -> None:
    """What it unrolls to is in proportion to it."""
    layer = "  x += x |> layer_norm as n{i} |> attention(heads, mask=causal) as a{i}\n"
    spec = open_text(FIRST + "".join(layer.format(i=i) for i in range(120)) + LAST)
    graph = elaborate(spec, {})
    assert graph.parameter_count == 120 * (2 * 8 + 4 * (64 + 8))


def test_a_number_without_a_value_is_told() -> None:
    for statement in ("x = tanh(x) if 1 / (h - 2) < 0 else sin(x)", "x = x / (2 - h) ^ 2 * (1 / (h - 2))"):
        text = body("repeat h in 4 {", statement, "}")
        with pytest.raises(AttnError, match="this number has no value where `h` is 2: division by zero"):
            elaborate(open_text(text), {})
