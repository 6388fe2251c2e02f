"""Random programs in the language, well-formed by construction: `Program.random(seed)`.

A writer keeps the tensors in sight with their axes in order, and grows a model statement by statement: arithmetic by
name, reductions, softmax under masks, slices, `rearrange`, `concat`, attention with any mask and position, layers that
are shared between repeats inside one another, conditions on the index, scans. Lengths of 0 and 1, and inputs that hold
infinities and NaN, are part of it. What a comparison decides is computed from whole numbers only, so that no decision
hangs on the last bit of a float.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

FREE = ("B", "T", "S")
FIXED = ("width", "hidden", "heads", "head", "depth", "vocab")
MOST_AXES = 4
UNARY = (
    "tanh({})", "sigmoid({})", "sin({})", "cos({})", "abs({})", "exp(tanh({}))", "sqrt(abs({}) + 0.5)", "erf({})",
    "log(1 + {} ^ 2)", "rsqrt({} ^ 2 + 1)", "relu({})", "gelu({})", "gelu_tanh({})", "silu({})", "-({})", "{} ^ 2",
    "stop_gradient({})", "sign({}) * {}", "minimum({}, 0.5)", "maximum({}, -0.5)", "0.5 * {} + 0.25", "tanh({} ^ 3)",
)  # fmt: skip
BINARY = ("{} + {}", "{} - {}", "{} * {}", "{} / (1 + {} ^ 2)", "minimum({}, {})", "maximum({}, {})")
MASKS = (
    "q >= k", "q - k < {n}", "k - q < {n}", "(q - k) % {n} == 0", "k < {n}", "q // {n} == k // {n}", "k % 2 == 0",
    "q < k and k < q", "q + k >= {n}", "q == k",
)  # fmt: skip
BIASES = ("-abs(q - k)", "0.1 * (q - k)", "-(2 ^ (-(h + 1))) * (q - k)", "minimum(q, k) / {n}", "0.1 * h * (q % {n})")
STANDARD_MASKS = ("full", "causal", "window({n})", "local({n})", "prefix({n})", "global({n})", "strided({n})")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A name in sight. `axes` are written as their sizes; `other=T` is T under another name."""

    name: str
    dtype: str
    axes: tuple[str, ...]

    @property
    def type(self) -> str:
        return f"{self.dtype}[{', '.join(self.axes)}]"


@dataclass(frozen=True, slots=True)
class Program:
    """A text in the language, and what to run it with. `poison` is the share of float inputs' elements that are
    infinite or NaN."""

    seed: int
    text: str
    sizes: dict[str, int]
    poison: float

    @classmethod
    def random(cls, seed: int) -> Program:
        choice = random.Random(seed)
        sizes = {name: choice.choice((0, 1, 1, 2, 3, 3, 4, 5)) for name in FREE}
        poison = choice.choice((0.0, 0.0, 0.0, 0.05))
        return cls(seed, _Writer(choice).model(), sizes, poison)


@dataclass
class _Writer:
    choice: random.Random
    lines: list[str] = field(default_factory=list)
    declarations: list[str] = field(default_factory=list)
    seen: list[Tensor] = field(default_factory=list)
    masks: list[str] = field(default_factory=list)
    biases: list[str] = field(default_factory=list)
    layers: list[tuple[str, str]] = field(default_factory=list)  # shared layers, each with the last axis that it takes
    axes: list[str] = field(default_factory=list)  # names of axes that concat made here
    indent: int = 1
    made: int = 0
    depth: int = 1
    loops: tuple[str, ...] = ()  # indices of the repeats around

    # ---------------------------------------------------------------- the whole

    def model(self) -> str:
        pick = self.choice
        self.depth = pick.choice((0, 1, 2, 3))
        width, heads = pick.choice(((4, 2), (6, 3), (4, 1), (6, 2), (2, 1)))
        head = f"depth={self.depth}, width={width}, heads={heads}, hidden={pick.choice((2, 3, 5))}"
        self._declare_index_functions()
        for name, dtype, axes in (
            ("x", "float", ("B", "T", "width")), ("m", "float", ("B", "S", "width")), ("g", "float", ("width",)),
            ("n", "int", ("B", "T")), ("valid", "bool", ("B", "T")), ("seen", "bool", ("B", "S")),
        ):  # fmt: skip
            bound = " where n < vocab" if name == "n" else ""
            tensor = Tensor(name, dtype, axes)
            self.put(f"input {name}: {tensor.type}{bound}")
            self.seen.append(tensor)
        self.put("head = width / heads")
        for _ in range(pick.randint(0, 2)):
            self._declare_layer()
        for _ in range(pick.randint(4, 11)):
            self.statement()
        self._outputs()
        body = "\n".join(self.lines)
        return "\n".join([*self.declarations, f"model M({head}, vocab=7) {{", body, "}", ""])

    def _outputs(self) -> None:
        floats = [tensor for tensor in self.seen if tensor.dtype == "float" and tensor.name not in ("x", "m", "g")]
        for place, tensor in enumerate([self._float("x"), *floats][-3:]):
            self.put(f"output out{place} = {tensor.name} * 1")
        whole = [tensor for tensor in self.seen if tensor.dtype != "float" and tensor.name.startswith("v")]
        if whole:
            self.put(f"output whole = {whole[-1].name}")

    def _float(self, name: str) -> Tensor:
        return next(tensor for tensor in self.seen if tensor.name == name)

    def _declare_index_functions(self) -> None:
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

    def _declare_layer(self) -> None:
        name = f"f{len(self.layers)}"
        kind = self.choice.choice(("linear(width)", "mlp(hidden)", "layer_norm", "attention(heads)", "deep"))
        if kind == "deep":  # a layer that holds a repeat of its own
            if not any("block deep" in text for text in self.declarations):
                self.declarations.append(_DEEP)
            kind = f"deep({self.choice.choice((1, 2))})"
        self.put(f"layer {name} = {kind}")
        self.layers.append((name, kind))

    # ---------------------------------------------------------------- statements

    def statement(self) -> None:
        """One statement that fits what is in sight."""
        pick = self.choice
        kinds: list[tuple[int, Callable[[], bool]]] = [
            (6, self._elementwise), (5, self._arithmetic), (2, self._where), (4, self._reduction), (3, self._softmax),
            (3, self._slice), (3, self._dot), (4, self._layer), (4, self._attention), (2, self._attention_by_hand),
            (2, self._rearrange), (2, self._concat), (2, self._lookup), (2, self._positions), (2, self._convolution),
            (1, self._parameter), (2, self._index_function), (3, self._whole), (3, self._shared), (1, self._scope),
        ]  # fmt: skip
        if self.indent < 3:
            kinds += [(4, self._repeat), (2, self._scan)]
        for _ in range(30):
            if pick.choices([run for _, run in kinds], [weight for weight, _ in kinds])[0]():
                return

    def put(self, line: str) -> None:
        self.lines.append("  " * self.indent + line)

    def filled(self, text: str) -> str:
        return text.replace("{n}", str(self.choice.choice((1, 2, 3))))

    def bind(self, axes: tuple[str, ...], value: str, dtype: str = "float") -> bool:
        """Assign `value` to a new name. Its type is written, which puts the axes in order."""
        if len(axes) > MOST_AXES:
            return False
        tensor = Tensor(f"v{self.made}", dtype, axes)
        self.made += 1
        self.put(f"{tensor.name}: {tensor.type} = {value}")
        self.seen.append(tensor)
        return True

    def some(self, dtype: str = "float", fits: Callable[[Tensor], bool] = lambda _: True) -> Tensor | None:
        """A tensor in sight, the newest ones more often."""
        found = [tensor for tensor in self.seen if tensor.dtype == dtype and fits(tensor)]
        return self.choice.choices(found, range(1, len(found) + 1))[0] if found else None

    def _elementwise(self) -> bool:
        t = self.some()
        return t is not None and self.bind(t.axes, self.choice.choice(UNARY).replace("{}", t.name))

    def _arithmetic(self) -> bool:
        t, u = self.some(), self.some()
        assert t is not None
        assert u is not None
        index = f" * ({self.choice.choice(self.loops)} + 1)" if self.loops and self.choice.random() < 0.3 else ""
        return self.bind(_union(t.axes, u.axes), self.choice.choice(BINARY).format(t.name, u.name) + index)

    def _where(self) -> bool:
        t, u, condition = self.some(), self.some(), self.some("bool")
        assert t is not None
        assert u is not None
        assert condition is not None
        axes = _union(_union(t.axes, u.axes), condition.axes)
        return self.bind(axes, f"where({condition.name}, {t.name}, {u.name})")

    def _reduction(self) -> bool:
        t = self.some(fits=lambda t: len(t.axes) > 0)
        if t is None:
            return False
        over = self.choice.sample(t.axes, self.choice.randint(1, min(2, len(t.axes))))
        kinds = ("sum", "mean", "max", "min", "sum", "mean", *(("logsumexp",) if len(over) == 1 else ()))
        kind = self.choice.choice(kinds)
        return self.bind(tuple(a for a in t.axes if a not in over), f"{kind}({t.name}, over=[{', '.join(over)}])")

    def _softmax(self) -> bool:
        t = self.some(fits=lambda t: len(t.axes) > 0)
        if t is None:
            return False
        axis = self.choice.choice(t.axes)
        mask = self.some("bool", lambda m: axis in m.axes and set(m.axes) <= set(t.axes))
        where = f", where={mask.name}" if mask is not None and self.choice.random() < 0.7 else ""
        kind = "softmax" if where else self.choice.choice(("softmax", "log_softmax", "cumsum", "flip"))
        return self.bind(t.axes, f"{kind}({t.name}, over=[{axis}]{where})")

    def _slice(self) -> bool:
        t = self.some(fits=lambda t: any(_plain(a) for a in t.axes))
        if t is None:
            return False
        axis = self.choice.choice([a for a in t.axes if _plain(a)])
        rest = tuple(a for a in t.axes if a != axis)
        kind = self.choice.choice(("first", "last", "tail", "head"))
        if kind in ("first", "last"):
            return self.bind(rest, f"{t.name}[{axis}={'0' if kind == 'first' else f'{axis} - 1'}]")
        if axis not in (*FREE, "width"):  # of which there may be but one
            return False
        named = f"cut{self.made}={axis}-1"
        axes = tuple(named if a == axis else a for a in t.axes)
        return self.bind(axes, f"{t.name}[{axis}={'1:' if kind == 'tail' else f':{axis}-1'} -> {named}]")

    def _dot(self) -> bool:
        t = self.some(fits=lambda t: len(t.axes) > 0)
        if t is None:
            return False
        axis = self.choice.choice(t.axes)
        u = self.some(fits=lambda u: axis in u.axes)
        assert u is not None
        axes = tuple(a for a in _union(t.axes, u.axes) if a != axis)
        return self.bind(axes, f"dot({t.name}, {u.name}, over=[{axis}]) * 0.5")

    def _layer(self) -> bool:
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

    def _shared(self) -> bool:
        """Apply a layer that was declared at the top, wherever this stands."""
        if not self.layers:
            return False
        name, kind = self.choice.choice(self.layers)
        deep = 2 if kind.startswith("attention") else 1
        inside = {"heads", "head"} if kind.startswith("attention") else set()
        inside |= {"hidden"} if kind.startswith("mlp") else set()
        t = self.some(fits=lambda t: t.axes[-1:] == ("width",) and len(t.axes) >= deep and not inside & set(t.axes))
        return t is not None and self.bind(t.axes, f"{name}({t.name})")

    def mask(self, batch: bool) -> str:
        options = [*self.masks, *STANDARD_MASKS] + ["same_number(n)", "keys(valid)"] * batch
        parts = [self.filled(self.choice.choice(options)) for _ in range(self.choice.choice((1, 1, 2, 3)))]
        text = parts[0]
        for part in parts[1:]:
            text = f"({text}) {self.choice.choice('&|')} {self.choice.choice((part, f'(not {part})'))}"
        if self.loops and self.choice.random() < 0.4:
            text = f"({text} if {self.choice.choice(self.loops)} % 2 == 0 else causal)"
        return text

    def _attention(self) -> bool:
        pick = self.choice
        t = self.some(fits=lambda t: t.axes[-1:] == ("width",) and t.axes[-2:-1] in [(a,) for a in FREE])
        if t is None or {"heads", "head"} & set(t.axes):
            return False
        over = t.axes[:-2]
        memory = self.some(fits=lambda m: m.axes in [(*over, time, "width") for time in FREE])
        cross = memory is not None and pick.random() < 0.3
        options = [f"mask={self.mask(t.axes[:2] == ('B', 'T') and not cross)}"] if pick.random() < 0.8 else []
        position = pick.choice((*self.biases, "rotary", "rotary_interleaved", "none", "none"))
        if position.startswith("rotary") and pick.random() < 0.8:
            options.append("head=2")
            options.append(f"position={position}")
        elif not position.startswith("rotary"):
            options.append(f"position={position}")
        options += pick.sample(("kv_heads=1", "bias=false", "scale=0.5", "dropout=0.1"), pick.randint(0, 2))
        given = f"{t.name}, {memory.name}, " if memory is not None and cross else f"{t.name}, "
        return self.bind(t.axes, f"attention({given}heads, {', '.join(options)}) as l{self.made}".replace(", )", ")"))

    def _attention_by_hand(self) -> bool:
        """Attention without the library's block: a block of this file, in one of several spellings."""
        pick, time = self.choice, self.choice.choice(("T", "S"))
        t = self.some(fits=lambda t: t.axes in (("B", time, "width"), (time, "width")))
        if t is None:
            return False
        if "spelled" not in "".join(self.declarations):
            score, weight = pick.choice(_SCORES), pick.choice(_WEIGHTS)
            self.declarations.append(_SPELLED.replace("SCORE", score).replace("WEIGHT", weight))
        memory = self.some(fits=lambda m: m.axes == (*t.axes[:-2], "S" if time == "T" else "T", "width"))
        given = f"{t.name}, {memory.name}" if memory is not None and pick.random() < 0.4 else t.name
        return self.bind(t.axes, f"spelled({given}, heads, {self.mask(False)}) as l{self.made}")

    def _rearrange(self) -> bool:
        t = self.some(fits=lambda t: len(t.axes) >= 2 and all(_plain(a) for a in t.axes))
        if t is None:
            return False
        kinds: list[tuple[tuple[str, ...], str]] = []
        if "width" in t.axes and not {"heads", "head"} & set(t.axes):
            kinds.append((_replaced(t.axes, "width", ("heads", "head")), "[width] -> [heads, head]"))
        if "heads" in t.axes and "head" in t.axes and "width" not in t.axes:
            kept = tuple(a for a in t.axes if a != "head")
            kinds.append((_replaced(kept, "heads", ("width",)), "[heads, head] -> [width]"))
        order = self.choice.sample(t.axes, len(t.axes))
        kinds.append((tuple(order), f"[{', '.join(t.axes)}] -> [{', '.join(order)}]"))
        a, b = t.axes[:2]
        kinds.append(((f"{a}*{b}", *t.axes[2:]), f"[{a}, {b}] -> [{a} * {b}]"))
        axes, pattern = self.choice.choice(kinds)
        return len(set(axes)) == len(axes) and self.bind(axes, f"rearrange({t.name}, {pattern})")

    def _concat(self) -> bool:
        t = self.some(fits=lambda t: any(a in FREE for a in t.axes))
        if t is None or self.indent > 1:
            return False
        axis = self.choice.choice([a for a in t.axes if a in FREE])
        u = self.some(fits=lambda u: axis in u.axes and set(u.axes) <= set(t.axes))
        assert u is not None
        name = f"J{self.made}"
        first, second = self.choice.choice(((t, u), (u, t)))
        axes = tuple(name if a == axis else a for a in t.axes)
        return self.bind(axes, f"concat({first.name}, {second.name}, over=[{axis}, {axis}] -> {name})")

    def _lookup(self) -> bool:
        t = self.some("int", lambda t: t.name == "n")
        assert t is not None
        kind = self.choice.choice(("embedding", "one_hot", "take", "gather"))
        if kind == "embedding":
            return self.bind((*t.axes, "width"), f"embedding({t.name}, vocab, width) as l{self.made}")
        if kind == "one_hot":
            return self.bind((*t.axes, "vocab"), f"float(one_hot({t.name}, vocab))")
        if kind == "take":
            self.put(f"param w{self.made}: [vocab, heads] = normal(0.5)")
            return self.bind((*t.axes, "heads"), f"take(w{self.made}, {t.name}, over=vocab)")
        u = self.some(fits=lambda u: "width" in u.axes)
        assert u is not None
        axes = _union(tuple(a for a in u.axes if a != "width"), t.axes)
        return self.bind(axes, f"take({u.name}, {t.name} % width, over=width)")

    def _positions(self) -> bool:
        a, b = self.choice.sample((*FREE, "width", "heads"), 2)
        kind = self.choice.choice(("range", "difference", "average", "positions"))
        if kind == "range":
            return self.bind((a,), f"float(range({a})) / ({b} + 1)")
        if kind == "positions":
            return self.bind((a,), f"sin(0.3 * positions({a}))")
        if kind == "difference":
            return self.bind((a, b), f"0.1 * float(range({a}) - range({b}))")
        return self.bind((a, b), f"where(range({a}) <= range({b}), 1 / (range({b}) + 1), 0)")

    def _convolution(self) -> bool:
        t = self.some(fits=lambda t: len(t.axes) >= 2 and t.axes[-1] in ("width", "hidden") and t.axes[-2] in FREE)
        if t is None:
            return False
        kind = self.choice.choice(
            (f"conv({t.axes[-1]}, 3, pad=1)", "depthwise(3, pad=1)", "conv(heads, 1)", "max_pool(3, stride=1, pad=1)")
        )
        last = "heads" if "heads, 1" in kind else t.axes[-1]
        if last in t.axes[:-1]:
            return False
        label = f" as l{self.made}" if "pool" not in kind else ""
        return self.bind((*t.axes[:-1], last), f"{t.name} |> {kind}{label}")

    def _parameter(self) -> bool:
        axes = tuple(self.choice.sample(("width", "hidden", "heads"), self.choice.randint(0, 2)))
        self.put(f"param w{self.made}: [{', '.join(axes)}] = {self.choice.choice(('normal(0.5)', 'ones', '0.3'))}")
        return self.bind(axes, f"w{self.made} * 2")

    def _index_function(self) -> bool:
        a, b = self.choice.sample(FREE, 2)
        if self.choice.random() < 0.4:
            bias = self.choice.choice(self.biases[:2])
            return self.bind(("heads", a, b), f"{bias}[q={a}, k={b}]")
        mask = self.filled(self.choice.choice((*self.masks, *STANDARD_MASKS)))
        return self.bind((a, b), f"{mask}[q={a}, k={b}]", "bool")

    def _whole(self) -> bool:
        pick = self.choice
        i, c = self.some("int"), self.some("bool")
        assert i is not None
        assert c is not None
        kind = pick.choice(("arithmetic", "compare", "logic", "any", "cast", "argmax", "count"))
        if kind == "arithmetic":
            return self.bind(
                i.axes, pick.choice(("{} + 1", "{} % 3", "{} // 2", "-{}", "minimum({}, 2)")).format(i.name), "int"
            )
        if kind == "compare":
            other = pick.choice(
                (
                    "2",
                    f"range({pick.choice(i.axes)})"
                    if i.axes and _plain(i.axes[-1]) and "cut" not in str(i.axes)
                    else "1",
                )
            )
            return self.bind(i.axes, f"{i.name} {pick.choice(('<', '>=', '==', '!='))} {other}", "bool")
        if kind == "logic":
            d = self.some("bool")
            assert d is not None
            return self.bind(_union(c.axes, d.axes), f"{c.name} {pick.choice(('and', 'or'))} not {d.name}", "bool")
        if kind == "any" and c.axes:
            axis = pick.choice(c.axes)
            return self.bind(
                tuple(a for a in c.axes if a != axis), f"{pick.choice(('any', 'all'))}({c.name}, over=[{axis}])", "bool"
            )
        if kind == "cast":
            t = pick.choice((i, c))
            return self.bind(t.axes, f"float({t.name}) * 0.5")
        if kind == "argmax" and i.axes:
            axis = pick.choice(i.axes)
            return self.bind(tuple(a for a in i.axes if a != axis), f"argmax({i.name}, over=[{axis}])", "int")
        return (
            kind == "count"
            and bool(c.axes)
            and self.bind(c.axes[:-1], f"sum(int({c.name}), over=[{c.axes[-1]}])", "int")
        )

    # ---------------------------------------------------------------- bodies

    @contextmanager
    def body(self, opening: str) -> Iterator[None]:
        """Statements in braces; names made inside are gone behind them."""
        self.put(opening + " {")
        seen = list(self.seen)
        self.indent += 1
        yield
        self.indent -= 1
        self.seen = seen
        self.put("}")

    def _addend(self, t: Tensor) -> str:
        """Something that can be added to `t` without giving it another type, kept small."""
        u = self.some(fits=lambda u: set(u.axes) <= set(t.axes))
        return f"0.3 * tanh({u.name})" if u is not None else "0.1"

    def _repeat(self) -> bool:
        t = self.some(fits=lambda t: len(t.axes) > 0)
        if t is None:
            return False
        pick, index, n = self.choice, f"i{self.indent}{self.made}", self.made
        count = pick.choice(("depth", "2", "depth", "3"))
        emits = (
            pick.random() < 0.3
            and count == "depth"
            and self.depth
            and "depth" not in t.axes
            and len(t.axes) < MOST_AXES
        )
        around = self.loops
        with self.body(f"{f'e{n} = ' if emits else ''}repeat {index} in {count}"):
            self.loops = (*around, index)
            for _ in range(pick.randint(1, 4)):
                self.statement()
            if pick.random() < 0.4:
                self.put(f"if {pick.choice(self.loops)} % 2 == {pick.choice('01')} {{ {t.name} += {self._addend(t)} }}"
                         f" else {{ {t.name} = {t.name} * 0.5 }}")  # fmt: skip
            self.put(f"{t.name} += {self._addend(t)}")
            if emits:
                self.put(f"emit {t.name}")
            self.loops = around
        if emits:
            self.made += 1
            return self.bind((*t.axes[:-1], "depth", t.axes[-1]), f"e{n}")
        return True

    def _scan(self) -> bool:
        def steps(t: Tensor) -> bool:
            return (
                len(t.axes) in (2, 3) and t.axes[-1] == "width" and t.axes[-2] in ("T", "S") and t.axes[0] != "hidden"
            )

        t = self.some(fits=steps)
        if t is None:
            return False
        pick, n, time, over = self.choice, self.made, t.axes[-2], t.axes[:-2]
        state = ", ".join((*over, "hidden"))
        start = pick.choice(("0.0", "0.5"))
        source = f"flip({t.name}, over={time})" if pick.random() < 0.3 else t.name
        self.put(f"a{n} = {source}")
        with self.body(f"e{n} = scan t{n} in {time} with s{n}: [{state}] = {start}"):
            now = Tensor(f"s{n}", "float", (*over, "hidden"))
            self.seen.append(now)
            self.seen.append(Tensor(f"c{n}", "float", (*t.axes[:-2], "width")))
            self.put(f"c{n} = a{n}[{time}=t{n}]")
            self.put(f"s{n} = tanh(0.5 * s{n} + (linear(c{n}, hidden) as l{n}))")
            if pick.random() < 0.5:
                self.put(f"s{n} = s{n} * sigmoid(linear(s{n}, hidden) as r{n})")
            if pick.random() < 0.4:
                self.put(f"s{n} += {self._addend(now)}")
            self.put(f"emit s{n}")
        self.made += 1
        return self.bind((*over, time, "hidden"), f"e{n}")

    def _scope(self) -> bool:
        t = self.some(fits=lambda t: t.axes[-1:] == ("width",))
        if t is None:
            return False
        n = self.made
        with self.body(f"e{n} = scope part{n}"):
            for _ in range(self.choice.randint(1, 2)):
                self.statement()
            u = self.some(fits=lambda u: u.axes == t.axes)
            assert u is not None
            self.put(f"return {u.name} * 0.5")
        self.made += 1
        return self.bind(t.axes, f"e{n}")


_SPELLED = """block spelled(heads, seen)(x: [*, T, D], memory: [*, S, E] = x) -> [*, T, D] {
  head = D / heads
  q = linear(x, D) as q |> rearrange([D] -> [heads, head])
  k = linear(memory, D) as k |> rearrange([D] -> [heads, head])
  score = SCORE
  weight = WEIGHT
  return dot(weight, k, over=S) |> rearrange([heads, head] -> [D])
}"""
_SCORES = (
    "dot(q, k, over=head) / sqrt(head)", "dot(q / sqrt(head), k, over=head)", "0.5 * dot(k, q, over=head)",
    "dot(q, k, over=head)", "tanh(dot(q, k, over=head)) * 2",
)  # fmt: skip
_WEIGHTS = (
    "softmax(score, over=S, where=seen[q=T, k=S])", "softmax(where(seen[q=T, k=S], score, -1e9), over=S)",
    "softmax(score, over=S) * seen[q=T, k=S]", "exp(log_softmax(score, over=S))",
    "softmax(score, over=S)",
)  # fmt: skip
_DEEP = """block deep(n)(x: [*, D]) -> [*, D] {
  repeat j in n {
    x += 0.3 * tanh(linear(x, D) as inner)
  }
  return x
}"""


def _plain(axis: str) -> bool:
    """Whether the axis is one size by itself, so that it can be written on either side of a `=`."""
    return axis.isidentifier()


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return (*first, *(axis for axis in second if axis not in first))


def _replaced(axes: tuple[str, ...], old: str, new: tuple[str, ...]) -> tuple[str, ...]:
    at = axes.index(old)
    return (*axes[:at], *new, *axes[at + 1 :])
