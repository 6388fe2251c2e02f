"""Values of tensors in sight: arithmetic by name, reductions, slices, lookups, what moves elements."""

from __future__ import annotations

from tests.programs.sight import FREE, Sight, construct, plain, replaced, union

UNARY = (
    "tanh({})", "sigmoid({})", "sin({})", "cos({})", "abs({})", "exp(tanh({}))", "sqrt(abs({}) + 0.5)", "erf({})",
    "log(1 + {} ^ 2)", "rsqrt({} ^ 2 + 1)", "relu({})", "gelu({})", "gelu_tanh({})", "silu({})", "-({})", "{} ^ 2",
    "stop_gradient({})", "sign({}) * {}", "minimum({}, 0.5)", "maximum({}, -0.5)", "0.5 * {} + 0.25", "tanh({} ^ 3)",
    "(abs({}) + 1) ^ -0.5", "float(float32({}) * {})", "float(0.5 - float32({}))",
)  # fmt: skip
BINARY = ("{} + {}", "{} - {}", "{} * {}", "{} / (1 + {} ^ 2)", "minimum({}, {})", "maximum({}, {})")


class Expressions(Sight):
    """Assignments of a value to a new name."""

    @construct(6)
    def elementwise(self) -> bool:
        t = self.some()
        return t is not None and self.bind(t.axes, self.choice.choice(UNARY).replace("{}", t.name))

    @construct(5)
    def arithmetic(self) -> bool:
        t, u = self.some(), self.some()
        assert t is not None
        assert u is not None
        index = f" * ({self.choice.choice(self.loops)} + 1)" if self.loops and self.choice.random() < 0.3 else ""
        return self.bind(union(t.axes, u.axes), self.choice.choice(BINARY).format(t.name, u.name) + index)

    @construct(2)
    def where(self) -> bool:
        t, u, condition = self.some(), self.some(), self.some("bool")
        assert t is not None
        assert u is not None
        assert condition is not None
        axes = union(union(t.axes, u.axes), condition.axes)
        return self.bind(axes, f"where({condition.name}, {t.name}, {u.name})")

    @construct(4)
    def reduction(self) -> bool:
        t = self.some(fits=lambda t: len(self.together(t.axes)) > 0)
        if t is None:
            return False
        axes = self.together(t.axes)
        over = self.choice.sample(axes, self.choice.randint(1, min(2, len(axes))))
        kind = self.choice.choice(("sum", "mean", "max", "min", "sum", "mean", "logsumexp"))
        return self.bind(tuple(a for a in t.axes if a not in over), f"{kind}({t.name}, over=[{', '.join(over)}])")

    @construct(3)
    def softmax(self) -> bool:
        t = self.some(fits=lambda t: len(self.together(t.axes)) > 0)
        if t is None:
            return False
        axes = self.together(t.axes)
        over = self.choice.sample(axes, self.choice.choice((1, 1, min(2, len(axes)))))
        mask = self.some("bool", lambda m: set(over) & set(m.axes) and set(m.axes) <= set(t.axes))
        where = f", where={mask.name}" if mask is not None and self.choice.random() < 0.7 else ""
        kinds = ("softmax", "log_softmax", *(("cumsum", "flip") if len(over) == 1 else ()))
        kind = "softmax" if where else self.choice.choice(kinds)
        return self.bind(t.axes, f"{kind}({t.name}, over=[{', '.join(over)}]{where})")

    @construct(3)
    def slice(self) -> bool:
        t = self.some(fits=lambda t: any(plain(a) for a in self.together(t.axes)))
        if t is None:
            return False
        axis = self.choice.choice([a for a in self.together(t.axes) if plain(a)])
        rest = tuple(a for a in t.axes if a != axis)
        kind = self.choice.choice(("first", "last", "tail", "head"))
        if kind in ("first", "last"):
            return self.bind(rest, f"{t.name}[{axis}={'0' if kind == 'first' else f'{axis} - 1'}]")
        if axis not in (*FREE, "width"):  # of which there may be but one
            return False
        named = f"cut{self.made}={axis}-1"
        axes = tuple(named if a == axis else a for a in t.axes)
        return self.bind(axes, f"{t.name}[{axis}={'1:' if kind == 'tail' else f':{axis}-1'} -> {named}]")

    @construct(3)
    def dot(self) -> bool:
        t = self.some(fits=lambda t: len(self.together(t.axes)) > 0)
        if t is None:
            return False
        axis = self.choice.choice(self.together(t.axes))
        u = self.some(fits=lambda u: axis in u.axes)
        assert u is not None
        axes = tuple(a for a in union(t.axes, u.axes) if a != axis)
        return self.bind(axes, f"dot({t.name}, {u.name}, over=[{axis}]) * 0.5")

    @construct(2)
    def rearrange(self) -> bool:
        t = self.some(fits=lambda t: len(t.axes) >= 2 and all(plain(a) for a in t.axes))
        if t is None:
            return False
        kinds: list[tuple[tuple[str, ...], str]] = []
        if "width" in t.axes and not {"heads", "head"} & set(t.axes):
            kinds.append((replaced(t.axes, "width", ("heads", "head")), "[width] -> [heads, head]"))
        if "heads" in t.axes and "head" in t.axes and "width" not in t.axes:
            kept = tuple(a for a in t.axes if a != "head")
            kinds.append((replaced(kept, "heads", ("width",)), "[heads, head] -> [width]"))
        order = self.choice.sample(t.axes, len(t.axes))
        kinds.append((tuple(order), f"[{', '.join(t.axes)}] -> [{', '.join(order)}]"))
        a, b = t.axes[:2]
        if len(self.together((a, b))) == 2:
            kinds.append(((f"{a}*{b}", *t.axes[2:]), f"[{a}, {b}] -> [{a} * {b}]"))
        axes, pattern = self.choice.choice(kinds)
        return len(set(axes)) == len(axes) and self.bind(axes, f"rearrange({t.name}, {pattern})")

    @construct(2, deepest=1)
    def concat(self) -> bool:
        t = self.some(fits=lambda t: any(a in FREE for a in self.together(t.axes)))
        if t is None or self.indent > 1:
            return False
        axis = self.choice.choice([a for a in self.together(t.axes) if a in FREE])
        u = self.some(fits=lambda u: axis in u.axes and set(u.axes) <= set(t.axes))
        assert u is not None
        name = f"J{self.made}"
        first, second = self.choice.choice(((t, u), (u, t)))
        axes = tuple(name if a == axis else a for a in t.axes)
        return self.bind(axes, f"concat({first.name}, {second.name}, over=[{axis}, {axis}] -> {name})")

    @construct(2)
    def lookup(self) -> bool:
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
        axes = union(tuple(a for a in u.axes if a != "width"), t.axes)
        return self.bind(axes, f"take({u.name}, {t.name} % width, over=width)")

    @construct(2)
    def positions(self) -> bool:
        a, b = self.choice.sample((*self.counted, "width", "heads"), 2)
        kind = self.choice.choice(("range", "difference", "average", "positions"))
        if kind == "range" and not self.together((b,)):  # how long a text is, is not known position by position
            return False
        if kind == "range":
            return self.bind((a,), f"float(range({a})) / ({b} + 1)")
        if kind == "positions":
            return self.bind((a,), f"sin(0.3 * positions({a}))")
        if kind == "difference":
            return self.bind((a, b), f"0.1 * float(range({a}) - range({b}))")
        return self.bind((a, b), f"where(range({a}) <= range({b}), 1 / (range({b}) + 1), 0)")

    @construct(1)
    def parameter(self) -> bool:
        axes = tuple(self.choice.sample(("width", "hidden", "heads"), self.choice.randint(0, 2)))
        starts = ["normal(0.5)", "ones", "0.3", "tanh(normal(1)) / 2", "where(uniform(0, 1) < 0.5, 0.3, normal(0.5))"]
        starts += [f"range({axis}) / 4 - 0.2" for axis in axes]
        starts += [start for h in self.loops for start in (f"normal(0.5 / ({h} + 1))", f"0.1 * {h}")]
        self.put(f"param w{self.made}: [{', '.join(axes)}] = {self.choice.choice(starts)}")
        return self.bind(axes, f"w{self.made} * 2")

    @construct(3)
    def whole(self) -> bool:
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
            axes = [a for a in i.axes if plain(a) and (a not in FREE or a in self.counted)]
            simple = bool(axes) and plain(i.axes[-1]) and "cut" not in str(i.axes)
            other = pick.choice(("2", f"range({pick.choice(axes)})" if simple else "1"))
            return self.bind(i.axes, f"{i.name} {pick.choice(('<', '>=', '==', '!='))} {other}", "bool")
        if kind == "logic":
            d = self.some("bool")
            assert d is not None
            return self.bind(union(c.axes, d.axes), f"{c.name} {pick.choice(('and', 'or'))} not {d.name}", "bool")
        if kind == "any" and self.together(c.axes):
            axis = pick.choice(self.together(c.axes))
            return self.bind(
                tuple(a for a in c.axes if a != axis), f"{pick.choice(('any', 'all'))}({c.name}, over=[{axis}])", "bool"
            )
        if kind == "cast":
            t = pick.choice((i, c))
            return self.bind(t.axes, f"float({t.name}) * 0.5")
        if kind == "argmax" and self.together(i.axes):
            axis = pick.choice(self.together(i.axes))
            return self.bind(tuple(a for a in i.axes if a != axis), f"argmax({i.name}, over=[{axis}])", "int")
        return (
            kind == "count"
            and bool(self.together(c.axes[-1:]))
            and self.bind(c.axes[:-1], f"sum(int({c.name}), over=[{c.axes[-1]}])", "int")
        )
