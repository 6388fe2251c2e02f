"""What goes along a text from its first position on: sums, recurrent layers, windows, experts, places."""

from __future__ import annotations

from tests.programs.sight import Sight, Tensor, construct


class Running(Sight):
    """For texts that are read on."""

    def of_the_text(self) -> Tensor | None:
        """Something at each position of a text."""
        return self.some(fits=lambda t: t.axes == ("B", "T", "width")) if self.is_text else None

    @construct(2)
    def running_sum(self) -> bool:
        t = self.some(self.choice.choice(("float", "int")), lambda t: "T" in t.axes) if self.is_text else None
        if t is None:
            return False
        if t.dtype == "int":
            return self.bind(t.axes, f"cumsum({t.name}, over=T) % 5", "int")
        kind = self.choice.choice(("cumsum({}, over=T) / (range(T) + 1)", "0.1 * cumsum({}, over=T)"))
        return self.bind(t.axes, kind.format(t.name))

    @construct(2, deepest=2)
    def recurrent(self) -> bool:
        t = self.of_the_text()
        cell = self.choice.choice(("gru_cell", "lstm_cell", "elman_cell"))
        return t is not None and self.bind(t.axes, f"recurrent({cell}(width))({t.name}) as l{self.made}")

    @construct(2)
    def windows(self) -> bool:
        t = self.of_the_text()
        if t is None:
            return False
        size, kind = self.choice.choice((1, 2, 3)), self.choice.choice(("sum", "max", "mean"))
        looked = f"windows({t.name}, over=T -> [T, R{self.made}], size={size}, before={size - 1}, after=0)"
        return self.bind(t.axes, f"{kind}({looked}, over=R{self.made})")

    @construct(2, deepest=2)
    def experts(self) -> bool:
        t = self.of_the_text()
        return t is not None and self.bind(t.axes, f"{t.name} |> experts(3, 2, mlp(hidden)) as l{self.made}")

    @construct(2)
    def places(self) -> bool:
        if not self.is_text:
            return False
        return self.bind(("T", "width"), f"embedding(range(T), longest, width, init=normal(0.5)) as l{self.made}")

    @construct(2)
    def documents(self) -> bool:
        """Attention within a document, which ends at a token."""
        t, n = self.of_the_text(), self.made
        if t is None:
            return False
        self.put(f"d{n} = cumsum(int(n == {self.choice.choice('012')}), over=T)")
        return self.bind(t.axes, f"attention({t.name}, heads, mask=causal & same(d{n})) as l{n}")
