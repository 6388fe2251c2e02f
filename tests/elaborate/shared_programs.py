"""Random programs that share layers across repeats, each with the same program written out by hand: no repeat in it, a
layer for each round, and which parameter of the one is which of the other."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

PRELUDE = """\
block gain(x: [*, D]) -> [*, D] {
  param w: [D] = normal(0.5)
  return x * (1 + w)
}
"""

LEAVES = {"linear": ("weight", "bias"), "gain": ("w",)}


@dataclass
class Body:
    """Statements, as tuples of what they are and what they say."""

    statements: list[tuple] = field(default_factory=list)


@dataclass
class Program:
    """`rolled` and `unrolled` are the texts, `pairs` the addresses of the parameters of the one in the other."""

    rolled: str
    unrolled: str
    pairs: dict[str, str]


def program(seed: int) -> Program:
    """The program of this seed."""
    return _Writer(Random(seed)).program()


class _Writer:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.blocks: dict[str, Body] = {}
        self.count = 0

    def fresh(self, kind: str) -> str:
        self.count += 1
        return f"{kind}{self.count}"

    # ------------------------------------------------------------ making one up

    def program(self) -> Program:
        for _ in range(self.random.randint(1, 2)):
            name = self.fresh("stack")
            body = self.body(1, (), [])
            self.blocks[name] = body
        main = self.body(2, (), [])
        rolled = PRELUDE + "".join(_block(n, self.rolled(b)) for n, b in self.blocks.items())
        rolled += _model(self.rolled(main))
        unrolled = PRELUDE + "".join(_block(n, self.unrolled(b)) for n, b in self.blocks.items())
        unrolled += _model(self.unrolled(main))
        pairs: dict[str, str] = {}
        self.pair(main, "", "", "", {}, {}, pairs)
        return Program(rolled, unrolled, pairs)

    def kind(self) -> str:
        return self.random.choice([*LEAVES, *self.blocks, *self.blocks])

    def body(self, depth: int, indices: tuple[str, ...], layers: list[str]) -> Body:
        """Layers of its own and those around it, used here and in a repeat inside."""
        found, layers = Body(), list(layers)
        name = self.fresh("f")
        found.statements.append(("declare", name, self.kind()))
        layers.append(name)
        for _ in range(self.random.randint(1, 2)):
            found.statements.append(self.statement(indices, layers))
        if depth:
            index = self.fresh("i")
            inner = self.body(depth - 1, (*indices, index), layers)
            found.statements.append(("repeat", index, self.random.randint(1, 3), inner))
        found.statements += [("use", self.random.choice(layers)), ("use", name)]
        return found

    def statement(self, indices: tuple[str, ...], layers: list[str]) -> tuple:
        choice = self.random.choice(
            ["use", "own", *(["scale", "param"] if indices else []), *["if"] * 3 * len(indices)]
        )
        if choice == "use":
            return "use", self.random.choice(layers)
        if choice == "if":
            then, other = (Body([("own", self.fresh("l"), self.random.choice([*LEAVES]))]) for _ in range(2))
            return "if", self.condition(indices), then, other
        if choice == "scale":
            return "scale", self.random.choice(indices)
        if choice == "param":
            return "param", self.fresh("p"), self.random.choice(indices)
        return "own", self.fresh("l"), self.kind()

    def condition(self, indices: tuple[str, ...]) -> str:
        a, b = indices[-1], self.random.choice(indices)
        return self.random.choice([f"{a} % 2 == 0", f"{b} < 1", f"{a} == {b}", f"{a} + {b} > 1", f"{a} + {b} < 3"])

    # ------------------------------------------------------------ writing it down

    def rolled(self, body: Body, indent: str = "  ") -> str:
        text = ""
        for what, *said in body.statements:
            if what == "declare":
                text += f"{indent}layer {said[0]} = {_made(said[1])}\n"
            elif what == "use":
                text += f"{indent}x = tanh(x + {said[0]}(x))\n"
            elif what == "own":
                text += f"{indent}x = tanh(x |> {_made(said[1])} as {said[0]})\n"
            elif what == "scale":
                text += f"{indent}x = x * ({said[0]} + 1) / 2\n"
            elif what == "param":
                text += f"{indent}param {said[0]}: [D] = normal(0.1 * ({said[1]} + 1))\n{indent}x = x + {said[0]}\n"
            elif what == "if":
                then, other = (self.rolled(b, indent + "  ") for b in said[1:])
                text += f"{indent}if {said[0]} {{\n{then}{indent}}} else {{\n{other}{indent}}}\n"
            else:
                text += f"{indent}repeat {said[0]} in {said[1]} {{\n{self.rolled(said[2], indent + '  ')}{indent}}}\n"
        return text

    def unrolled(self, body: Body, suffix: str = "", at: dict[str, int] | None = None, home: dict | None = None) -> str:
        """`suffix` says in which rounds this is, `at` which index each repeat around has, `home` in which rounds each
        layer was declared."""
        at, home, text = at or {}, dict(home or {}), ""
        for what, *said in body.statements:
            if what == "declare":
                home[said[0]] = suffix
                text += f"  layer {said[0]}{suffix} = {_made(said[1])}\n"
            elif what == "use":
                text += f"  x = tanh(x + {said[0]}{home[said[0]]}(x))\n"
            elif what == "own":
                text += f"  x = tanh(x |> {_made(said[1])} as {said[0]}{suffix})\n"
            elif what == "scale":
                text += f"  x = x * ({at[said[0]]} + 1) / 2\n"
            elif what == "param":
                name = f"{said[0]}{suffix}"
                text += f"  param {name}: [D] = normal({0.1 * (at[said[1]] + 1)})\n  x = x + {name}\n"
            elif what == "if":
                text += self.unrolled(said[1] if eval(said[0], {}, at) else said[2], suffix, at, home)
            else:
                for i in range(said[1]):
                    text += self.unrolled(said[2], f"{suffix}_{i}", {**at, said[0]: i}, home)
        return text

    def pair(
        self, body: Body, path: str, flat: str, suffix: str, at: dict[str, int], home: dict[str, tuple],
        pairs: dict[str, str],
    ) -> None:  # fmt: skip
        """Note the parameters of a body that stands at `path` in the one program and at `flat` in the other."""
        home = dict(home)
        for what, *said in body.statements:
            if what == "declare":
                home[said[0]] = (said[1], f"{path}{said[0]}.", f"{flat}{said[0]}{suffix}.")
            elif what == "use":
                self.layer(*home[said[0]], pairs)
            elif what == "own":
                self.layer(said[1], f"{path}{said[0]}.", f"{flat}{said[0]}{suffix}.", pairs)
            elif what == "param":
                pairs[f"{path}{said[0]}"] = f"{flat}{said[0]}{suffix}"
            elif what == "if":
                self.pair(said[1] if eval(said[0], {}, at) else said[2], path, flat, suffix, at, home, pairs)
            elif what == "repeat":
                for i in range(said[1]):
                    self.pair(said[2], f"{path}{said[0]}.{i}.", flat, f"{suffix}_{i}", {**at, said[0]: i}, home, pairs)

    def layer(self, kind: str, path: str, flat: str, pairs: dict[str, str]) -> None:
        if kind in LEAVES:
            pairs.update({path + name: flat + name for name in LEAVES[kind]})
        else:
            self.pair(self.blocks[kind], path, flat, "", {}, {}, pairs)


def _made(kind: str) -> str:
    return "linear(D)" if kind == "linear" else kind


def _block(name: str, body: str) -> str:
    return f"block {name}(x: [*, D]) -> [*, D] {{\n{body}  return x\n}}\n"


def _model(body: str) -> str:
    return f"model M(D=3) {{\n  input x: [B, D]\n{body}  output y = x\n}}\n"
