"""Small graphs with what a single op cannot show: parameters, repeats, scans, optional inputs, a whole decoder.

They are built by hand, as every backend must run them before there is a word of text to parse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from attndsl.diagnostics import Source, Span
from attndsl.graph import Bound, Graph, Initializer, InputInfo, OutputInfo, ParameterInfo, Region, Type, Value
from attndsl.graph.builder import Builder
from attndsl.ops import arithmetic as a
from attndsl.ops import comparison as c
from attndsl.ops import movement as m
from attndsl.ops import pieces as p
from attndsl.ops.contraction import Dot
from attndsl.ops.control import Given, Repeat, Scan
from attndsl.ops.elementwise import Cast, Erf, Rsqrt, Tanh
from attndsl.ops.fused import Attention, LayerNorm
from attndsl.ops.generators import Constant, Dropout, Parameter, Range, SizeOf
from attndsl.ops.reductions import LogSoftmax, Mean, Softmax, Sum
from attndsl.sizes import Constraint
from tests.samples.ops import axes, axis, size, typed


class GraphBuilder(Builder):
    """A builder that also collects the declarations. `nested` is the builder of a body, sharing them."""

    def __init__(self, name: str, **sizes: int) -> None:
        super().__init__()
        self.name = name
        self.sizes = sizes
        self.inputs: list[InputInfo] = []
        self.outputs: list[OutputInfo] = []
        self.declared: dict[str, ParameterInfo] = {}
        self.constraints: list[Constraint] = []
        self.place = Span(Source("sample.attn", name), 0, len(name))
        self.layers: tuple[range | tuple[int, ...], ...] = ()

    def nested(self, layers: Iterable[range | tuple[int, ...]] = ()) -> GraphBuilder:
        """A builder for a body, whose parameters exist for `layers` more indices."""
        inner = GraphBuilder(self.name, **self.sizes)
        inner.declared = self.declared
        inner.layers = (*self.layers, *layers)
        return inner

    def input(self, name: str, type: str, *, optional: bool = False, below: str = "") -> Value:
        bounds = (Bound("<", size(below), self.place),) if below else ()
        value = Value(typed(type), (name,))
        self.inputs.append(InputInfo(name, value, optional, bounds, span=self.place))
        return value

    def default(self, input: Value, value: Value, text: str) -> Value:
        """An optional input, or what stands for it where it is left out."""
        at = next(i for i, info in enumerate(self.inputs) if info.value is input)
        bare = Value(input.type)
        self.inputs[at] = replace(self.inputs[at], value=bare, default=text)
        return self.emit(Given(), bare, value, names=input.names)

    def output(self, name: str, value: Value, *needs: str) -> None:
        self.outputs.append(OutputInfo(name, value, frozenset(needs), span=self.place))

    def parameter(self, address: str, shape: str, kind: str = "normal", *arguments: float) -> Value:
        type = Type("float", axes(shape))
        initializer = Initializer(kind, arguments or ((0.5,) if kind == "normal" else ()))
        self.declared[address] = ParameterInfo(
            address, type, initializer, self.layers[: address.count("*")], self.place
        )
        return self.emit(Parameter(address, type), names=(address,))

    def constant(self, value: float) -> Value:
        return self.emit(Constant(value))

    def norm(self, x: Value, address: str, over: str) -> Value:
        """Layer norm from primitives."""
        axes_over = axes(over)
        centred = self.emit(a.Sub(), x, self.emit(Mean(axes_over), x))
        variance = self.emit(Mean(axes_over), self.emit(a.Pow(), centred, self.constant(2)))
        y = self.emit(a.Mul(), centred, self.emit(Rsqrt(), self.emit(a.Add(), variance, self.constant(1e-5))))
        y = self.emit(a.Mul(), y, self.parameter(f"{address}.scale", over, "ones"))
        return self.emit(a.Add(), y, self.parameter(f"{address}.shift", over, "zeros"))

    def linear(self, x: Value, address: str, taken: str, given: str) -> Value:
        y = self.emit(Dot(axes(taken)), x, self.parameter(f"{address}.weight", f"{taken} {given}", "normal", 0.3))
        return self.emit(a.Add(), y, self.parameter(f"{address}.bias", given, "uniform", -0.1, 0.1))

    def rename(self, x: Value, old: str, new: str) -> Value:
        return self.emit(m.Rename(axis(old), axis(new)), x)

    def loop(self, op: Repeat | Scan, inputs: tuple[Value, ...], *bodies: Body) -> tuple[Value, ...]:
        """A repeat or scan; each body is a function from (builder, index, *carried) to its results."""
        regions = []
        for case, body in enumerate(bodies):
            layers: list[range | tuple[int, ...]] = []
            if isinstance(op, Repeat):
                count = range(op.count.value(self.sizes))
                layers.append(tuple(i for i in count if op.cases[i] == case) if op.cases else count)
            inner = self.nested(layers)
            given = (Value(Type("int")), *(Value(value.type) for value in inputs))
            regions.append(inner.region(given, body(inner, *given)))
        types = op.outputs(tuple(value.type for value in inputs), tuple(regions))
        return self.emit_regions(op, inputs, tuple(regions), types)

    def graph(self) -> Graph:
        return Graph(
            name=self.name,
            hyperparameters=dict(self.sizes),
            sizes=dict(self.sizes),
            inputs=tuple(self.inputs),
            outputs=tuple(self.outputs),
            parameters=tuple(self.declared.values()),
            constraints=tuple(self.constraints),
            scopes={},
            body=Region(tuple(i.value for i in self.inputs), tuple(self.nodes), tuple(o.value for o in self.outputs)),
        )


Body = Callable[..., tuple[Value, ...]]


def _square(b: GraphBuilder, x: Value, address: str) -> Value:
    """tanh(x · w) with a square weight."""
    w = b.parameter(address, "in=D out=D")
    y = b.emit(Dot(axes("in=D")), b.rename(x, "D", "in=D"), w)
    return b.emit(Tanh(), b.rename(y, "out=D", "D"))


def parameter_only() -> Graph:
    """An output that is a parameter itself, and a parameter that nothing uses."""
    b = GraphBuilder("Bare", D=3)
    x = b.input("x", "float B D")
    b.parameter("unused", "D", "ones")
    w = b.parameter("w", "D")
    b.output("y", b.emit(a.Mul(), x, w))
    b.output("w", w)
    return b.graph()


def repeat(depth: int = 3) -> Graph:
    """A carried value, a number that depends on the index, an emission, a captured value and a shared parameter."""
    b = GraphBuilder("Repeated", D=3, depth=depth)
    x = b.input("x", "float B D")
    shared = b.parameter("shared", "D")

    def body(i: GraphBuilder, index: Value, carried: Value) -> tuple[Value, ...]:
        scale = i.emit(a.Add(), i.emit(a.Mul(), index, i.constant(0.1)), i.constant(1))
        step = i.emit(a.Mul(), _square(i, carried, "h.*.w"), scale)
        y = i.emit(a.Add(), carried, i.emit(a.Mul(), step, shared), names=("h.*.sum",))
        return y, y, i.emit(Sum(axes("B D")), y)

    op = Repeat("h", size("depth"), None, 1, (axis("depth"), axis("depth")))
    final, all_states, sums = b.loop(op, (x,), body)
    b.output("final", final)
    b.output("states", all_states)
    b.output("sums", sums)
    return b.graph()


def repeat_cases() -> Graph:
    """One body for even layers, another for odd ones."""
    b = GraphBuilder("Cases", D=3, depth=4)
    x = b.input("x", "float B D")

    def even(i: GraphBuilder, index: Value, carried: Value) -> tuple[Value, ...]:
        return (_square(i, carried, "h.*.even"),)

    def odd(i: GraphBuilder, index: Value, carried: Value) -> tuple[Value, ...]:
        return (i.emit(a.Add(), carried, i.parameter("h.*.odd", "D")),)

    (final,) = b.loop(Repeat("h", size("depth"), (0, 1, 0, 1), 1), (x,), even, odd)
    b.output("y", final)
    return b.graph()


def repeat_nested() -> Graph:
    """A repeat in a repeat, each with parameters of its own."""
    b = GraphBuilder("Nested", D=3, depth=2, inner=3)
    x = b.input("x", "float B D")

    def outer(i: GraphBuilder, index: Value, carried: Value) -> tuple[Value, ...]:
        def inner(j: GraphBuilder, index: Value, carried: Value) -> tuple[Value, ...]:
            both = j.emit(a.Mul(), _square(j, carried, "h.*.g.*.w"), j.parameter("h.*.gain", "D"))
            return (j.emit(a.Add(), carried, both, names=("h.*.g.*.sum",)),)

        return i.loop(Repeat("h.*.g", size("inner"), None, 1), (carried,), inner)

    b.output("y", b.loop(Repeat("h", size("depth"), None, 1), (x,), outer)[0])
    return b.graph()


def scan(reverse: bool = False) -> Graph:
    """A recurrent cell over T inside a repeat of layers: each layer's states are the next one's inputs."""
    b = GraphBuilder("Recurrent", D=3, depth=2)
    x = b.input("x", "float B T D")
    zero = b.emit(m.Broadcast(axes("D B")), b.constant(0.0))
    start = b.emit(m.Transpose(axes("B D")), zero)

    def layer(i: GraphBuilder, index: Value, sequence: Value) -> tuple[Value, ...]:
        def cell(j: GraphBuilder, at: Value, state: Value) -> tuple[Value, ...]:
            now = j.emit(p.Take(axis("T")), sequence, at)
            state = j.emit(a.Add(), _square(j, state, "h.*.recurrent"), _square(j, now, "h.*.given"))
            state = j.emit(Tanh(), state, names=("h.*.state",))
            return state, state

        op = Scan("t", axis("T"), 1, reverse, (axis("T"),))
        _, states = i.loop(op, (start,), cell)
        return (states,)

    b.output("y", b.loop(Repeat("h", size("depth"), None, 1), (x,), layer)[0])
    return b.graph()


def decoder(dropout: float = 0.0, **sizes: int) -> Graph:
    """A small GPT-2: embeddings, masked attention from primitives, tied head, an optional loss."""
    b = GraphBuilder("Decoder", **{"vocab": 11, "context": 8, "H": 2, "K": 4, "F": 16, "depth": 2, **sizes})
    b.constraints.append(Constraint("<=", size("T"), size("context"), b.place, "E0301"))
    tokens = b.input("tokens", "int B T", below="vocab")
    table = b.parameter("wte.table", "vocab W=H*K", "normal", 0.4)
    place = b.emit(
        p.Take(axis("context")),
        b.parameter("wpe.table", "context W=H*K", "truncated", 0.4),
        b.emit(Range(axis("T"))),
    )
    x = b.emit(a.Add(), b.emit(p.Take(axis("vocab")), table, tokens), place)

    def attention(i: GraphBuilder, x: Value) -> Value:
        def unflatten(y: Value) -> Value:
            return i.emit(m.Unflatten(axis("out=H*K"), axes("H K")), y)

        renamed = i.rename(x, "W=H*K", "in=H*K")
        q, k, v = (unflatten(i.linear(renamed, f"h.*.attn.{n}", "in=H*K", "out=H*K")) for n in "qkv")
        k, v = i.rename(k, "T", "S=T"), i.rename(v, "T", "S=T")
        score = i.emit(a.Div(), i.emit(Dot(axes("K")), q, k), i.constant(2.0))
        causal = i.emit(c.Ge(), i.emit(Range(axis("T"))), i.emit(Range(axis("S=T"))))
        weight = i.emit(Softmax(axes("S=T")), score, causal, names=("h.*.attn.weight",))
        mixed = i.emit(Dot(axes("S=T")), i.emit(Dropout(dropout, "h.*.attn"), weight), v)
        return i.linear(i.emit(m.Flatten(axes("H K"), axis("in=H*K")), mixed), "h.*.attn.out", "in=H*K", "W=H*K")

    def feed_forward(i: GraphBuilder, x: Value) -> Value:
        y = i.linear(x, "h.*.mlp.up", "W=H*K", "F")
        curve = i.emit(a.Add(), i.emit(Erf(), i.emit(a.Mul(), y, i.constant(0.5**0.5))), i.constant(1.0))
        y = i.emit(a.Mul(), i.emit(a.Mul(), y, i.constant(0.5)), curve)
        return i.linear(y, "h.*.mlp.down", "F", "W=H*K")

    def layer(i: GraphBuilder, index: Value, x: Value) -> tuple[Value, ...]:
        x = i.emit(a.Add(), x, attention(i, i.norm(x, "h.*.ln_1", "W=H*K")))
        x = i.emit(a.Add(), x, feed_forward(i, i.norm(x, "h.*.ln_2", "W=H*K")), names=("h.*.x",))
        return (x,)

    (x,) = b.loop(Repeat("h", size("depth"), None, 1), (x,), layer)
    logits = b.emit(Dot(axes("W=H*K")), b.norm(x, "ln_f", "W=H*K"), table)
    b.output("logits", logits)
    targets = b.input("targets", "int B T", optional=True, below="vocab")
    chosen = b.emit(p.Take(axis("vocab")), b.emit(LogSoftmax(axes("vocab")), logits), targets)
    b.output("loss", b.emit(a.Mul(), b.emit(Mean(axes("B T")), chosen), b.constant(-1.0)), "targets")
    return b.graph()


def fused_layer() -> Graph:
    """Operators that passes make, in a graph."""
    b = GraphBuilder("Fused", D=4)
    x = b.input("x", "float B T D")
    valid = b.input("valid", "bool B S=T")
    y = b.emit(LayerNorm(axes("D"), 1e-5), x, b.parameter("norm.scale", "D", "ones"), b.parameter("norm.shift", "D"))
    memory = b.rename(y, "T", "S=T")
    y = b.emit(Attention(axes("D"), axis("S=T"), 0.5, masked=True), y, memory, memory, valid)
    length = b.emit(Cast("float"), b.emit(SizeOf(size("T"))))
    b.output("y", b.emit(a.Div(), y, length))
    return b.graph()


def defaults() -> Graph:
    """Optional inputs with a default: a number, positions, another input, something computed from a parameter; one of
    them read inside a repeat."""
    b = GraphBuilder("Defaults", D=4, context=16, depth=2)
    x = b.input("x", "float B T D")
    ones = b.emit(m.Broadcast(axes("B T")), b.constant(True))
    valid = b.default(b.input("valid", "bool B T", optional=True), ones, "true")
    places = b.emit(m.Broadcast(axes("B T")), b.emit(Range(axis("T"))))
    place = b.default(b.input("place", "int B T", optional=True, below="context"), places, "range(T)")
    again = b.default(b.input("again", "bool B T", optional=True), valid, "valid")
    start = b.emit(Tanh(), b.parameter("start", "D"))
    state = b.default(b.input("state", "float D", optional=True), start, "tanh(start)")
    table = b.parameter("table", "context D")
    x = b.emit(a.Add(), x, b.emit(p.Take(axis("context")), table, place))

    def layer(i: GraphBuilder, index: Value, carried: Value) -> tuple[Value, ...]:
        memory = i.rename(carried, "T", "S=T")
        score = i.emit(Dot(axes("D")), carried, memory)
        weights = i.emit(Softmax(axes("S=T")), score, i.rename(valid, "T", "S=T"))
        return (i.emit(a.Add(), i.emit(Dot(axes("S=T")), weights, memory), state),)

    (y,) = b.loop(Repeat("h", size("depth"), None, 1), (x,), layer)
    b.output("y", b.emit(a.Where(), again, y, b.constant(0.0)))
    return b.graph()


GRAPHS: Mapping[str, Callable[[], Graph]] = {
    "parameter_only": parameter_only,
    "repeat": repeat,
    "repeat_depth_0": lambda: repeat(0),
    "repeat_depth_1": lambda: repeat(1),
    "repeat_cases": repeat_cases,
    "repeat_nested": repeat_nested,
    "scan": scan,
    "scan_reverse": lambda: scan(reverse=True),
    "decoder": decoder,
    "decoder_depth_0": lambda: decoder(depth=0),
    "fused_layer": fused_layer,
    "defaults": defaults,
}

__all__ = ["GRAPHS", "GraphBuilder", "decoder", "repeat", "scan"]
