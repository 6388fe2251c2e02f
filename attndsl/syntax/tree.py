"""The tree of a `.attn` file: frozen dataclasses, each with the span it was written at.

Nothing here knows what a name means; that is the elaborator's business. Long chains of one operator are kept
flat (`Chain`), so that no walk recurses deeper than the brackets that an author typed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attndsl.diagnostics import Span
from attndsl.records import Frozen, fields


class Tree(Frozen, eq=False):
    span: Span


_PARTS: dict[type[Tree], tuple[str, ...]] = {}  # asked for at every node of every walk


def children(node: Tree) -> Iterator[Tree]:
    """The nodes that a node is made of, in the order written."""
    kind = type(node)
    if kind not in _PARTS:
        _PARTS[kind] = tuple(field.name for field in fields(kind) if field.name != "span")
    for name in _PARTS[kind]:
        part = getattr(node, name)
        if isinstance(part, Tree):
            yield part
        elif isinstance(part, tuple):
            waiting = [part]
            while waiting:
                for item in waiting.pop():
                    if isinstance(item, Tree):
                        yield item
                    elif isinstance(item, tuple):
                        waiting.append(item)


def walk(node: Tree, into: Callable[[Tree], bool] = lambda node: True) -> Iterator[Tree]:
    """A node and all below it, in the order written; below a node only where `into` says so. As deep as it may be."""
    waiting = [node]
    while waiting:
        at = waiting.pop()
        yield at
        if into(at):
            waiting += reversed(tuple(children(at)))


# ---------------------------------------------------------------- names, axes, types


class Identifier(Tree):
    """A name where it is written, so that a message can underline it alone."""

    text: str


class AxisTerm(Tree):
    """One entry of an axis list: `T`, `4 * width`, `in=width` (named), or `*` (rest, with `size` None)."""

    name: Identifier | None
    size: Expr | None

    @property
    def is_rest(self) -> bool:
        return self.size is None


class AxisList(Tree):
    """`[B, T, in=width]`."""

    terms: tuple[AxisTerm, ...]


class TypeTree(Tree):
    """`int[B, T]`, `[*, D]` (dtype None: the model's float), `bool` (no axes: a scalar)."""

    dtype: Identifier | None
    axes: AxisList


# ---------------------------------------------------------------- expressions


class Number(Tree):
    """`12` (int) or `1e-5`, `2.0` (float)."""

    value: int | float


class Boolean(Tree):
    value: bool


class String(Tree):
    value: str


class Name(Tree):
    text: str


class Attribute(Tree):
    """`wte.table`, `h[i].ln_1.scale`: a member of a layer."""

    base: Expr
    name: Identifier


class Unary(Tree):
    """`-x`, `not c`."""

    operator: str
    operand: Expr


class Chain(Tree):
    """`a + b - c`: operands of one precedence level, left to right; `operators[i]` stands before `operands[i + 1]`.

    The levels: `or` · `and` · `== != < <= > >= in` (two operands only) · `|` · `&` · `+ -` · `* / // %` · `^` (right to
    left, two operands).
    """

    operands: tuple[Expr, ...]
    operators: tuple[Identifier, ...]


class Conditional(Tree):
    """`a if condition else b`, on compile-time conditions."""

    then: Expr
    condition: Expr
    otherwise: Expr


class Argument(Tree):
    """`x`, `eps=1e-5`, `over=[M, T] -> S`: positional where `name` is None."""

    name: Identifier | None
    value: Expr


class Call(Tree):
    """`linear(x, 4 * width)`; the callee may itself be a call: `gru_cell(hidden)(x, s)`."""

    callee: Expr
    arguments: tuple[Argument, ...]


class Labelled(Tree):
    """`layer_norm(x) as ln_1`, or as a stage of a pipeline `layer_norm as ln_1`."""

    value: Expr
    label: Identifier


class Pipe(Tree):
    """`x |> f |> g(a) as b`: the value, then the stages it goes through."""

    value: Expr
    stages: tuple[Expr, ...]


class List(Tree):
    """`[M, T]`: a list of values, or of axes where axes are wanted (`over=[M, T]`, `[*, S]`, `[in=width]`)."""

    axes: AxisList

    @property
    def values(self) -> tuple[Expr, ...] | None:
        """What it is a list of; None where only axes are written so: a name with a size, or `*`."""
        values = tuple(term.size for term in self.axes.terms if term.name is None and term.size is not None)
        return values if len(values) == len(self.axes.terms) else None


class Arrow(Tree):
    """`[D] -> [heads, head]`, `[M, T] -> S`, `S -> [M, T]`, `T -> [U, R]`; `a:b -> U` is a `Subscript`'s."""

    source: AxisList
    target: AxisList


class Subscript(Tree):
    """`x[T=0]`, `past[S=T:T+M -> M]`, `x[T < n]`, `causal[q=T, k=S]`, `doc[b, q]`, `h[i]`."""

    base: Expr
    entries: tuple[SubscriptEntry, ...]


class SubscriptEntry(Tree):
    """`doc[b, …]`: only `index`. `T=0`: `axis`, `index`. `T=a:b -> U`: `axis`, `start`, `stop`, `target`.
    `T < n`: `axis`, `below`. A slice's `start` and `stop` may be left out."""

    axis: AxisTerm | None = None
    index: Expr | None = None
    is_slice: bool = False
    start: Expr | None = None
    stop: Expr | None = None
    target: AxisTerm | None = None
    below: Expr | None = None


class IndexVariable(Tree):
    """A variable of an index function: `q`, or `b in B` (an axis of its own)."""

    name: Identifier
    axis: AxisTerm | None


class Carried(Tree):
    """`s: [B, hidden] = tanh(…)` after a scan's `with`."""

    name: Identifier
    type: TypeTree | None
    value: Expr


class Scope(Tree):
    """`scope encoder { … return x }`: a named group, as an expression or as a statement."""

    name: Identifier
    body: tuple[Statement, ...]


class Repeat(Tree):
    """`repeat h in depth { … }`: a statement, or an expression whose value is what it emits or carries. `count` is how
    often, or the list whose elements (`repeat stage, depth in depths`) or index and elements it goes through; with
    `unrolled` the body is written out for each of a number of rounds."""

    name: Identifier
    element: Identifier | None
    count: Expr
    carried: tuple[Carried, ...]
    body: tuple[Statement, ...]
    unrolled: bool = False


class Scan(Tree):
    """`scan t in T with s: [B, hidden] = … { … emit s }`."""

    name: Identifier
    axis: AxisTerm
    carried: tuple[Carried, ...]
    body: tuple[Statement, ...]


Expr = (
    Number
    | Boolean
    | String
    | Name
    | Attribute
    | Unary
    | Chain
    | Conditional
    | Call
    | Labelled
    | Pipe
    | List
    | Arrow
    | Subscript
    | Scope
    | Repeat
    | Scan
)


# ---------------------------------------------------------------- statements


class Assign(Tree):
    """`x = …`, `h, c = lstm_cell(…)`, `delta: int[T, S] = …`; with `operator` `+`, `-`, `*`, `/`: `x += …`."""

    targets: tuple[Identifier, ...]
    type: TypeTree | None
    operator: str | None
    value: Expr


class LayerDecl(Tree):
    """`layer wte = embedding(vocab, width)`: made, not applied."""

    name: Identifier
    value: Expr


class ParamDecl(Tree):
    """`param scale: [D] = ones`; without an initialiser the default is `normal(0.02)`."""

    name: Identifier
    type: TypeTree
    init: Expr | None


class StateDecl(Tree):
    """`state memory: [B, M, width] = zeros`; `state states = first`, of the types that the tensors have."""

    name: Identifier
    type: TypeTree | None
    init: Expr


class StateWrite(Tree):
    """`memory <- …`."""

    name: Identifier
    value: Expr


class InputDecl(Tree):
    """`input tokens: int[B, T] optional = … where T <= context, tokens < vocab`."""

    name: Identifier
    type: TypeTree
    optional: bool
    default: Expr | None
    where: tuple[Expr, ...]
    doc: str | None


class OutputDecl(Tree):
    """`output logits = …`, or `output logits: [B, T, vocab] = …`, which checks and broadcasts as an assignment does."""

    name: Identifier
    type: TypeTree | None
    value: Expr
    doc: str | None = None


class RequireDecl(Tree):
    """`require width % heads == 0 else "…"`: a condition on compile-time values and sizes, and what to say where it
    does not hold."""

    condition: Expr
    message: String | None = None


class If(Tree):
    """`if c { … } else if d { … } else { … }`, on compile-time conditions (an `else if` nests in `otherwise`)."""

    condition: Expr
    then: tuple[Statement, ...]
    otherwise: tuple[Statement, ...]


class Return(Tree):
    values: tuple[Expr, ...]


class Emit(Tree):
    values: tuple[Expr, ...]


Statement = (
    Assign
    | LayerDecl
    | ParamDecl
    | StateDecl
    | StateWrite
    | InputDecl
    | OutputDecl
    | RequireDecl
    | If
    | Return
    | Emit
    | Scope
    | Repeat
    | Scan
)


# ---------------------------------------------------------------- declarations


class Use(Tree):
    """`use std.masks`, `use "other.attn"`, `use "other.attn": my_norm, my_mlp as wide_mlp`.

    `path` is the text inside the quotes (relative to this file) or the dotted name after `std.`, with `is_std`.
    Without `names` everything that the file declares comes in.
    """

    path: str
    is_std: bool
    names: tuple[tuple[Identifier, Identifier | None], ...]


class Parameter(Tree):
    """An entry of a signature: hyperparameter `eps=1e-6` (type None), tensor `x: [*, D]`, `memory: [*, S, E] = x`."""

    name: Identifier
    type: TypeTree | None
    default: Expr | None

    @property
    def is_optional(self) -> bool:
        """Whether it may be left out, and is `none` then."""
        return isinstance(self.default, Name) and self.default.text == "none"


class Block(Tree):
    """`block rms_norm(eps=1e-6)(x: [*, D]) -> [*, D] { … }`; with one list, every entry of it is a tensor when
    typed and a hyperparameter when not. `results` may be empty (not declared)."""

    name: Identifier
    hyperparameters: tuple[Parameter, ...]
    tensors: tuple[Parameter, ...]
    results: tuple[TypeTree, ...]
    body: tuple[Statement, ...]
    doc: str | None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return (*self.hyperparameters, *self.tensors)


class IndexFunction(Tree):
    """`mask strided(n)(q, k) = …`, `bias alibi(heads)(h in heads, q, k) = …`; `mask causal(q, k) = …` has no captures.

    `kind` is `mask` or `bias`. A body in braces (it may own parameters: `bias learned(n)(q, k) { param …; return … }`)
    has `body`, one after `=` is a body of one `Return`.
    """

    kind: str
    name: Identifier
    captures: tuple[Parameter, ...]
    variables: tuple[IndexVariable, ...]
    body: tuple[Statement, ...]
    doc: str | None

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.captures

    @property
    def hyperparameters(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.captures if p.type is None)

    @property
    def tensors(self) -> tuple[Parameter, ...]:
        return tuple(p for p in self.captures if p.type is not None)

    @property
    def results(self) -> tuple[TypeTree, ...]:
        return ()  # its axes follow from its variables


class Model(Tree):
    name: Identifier
    hyperparameters: tuple[Parameter, ...]
    body: tuple[Statement, ...]
    doc: str | None


class Variant(Tree):
    """`variant GPT2:medium { depth=24, width=1024, heads=16 }`."""

    model: Identifier
    name: Identifier
    settings: tuple[Argument, ...]
    doc: str | None = None


class ConfigEntry(Tree):
    """In `config { … }`: `vocab = vocab_size` (a hyperparameter and the published key it comes from; the right side may
    be an expression of keys; in `heads = encoder_heads = decoder_heads` the second entry is there `again`),
    `experts <- n_routed + n_shared` (`one_way`: read, and never written),
    `require activation_function == "gelu_new"` (then `name` is None), or `ignore summary_type` (then `name` is None and
    `ignored` True: a key that says nothing about the model)."""

    name: Identifier | None
    value: Expr
    ignored: bool = False
    one_way: bool = False
    again: bool = False


class PrefixEntry(Tree):
    """`prefix "encoder.layer.{i}." { … }`; an `optional` one may be missing from a file."""

    text: String
    optional: bool
    entries: tuple[WeightsEntry, ...]


class IgnoreEntry(Tree):
    """`ignore "h.{i}.attn.bias", "h.{i}.attn.masked_bias"`."""

    names: tuple[String, ...]


class MapEntry(Tree):
    """`"wte.weight" <-> wte.table`; `"…": [in, out] <-> concat(…)`; `direction` is `<->`, `<-` or `->`. Several `names`
    are tensors that are added up; an `optional` line is left out where the model has no such parameter."""

    names: tuple[String, ...]
    axes: AxisList | None
    direction: str
    value: Expr
    optional: bool

    @property
    def name(self) -> String:
        return self.names[0]


class WeightsIf(Tree):
    """`if head == "classify" { … } else { … }` around maps, on hyperparameters (an `else if` nests in `otherwise`)."""

    condition: Expr
    then: tuple[WeightsEntry, ...]
    otherwise: tuple[WeightsEntry, ...]


WeightsEntry = PrefixEntry | IgnoreEntry | MapEntry | WeightsIf


class Maps(Tree):
    """`maps norm(at) { "weight" <-> at.scale, "bias" <-> at.shift }`: entries that go under several names."""

    name: Identifier
    parameters: tuple[Identifier, ...]
    entries: tuple[WeightsEntry, ...]
    doc: str | None = None


class Weights(Tree):
    """`weights GPT2 from huggingface { … }`; `entries` are its lines beside `config` and its own `maps`, in the order
    written. `around` are the maps that its file declares or imports."""

    model: Identifier
    origin: Identifier
    config: tuple[ConfigEntry, ...]
    maps: tuple[Maps, ...]
    entries: tuple[WeightsEntry, ...]
    around: tuple[Maps, ...] = ()


class Train(Tree):
    """`train GPT2 { batches = next_token(tokens, targets); minimize = loss; … }`; with a variant's name
    (`train GPT2:tiny { … }`) the recipe of that variant."""

    model: Identifier
    variant: Identifier | None
    settings: tuple[Argument, ...]


class MeshDimension(Tree):
    """`data=2`: a dimension of a mesh of devices, and how many there are along it."""

    name: Identifier
    size: Number


class Placing(Tree):
    """`heads, 4*width on model`: axes, each by its name or its size, and the mesh dimension on which they lie. `h on
    stages in 8 microbatches`: the layers of a repeat, and in how many parts they take a batch."""

    axes: tuple[Expr, ...]
    dimension: Identifier
    microbatches: Number | None = None


class ParameterPlacing(Tree):
    """`parameters on data` (divided over this mesh dimension too), or `parameters whole` (then `dimension` is None)."""

    dimension: Identifier | None


class Layout(Tree):
    """`layout tensor for GPT2 over (data=2, model=4) { B on data; … }`, a line for each rule."""

    name: Identifier
    model: Identifier
    mesh: tuple[MeshDimension, ...]
    rules: tuple[Placing | ParameterPlacing, ...]
    doc: str | None = None


Declared = Block | IndexFunction  # what is given arguments
Section = Variant | Weights | Train | Layout  # what is said of a model, beside it
Declaration = Use | Block | IndexFunction | Model | Maps | Section


class File(Tree):
    """A whole file, in the order written."""

    declarations: tuple[Declaration, ...]
    doc: str | None


def names(node: Tree) -> Iterator[Name]:
    """The names in an expression that stand for values: all but those of the functions that it calls."""
    called = {at.callee for at in walk(node) if isinstance(at, Call)}
    return (at for at in walk(node) if isinstance(at, Name) and at not in called)
