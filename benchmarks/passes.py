"""What passes cost on graphs that nobody repeats: processor time, and whether it grows with the nodes or faster.

    python benchmarks/passes.py

`layers`: pre-norm layers written out with the standard blocks, two statements each. `by hand`: the same with norms,
attention and activation spelled out otherwise. `entwined`: `c = tanh(a) + b; d = sin(b) * a`, of themselves again and
again. The time is that of `optimize`, verification between passes included.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from attndsl.elaborate import load
from attndsl.graph import Graph
from attndsl.passes import optimize

BLOCKS = """
block norm(eps)(z: [*, F]) -> [*, F] {
  param gain: [F] = ones
  param offset: [F] = zeros
  m = mean(z, over=F)
  v = mean((z - m) ^ 2, over=F)
  return offset + (z - m) / sqrt(v + eps) * gain
}

block attend(n)(z: [*, L, F], memory: [*, K, G] = z) -> [*, L, F] {
  size = F / n
  a = linear(z, F) |> rearrange([L, F] -> [n, L, size=F / n])
  b = linear(memory, F) |> rearrange([K, F] -> [n, K, size=F / n])
  c = linear(memory, F) |> rearrange([K, F] -> [n, K, size=F / n])
  score = dot(a * size ^ -0.5, b, over=size)
  past: bool[L, K] = positions(L) >= positions(K)
  weight = softmax(where(past, score, -1e9), over=K)
  y = dot(weight, c, over=K) |> rearrange([n, L, size=F / n] -> [L, F])
  return linear(y, F)
}
"""


def layers(count: int) -> str:
    lines = ["model Deep(width=64, heads=4) {", "  input x: [B, T, width]"]
    for _ in range(count):
        lines.append("  x += x |> layer_norm |> attention(heads, mask=causal)")
        lines.append("  x += x |> layer_norm |> mlp(4 * width, act=gelu_tanh)")
    return "\n".join([*lines, "  output y = x", "}", ""])


def by_hand(count: int) -> str:
    lines = ["model Deep(width=64, heads=4, eps=1e-5) {", "  input x: [B, T, width]"]
    for _ in range(count):
        lines.append("  x = x + attend(norm(x, eps), heads)")
        lines.append("  y = linear(norm(x, eps), 4 * width)")
        lines.append("  y = (1 + tanh((y + 0.044715 * y * y * y) * sqrt(2 / pi))) * y / 2")
        lines.append("  x = x + linear(y, width)")
    return BLOCKS + "\n".join([*lines, "  output y = x", "}", ""])


def entwined(count: int) -> str:
    lines = ["model M(width=4) {", "  input a: [B, width]", "  input b: [B, width]"]
    for _ in range(count):
        lines += ["  c = tanh(a) + b", "  d = sin(b) * a", "  a = c", "  b = d"]
    return "\n".join([*lines, "  output y = a + b", "}", ""])


CASES: tuple[tuple[str, Callable[[int], str], tuple[int, ...]], ...] = (
    ("layers", layers, (200, 400, 800)),
    ("by hand", by_hand, (200, 400, 800)),
    ("entwined", entwined, (50, 400, 800)),
)


def graph_of(text: str) -> Graph:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.attn"
        path.write_text(text, encoding="utf-8")
        return load(str(path))


def main() -> None:
    optimize(graph_of(layers(2)))
    for name, written, counts in CASES:
        for count in counts:
            graph = graph_of(written(count))
            nodes = sum(1 for _ in graph.body.walk())
            gc.collect()
            start = time.process_time()
            optimize(graph)
            seconds = time.process_time() - start
            print(f"{name:10} {count:4} {nodes:7,} nodes {seconds:7.2f} s {seconds / nodes * 1e6:7.1f} µs a node")


if __name__ == "__main__":
    main()
