"""Layers: of the library, shared, written out; attention with any mask and position."""

from __future__ import annotations

from tests.programs.sight import FIXED, FREE, Sight, construct

MASKS = (
    "q >= k", "q - k < {n}", "k - q < {n}", "(q - k) % {n} == 0", "k < {n}", "q // {n} == k // {n}", "k % 2 == 0",
    "q < k and k < q", "q + k >= {n}", "q == k",
)  # fmt: skip
BIASES = ("-abs(q - k)", "0.1 * (q - k)", "-(2 ^ (-(h + 1))) * (q - k)", "minimum(q, k) / {n}", "0.1 * h * (q % {n})")
ROTATIONS = (
    "rotary", "rotary(base=50, interleaved=true)", "rotary(scaling=linear_rope(2))",
    "rotary(scaling=yarn(4, 20, fast=2))", "rotary(scaling=llama3_rope(4, context=20))",
    "rotary(scaling=longrope([1], [2], 2, 4))",
)  # fmt: skip
STANDARD_MASKS = ("full", "causal", "window({n})", "local({n})", "prefix({n})", "global({n})", "strided({n})")
OPTIONS = (
    "kv_heads=1", "bias=false", "scale=0.5", "dropout=0.1", "cap=2", "sink=true", "q_norm=rms_norm",
    "k_norm=layer_norm",
)  # fmt: skip
SPELLED = """block spelled(heads, seen)(x: [*, T, D], memory: [*, S, E] = x) -> [*, T, D] {
  head = D / heads
  q = linear(x, D) as q |> rearrange([D] -> [heads, head])
  k = linear(memory, D) as k |> rearrange([D] -> [heads, head])
  score = SCORE
  weight = WEIGHT
  return dot(weight, k, over=S) |> rearrange([heads, head] -> [D])
}"""
SCORES = (
    "dot(q, k, over=head) / sqrt(head)", "dot(q / sqrt(head), k, over=head)", "0.5 * dot(k, q, over=head)",
    "dot(q, k, over=head)", "tanh(dot(q, k, over=head)) * 2",
)  # fmt: skip
WEIGHTS = (
    "softmax(score, over=S, where=seen[q=T, k=S])", "softmax(where(seen[q=T, k=S], score, -1e9), over=S)",
    "softmax(score, over=S) * seen[q=T, k=S]", "exp(log_softmax(score, over=S))",
    "softmax(score, over=S)", "softmax(score, over=S, where=seen[q=T, k=S], sink=0.5)",
)  # fmt: skip
MASKED_WEIGHTS = tuple(weight for weight in WEIGHTS if "where" in weight)
"""Those in which what a mask hides has no part at all."""
ADAPTIVE = """block adaptive(x: [*, D], by: [D]) -> [*, D] {
  return x * (1 + 0.3 * tanh(by))
}"""
RELATIVE = """block relative(q: [*, T, H], k: [*, S, H], u: [H]) -> [*, T, S] {
  return 0.1 * dot(q + u, k, over=H)
}"""
DEEP = """block deep(n)(x: [*, D]) -> [*, D] {
  repeat j in n {
    x += 0.3 * tanh(linear(x, D) as inner)
  }
  return x
}"""


class Layers(Sight):
    """Applications of layers, and the declarations that they need."""

    def declare_index_functions(self) -> None:
        pick = self.choice
        for place in range(pick.randint(1, 2)):
            parts = [f"({self.filled(pick.choice(MASKS))})" for _ in range(pick.randint(1, 3))]
            body = parts[0]
            for part in parts[1:]:
                body = f"{body} {pick.choice(('and', 'or'))} {pick.choice(('', 'not '))}{part}"
            self.declarations.append(f"mask m{place}(q, k) = {body}")
            self.masks.append(f"m{place}")
        self.declarations.append("mask same_number(doc: int[B, T])(b in B, q, k) = doc[b, q] == doc[b, k]")
        formula = self.filled(pick.choice(BIASES))
        self.declarations.append(f"bias b0(heads)(h in heads, q, k) = {formula}")
        self.biases += [
            "b0(heads)",
            "alibi(heads)",
            "bucketed(heads, 4, 8)",
            "bucketed(heads, 4, 6, bidirectional=false)",
        ]

    def declare_layer(self) -> None:
        name = f"f{len(self.layers)}"
        attention = "attention(heads, mask=causal)" if self.is_causal else "attention(heads)"
        kind = self.choice.choice(("linear(width)", "mlp(hidden)", "layer_norm", attention, "deep"))
        if kind == "deep":  # a layer that holds a repeat of its own
            self.declare(DEEP)
            kind = f"deep({self.choice.choice((1, 2))})"
        self.put(f"layer {name} = {kind}")
        self.layers.append((name, kind))

    @construct(4)
    def layer(self) -> bool:
        t = self.some(fits=lambda t: len(t.axes) > 0 and t.axes[-1] in FIXED)
        if t is None:
            return False
        kind = self.choice.choice(
            ("linear(width)", "linear(hidden)", "mlp(hidden, act=gelu)", "layer_norm", "rms_norm")
        )
        last = kind[7:-1] if kind.startswith("linear") else t.axes[-1]
        if last in t.axes[:-1] or (kind.startswith("mlp") and "hidden" in t.axes):
            return False
        return self.bind((*t.axes[:-1], last), f"{t.name} |> {kind} as l{self.made}")

    @construct(3)
    def shared(self) -> bool:
        """Apply a layer that was declared at the top, wherever this stands."""
        if not self.layers:
            return False
        name, kind = self.choice.choice(self.layers)
        deep = 2 if kind.startswith("attention") else 1
        inside = {"heads", "head"} if kind.startswith("attention") else set()
        inside |= {"hidden"} if kind.startswith("mlp") else set()
        t = self.some(fits=lambda t: t.axes[-1:] == ("width",) and len(t.axes) >= deep and not inside & set(t.axes))
        return t is not None and self.bind(t.axes, f"{name}({t.name})")

    @construct(2)
    def keeping(self) -> bool:
        """A block value that keeps a tensor, and one that was made before applied to another."""
        pick, by = self.choice, self.some(fits=lambda t: t.axes == ("width",))
        if by is not None and (not self.kept or pick.random() < 0.4):
            self.declare(ADAPTIVE)
            self.kept.append(f"kept{self.made}")
            self.put(f"kept{self.made} = adaptive(by={by.name})")
            self.made += 1
        t = self.some(fits=lambda t: t.axes[-1:] == ("width",))
        return t is not None and bool(self.kept) and self.bind(t.axes, f"{t.name} |> {pick.choice(self.kept)}")

    def times(self, axis: str) -> tuple[str, ...]:
        """The axes along which there may be keys for queries along `axis`."""
        if not self.apart:
            return FREE
        return {"T": ("T", "S"), "S": ("S",)}.get(axis, ())

    def mask_of(self, queries: str, keys: str, batch: bool) -> str:
        """A mask; where each position is to depend on those before it alone, a causal one."""
        text = self.mask(batch)
        return f"({text}) & causal" if self.is_causal and queries == keys == "T" else text

    def mask(self, batch: bool) -> str:
        options = [*self.masks, *STANDARD_MASKS] + ["same_number(n)", "keys(valid)"] * batch
        parts = [self.filled(self.choice.choice(options)) for _ in range(self.choice.choice((1, 1, 2, 3)))]
        text = parts[0]
        for part in parts[1:]:
            text = f"({text}) {self.choice.choice('&|')} {self.choice.choice((part, f'(not {part})'))}"
        if self.loops and self.choice.random() < 0.4:
            text = f"({text} if {self.choice.choice(self.loops)} % 2 == 0 else causal)"
        return text

    @construct(2)
    def index_function(self) -> bool:
        a, b = self.choice.sample(self.counted, 2)
        if self.choice.random() < 0.4:
            bias = self.choice.choice(self.biases[:2])
            return self.bind(("heads", a, b), f"{bias}[q={a}, k={b}]")
        mask = self.filled(self.choice.choice((*self.masks, *STANDARD_MASKS)))
        return self.bind((a, b), f"{mask}[q={a}, k={b}]", "bool")

    @construct(4)
    def attention(self) -> bool:
        pick = self.choice
        t = self.some(fits=lambda t: t.axes[-1:] == ("width",) and t.axes[-2:-1] in [(a,) for a in FREE])
        if t is None:
            return False
        over, time = t.axes[:-2], t.axes[-2]
        if not self.times(time):
            return False
        memory = self.some(fits=lambda m: m.axes in [(*over, other, "width") for other in self.times(time)])
        cross = memory is not None and pick.random() < 0.3
        keys = memory.axes[-2] if memory is not None and cross else time
        mask = self.mask_of(time, keys, t.axes[:-1] == ("B", "T") and not cross)
        options = [f"mask={mask}"] if pick.random() < 0.8 or "causal" in mask else []
        position = pick.choice((*self.biases, *ROTATIONS, "relative", "relative", "none", "none"))
        if position.startswith("rotary") and pick.random() < 0.8:
            options.append("head=2")
            options.append(f"position={position}")
        elif position == "relative":
            self.declare(RELATIVE)
            self.put(f"param u{self.made}: [head] = normal(0.5)")
            options.append(f"position=relative(u=u{self.made})")
        elif not position.startswith("rotary"):
            options.append(f"position={position}")
        options += pick.sample(OPTIONS, pick.randint(0, 3))
        given = f"{t.name}, {memory.name}, " if memory is not None and cross else f"{t.name}, "
        return self.bind(t.axes, f"attention({given}heads, {', '.join(options)}) as l{self.made}".replace(", )", ")"))

    @construct(2)
    def attend(self) -> bool:
        """Attention on tensors in sight, values of any size among them."""
        pick, times = self.choice, [(axis,) for axis in FREE]
        q = self.some(fits=lambda t: t.axes[-1:] == ("width",) and t.axes[-2:-1] in times)
        if q is None:
            return False
        over = q.axes[:-2]
        k = self.some(fits=lambda t: t.axes in [(*over, time, "width") for time in self.times(q.axes[-2])])
        if k is None:
            return False
        v = self.some(fits=lambda t: t.axes[:-1] == k.axes[:-1] and t.axes[-1] not in FREE)
        assert v is not None
        mask = self.mask_of(q.axes[-2], k.axes[-2], q.axes[:-1] == k.axes[:-1] == ("B", "T"))
        options = [f"mask={mask}"] * (pick.random() < 0.7 or "causal" in mask)
        options += pick.sample(("scale=0.5", "cap=1.5", "sink=0.3 * sum(g, over=width)"), pick.randint(0, 2))
        given = ", ".join((q.name, k.name, v.name, *options))
        return self.bind((*q.axes[:-1], v.axes[-1]), f"attend({given})")

    @construct(2)
    def attention_by_hand(self) -> bool:
        """Attention without the library's block: a block of this file, in one of several spellings."""
        pick, time = self.choice, self.choice.choice(("T", "S"))
        t = self.some(fits=lambda t: t.axes in (("B", time, "width"), (time, "width")))
        if t is None:
            return False
        if "spelled" not in "".join(self.declarations):
            score, weight = pick.choice(SCORES), pick.choice(MASKED_WEIGHTS if self.is_causal else WEIGHTS)
            self.declarations.append(SPELLED.replace("SCORE", score).replace("WEIGHT", weight))
        other = "S" if time == "T" else "T"
        memory = self.some(fits=lambda m: m.axes == (*t.axes[:-2], other, "width") and other in self.times(time))
        cross = memory is not None and pick.random() < 0.4
        given = f"{t.name}, {memory.name}" if memory is not None and cross else t.name
        mask = self.mask_of(time, other if cross else time, False)
        return self.bind(t.axes, f"spelled({given}, heads, {mask}) as l{self.made}")

    @construct(2)
    def convolution(self) -> bool:
        t = self.some(fits=lambda t: len(t.axes) >= 2 and t.axes[-1] in ("width", "hidden") and t.axes[-2] in FREE)
        if t is None:
            return False
        backwards = (
            "conv(heads, 1)",
            f"conv({t.axes[-1]}, 3, before=2, groups={t.axes[-1]})",
            "depthwise(3, before=4, dilation=2)",
            f"conv({t.axes[-1]}, 2, before=1)",
        )
        kinds = (
            *backwards,
            f"conv({t.axes[-1]}, 3, pad=1)",
            "depthwise(3, pad=1)",
            "max_pool(3, stride=1, pad=1)",
            f"conv_transpose({t.axes[-1]}, 3, pad=1)",
        )
        if t.axes[-2] == "B" and self.apart:
            return False
        kind = self.choice.choice(kinds if self.together((t.axes[-2],)) else backwards)
        last = "heads" if "heads, 1" in kind else t.axes[-1]
        if last in t.axes[:-1]:
            return False
        label = f" as l{self.made}" if "pool" not in kind else ""
        return self.bind((*t.axes[:-1], last), f"{t.name} |> {kind}{label}")
