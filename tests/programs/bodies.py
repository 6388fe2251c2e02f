"""Statements with bodies: repeats inside one another, conditions on the index, scans, scopes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.programs.sight import MOST_AXES, Sight, Tensor, construct, plain


class Bodies(Sight):
    """Statements in braces."""

    @contextmanager
    def body(self, opening: str) -> Iterator[None]:
        """Statements in braces; names made inside are gone behind them."""
        self.put(opening + " {")
        seen, kept = list(self.seen), list(self.kept)
        self.indent += 1
        yield
        self.indent -= 1
        self.seen, self.kept = seen, kept
        self.put("}")

    def addend(self, t: Tensor) -> str:
        """Something that can be added to `t` without giving it another type, kept small."""
        u = self.some(fits=lambda u: set(u.axes) <= set(t.axes))
        return f"0.3 * tanh({u.name})" if u is not None else "0.1"

    @construct(4, deepest=2)
    def repeat(self) -> bool:
        t = self.some(fits=lambda t: len(t.axes) > 0)
        if t is None:
            return False
        pick, index, n = self.choice, f"i{self.indent}{self.made}", self.made
        count = pick.choice(("depth", "2", "depth", "3", "written"))
        emits = pick.random() < 0.3 and len(t.axes) < MOST_AXES
        stacked = "depth"
        head = f"repeat {index} in {count}"
        if count == "written":
            head = pick.choice((f"repeat {index}, k{n} in steps", f"unrolled repeat {index} in len(steps)"))
            stacked = f"{index}={self.steps}"
        elif count != "depth" or not self.depth or "depth" in t.axes:
            emits = False
        around = self.loops
        unread = emits and pick.random() < 0.5  # emit something that nobody reads, and that may not be computed
        names = f"e{n}, d{n} = " if unread else f"e{n} = " if emits else ""
        with self.body(f"{names}{head}"):
            self.loops = (*around, index)
            for _ in range(pick.randint(1, 4)):
                self.statement()
            if pick.random() < 0.4:
                self.put(f"if {pick.choice(self.loops)} % 2 == {pick.choice('01')} {{ {t.name} += {self.addend(t)} }}"
                         f" else {{ {t.name} = {t.name} * 0.5 }}")  # fmt: skip
            self.put(f"{t.name} += {self.addend(t)}")
            if emits:
                self.put(f"emit {t.name}" + f", n ^ (-1 - {index})" * unread)
            self.loops = around
        if emits:
            self.made += 1
            return self.bind((*t.axes[:-1], stacked, t.axes[-1]), f"e{n}")
        return True

    @construct(2)
    def state(self) -> bool:
        """A value of the call before; it is written from all that is in sight, or not at all."""
        pick, n = self.choice, self.made
        t = self.some(pick.choice(("float", "float", "float", "int", "bool")))
        if t is None or len(t.axes) > MOST_AXES or self.is_text:  # what keeps states reads texts on by itself
            return False
        self.made += 1
        first = pick.choice(("zeros", "ones", "2"))
        if t.dtype == "float":
            starts = [
                "0.5",
                *(f"0.1 * ({h} + 1)" for h in self.loops),
                *(f"range({a}) / 4" for a in t.axes if plain(a)),
            ]
            first = pick.choice((first, *starts))
        self.put(f"state kept{n}: {t.type} = {first}")
        read = {"float": f"tanh(kept{n})", "int": f"kept{n} % 3", "bool": f"not kept{n}"}[t.dtype]
        if pick.random() < 0.5:
            self.bind(t.axes, read, t.dtype)
        if pick.random() < 0.5:
            self.statement()
        if t.dtype == "float" and pick.random() < 0.8:
            self.put(f"kept{n} <- 0.5 * kept{n} + {self.addend(t)}")
        elif t.dtype == "int":
            self.put(f"kept{n} <- kept{n} + {t.name}")
        elif t.dtype == "bool":
            self.put(f"kept{n} <- kept{n} != {t.name}" if pick.random() < 0.5 else f"kept{n} <- {t.name}")
        return self.bind(t.axes, read, t.dtype)

    @construct(2)
    def by_training(self) -> bool:
        t = self.some(fits=lambda t: len(t.axes) > 0)
        if t is None:
            return False
        pick = self.choice
        when = pick.choice(("training", "not training", "training and depth > 1", "not training or heads > 1"))
        if pick.random() < 0.3:
            return self.bind(t.axes, f"{t.name} + {self.addend(t)} if {when} else {t.name}")
        for opening in (f"if {when}", "else"):
            with self.body(opening):
                for _ in range(pick.randint(0, 2)):
                    self.statement()
                if opening != "else" or pick.random() < 0.5:
                    self.put(f"{t.name} += {self.addend(t)}")
        return True

    @construct(2, deepest=1)
    def stages(self) -> bool:
        """A value that grows from round to round, and is brought back."""
        t = self.some(fits=lambda t: t.axes[-1:] == ("width",))
        if t is None or "hidden" in t.axes:
            return False
        n, axes = self.made, t.axes[:-1]
        self.put(f"r{n} = {t.name}")
        self.put(f"C{n} = width")
        with self.body(f"repeat g{n}, k{n} in steps"):
            self.put(f"if g{n} > 0 {{ C{n} += k{n} }}")
            self.put(f"r{n} = tanh(linear(r{n}, C{n}) as grow)")
            if self.choice.random() < 0.5:
                self.put(f"r{n} += r{n} |> layer_norm |> mlp(hidden)")
        return self.bind((*axes, "hidden"), f"linear(r{n}, hidden) as l{n}")

    @construct(2, deepest=2)
    def scan(self) -> bool:
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
        source = f"flip({t.name}, over={time})" if pick.random() < 0.3 and self.together((time,)) else t.name
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
                self.put(f"s{n} += {self.addend(now)}")
            self.put(f"emit s{n}")
        self.made += 1
        return self.bind((*over, time, "hidden"), f"e{n}")

    @construct(1)
    def scope(self) -> bool:
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
