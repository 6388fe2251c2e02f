"""A graph as one readable Python file: an `nn.Module` for the model, one for each body that is repeated, and what they
need, with the lines of the spec that each statement comes from. The file imports torch and nothing of attndsl. What
`attndsl compile --emit python` prints is plain: its linear layers are `nn.Linear`. In what `TorchProgram` runs, they
are by the kernels that are the fastest on a machine; all else is the same."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from attndsl.addresses import Box, Indices, intersection, loops_of
from attndsl.backends.pytorch.blocks import MASK_FUNCTIONS, BlockMask
from attndsl.backends.pytorch.expressions import WIDTH, Expr, wrapped
from attndsl.backends.pytorch.functions import Writer
from attndsl.backends.pytorch.helpers import DEFINED, FUNCTIONS, INITIALIZERS, LAYERS, called_by
from attndsl.backends.pytorch.lines import Line, WrittenArgument, header, parted
from attndsl.backends.pytorch.loops import reads_index
from attndsl.backends.pytorch.lowerings import LOWERINGS
from attndsl.backends.pytorch.model import write_model
from attndsl.backends.pytorch.modules import Layers, Part, RepeatForm, parameter_tree
from attndsl.backends.pytorch.names import (
    FLEX,
    IMPORTED,
    Names,
    alone,
    class_name,
    constant_name,
    identifier,
    own_suffix,
)
from attndsl.backends.pytorch.opened import is_read, open_sizes
from attndsl.backends.pytorch.recurrent_kernels import turned_parameters
from attndsl.backends.pytorch.site import Site
from attndsl.backends.pytorch.special import Embedding, LayerCall, Linear
from attndsl.backends.pytorch.specialize import any_op, specialize
from attndsl.backends.pytorch.taps import tapped_values
from attndsl.backends.pytorch.variables import Variables
from attndsl.graph import Graph, Node, ParameterInfo, Region, Type, Value
from attndsl.ops import Op, Repeat
from attndsl.ops.generators import Parameter
from attndsl.records import Frozen, dataclass, field, replace
from attndsl.sizes import Size
from attndsl.values import shown_setting


class WrittenFile(Frozen, eq=False):
    """A file: its text, the names of the model's class and of the arguments for the inputs, whether `forward` takes
    `outputs`, the node behind each line, the values that are recorded, with the names under which they are, and the
    `matrices`: the addresses of parameters that are read by products with rows alone, or by lookups of rows too (then
    True)."""

    source: str
    model: str
    arguments: dict[str, str]
    selectable: bool
    nodes: dict[int, Node]
    taps: dict[Value, str]
    matrices: dict[str, bool]


def generate_source(graph: Graph, taps: Sequence[str] = ()) -> str:
    """`graph` as the text of a Python file that needs torch alone, as people read it. Values at the addresses `taps`
    are recorded."""
    return write(graph, taps, plain=True).source


def write(
    graph: Graph,
    taps: Sequence[str] = (),
    *,
    exact: bool = False,
    device: str = "cpu",
    recompute: bool = False,
    block: int | None = None,
    plain: bool = False,
    traced: bool = False,
    open: Collection[str] = (),
) -> WrittenFile:
    """`graph` as a Python file, for the kind of device on which it is to run fast; it runs on every one. Addresses in
    `taps` that name no value of the graph raise E0808. If `exact`, the file gives what the graph's operators mean for
    infinities and NaN too, without torch's fused kernels; if `recompute`, the layers of repeats are computed again for
    the gradients; if `block`, attention goes by blocks of so many queries and not of as many as suit the device.

    If `plain`, the file is for people: `nn.Linear` for linear layers, and no choice of kernels. If `traced`, it is
    plain, `torch.export` can read it, and names that its modules cannot have end in `own_suffix`. Sizes that are `open`
    are arguments of constructors, all others constants."""
    return File(graph, taps, exact, device, recompute, block, plain or traced, traced, open).write()


@dataclass(eq=False)
class Block:
    """The classes of a repeat's modules, the names of what their `forward` takes (of the first, if there are several),
    and what it takes behind the carried values and the captured ones."""

    names: list[str]
    variable: str
    indexed: bool
    arguments: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)


class File:
    """The file being written, and what it turns out to need."""

    def __init__(
        self,
        graph: Graph,
        taps: Sequence[str],
        exact: bool,
        device: str,
        recompute: bool,
        block: int | None,
        plain: bool,
        traced: bool,
        open: Collection[str],
    ) -> None:
        self.graph = graph
        self.plain = plain
        self.traced = traced
        self.open = open_sizes(graph, open)
        self.suffix = own_suffix(graph) if traced else ""
        self.recompute = recompute
        self.recomputed: set[Node] = set()  # repeats whose layers are
        self.taps = tapped_values(graph, taps)
        specialized = specialize(graph, self.taps, exact=exact, device=device, block=block, plain=plain, traced=traced)
        self.body = specialized.body
        self.wide = specialized.wide
        masks = [node for node in self.body.walk() if isinstance(node.op, BlockMask)]
        self.blocks = {node.output: "BlockMask" if any_op(node).flex else "tuple" for node in masks}
        self.parameters: dict[str, ParameterInfo] = {info.address: info for info in graph.parameters}
        self.tree = parameter_tree(graph)
        self.hosts: dict[Value, Node] = {}
        self.variables = Variables(graph, self.body, self.taps)
        self.uses_math = False
        self.helpers: set[str] = set()
        self.kinds_used: set[str] = set()
        self.constants: dict[str, str] = {}
        self.tables: dict[str, tuple[int, ...]] = {}
        self.claimed: set[tuple[str, Box]] = set()
        self.functions: dict[tuple[str, str, str], str] = {}
        self.classes: list[list[Line]] = []
        self.lengths = _lengths(self.body)
        self.names = Names(IMPORTED | DEFINED)
        self.model = self.names.free(class_name(graph.name))
        self._constant_names = {name: self.names.free(constant_name(name)) for name in graph.sizes}
        self.reserved = frozenset(
            {
                *IMPORTED,
                *self._constant_names.values(),
                *map(identifier, graph.free_sizes),
                *DEFINED,
                "results",
                "outputs",
                "states",
                "wide",
            }
        )
        taken = Names(self.names.taken | self.reserved)
        self._own_names = {name: [taken.free(name) for _ in self.blocks] for name in MASK_FUNCTIONS}
        self.reserved = self.reserved.union(*self._own_names.values())
        turned = turned_parameters(self.body)
        self._constructor = Writer(self, [], {}, constructs=True)
        self.layers = Layers(
            graph, specialized.layers, turned, self._shape, self.helper, self._layer_class, self._lower, self.own_name
        )

    # ------------------------------------------------------------ what functions ask for

    def helper(self, name: str) -> str:
        found = {name, *called_by(name)}
        self.helpers |= found
        self.uses_math = self.uses_math or any("math." in FUNCTIONS[each] for each in found)
        return name

    def define(self, name: str, arguments: str, doc: str, body: str) -> str:
        text = arguments, doc, body
        if text not in self.functions:
            self.functions[text] = self._own_names[name].pop(0)
        return self.functions[text]

    def math(self) -> str:
        self.uses_math = True
        return "math"

    def constant(self, name: str) -> str:
        self.constants[name] = self._constant_names[name]
        return self.constants[name]

    def dtype(self, writer: Writer) -> str:
        """The module's dtype where no argument shows it."""
        found = self._some_parameter(writer)
        return "torch.get_default_dtype()" if found is None else f"{found}.dtype"

    def device(self, writer: Writer) -> str:
        found = self._some_parameter(writer)
        return "None" if found is None else f"{found}.device"

    def _some_parameter(self, writer: Writer) -> str | None:
        """A parameter that `writer` reaches, in all the rounds in which it runs."""
        for info in self.graph.parameters:
            if info.copies and all(loop in writer.rounds for loop in loops_of(info.address)):
                rounds = writer.around(info.address)
                found = writer.reach(info.address, parameter=True)
                if found is not None and intersection(rounds, info.layers) == rounds:
                    return found
        return None

    def case_table(self, node: Node) -> str:
        path = any_op(node).path
        name = next((n for n, cases in self.tables.items() if cases == any_op(node).cases), None)
        if name is None:
            name = self.names.free(constant_name(f"{path.rpartition('.')[2]}_cases"))
            self.tables[name] = any_op(node).cases
        return name

    # ------------------------------------------------------------ modules

    def _shape(self, type: Type) -> list[str]:
        return [self._constructor.size(axis.size).text for axis in type.axes]

    def _lower(self, node: Node, operands: tuple[Expr, ...]) -> Expr:
        """A node that a constructor computes."""
        return LOWERINGS[type(node.op)](Site(node, operands, self._constructor))

    def own_name(self, name: str) -> str:
        """What the layer or parameter of that name is called in the file."""
        return alone(name, self.suffix) if self.suffix else name

    def _layer_class(self, kind: str) -> str:
        if kind == "Linear" and self.plain:
            self.helper("in_files")
            return self.helper("linear_layer")
        self.kinds_used.add(kind)
        for name in called_by(kind):
            self.helper(name)
        return kind

    def has_parameters(self, path: str, writer: Writer) -> bool:
        """Whether the repeat at `path` has parameters where `writer` writes it."""
        body = self._body(path)
        return body is not None and body.exists(writer.around(path))

    def _body(self, path: str) -> Part | None:
        """What the rounds of a repeat hold."""
        at: Part | None = self.tree
        for step in (*path.split("."), "*"):
            at = at.parts.get(step) if at is not None else None
        return at

    def claim(self, writer: Writer, node: Node) -> bool:
        """Whether the body of this repeat becomes a class: it has parameters, `writer` can reach its modules, and no
        other repeat has made them its own."""
        op, body = any_op(node), self._body(any_op(node).path)
        key = op.path, writer.around(op.path)
        if key in self.claimed or not self.has_parameters(op.path, writer):
            return False
        self.layers.note(op.path, self._loop(writer, node))
        reached = writer.reach(op.path, parameter=False) is not None
        if not reached or body is None or self._needs_other_modules(node):
            return False
        if not all(body.is_even((*key[1], self._rounds(node, case))) for case in range(len(node.regions))):
            return False
        self.claimed.add(key)
        return True

    def _loop(self, writer: Writer, node: Node) -> RepeatForm:
        count: Size = any_op(node).count
        rounds = writer.around(any_op(node).path)
        return RepeatForm(rounds, count.value(self.graph.sizes), self._constructor.size(count).text)

    def _rounds(self, node: Node, case: int) -> Indices:
        found: Indices = any_op(node).rounds(case, self.graph.sizes)
        return found

    def _needs_other_modules(self, node: Node) -> bool:
        """Whether a layer that is declared outside of this repeat, and holds a repeat with parameters, is applied in
        it: a class of its own would not reach its modules."""
        own = f"{any_op(node).path}.*."
        loops = [n.op.path for region in node.regions for n in region.walk() if isinstance(n.op, Repeat)]
        return any(not path.startswith(own) and self._body(path) is not None for path in loops)

    def block(self, writer: Writer, node: Node, path: str, outer: Sequence[Value]) -> Block:
        """Write the classes of a repeat's bodies. They take the values `outer` of the function around them."""
        indexed = reads_index(node, self.taps)
        name = _block_name(path)
        if name in self.names.taken:
            name = f"{self.model}{name}"
        names = [
            self.names.free(name if len(node.regions) == 1 else f"{name}{i + 1}") for i in range(len(node.regions))
        ]
        label = path.rpartition(".")[2]
        block = Block(names, identifier(label if len(label) > 2 else _snake(name)), indexed)
        writers: list[Writer] = []
        for region in node.regions:
            inner = self._inner_writer(writer, region, path, indexed, outer)
            inner.rounds = {**writer.rounds, path: self._rounds(node, len(writers))}
            inner.count(region)
            inner.tap(region.parameters)
            inner.run(region.nodes)
            inner.settle(region.results)
            results = ", ".join(inner.tensor(value).text for value in region.results)
            inner.add(f"return {results}" if results else "return ()")
            writers.append(inner)
        block.arguments = [argument.name for argument in writers[0].arguments]
        block.foreign = list(dict.fromkeys(address for inner in writers for address in inner.foreign))
        missing = list(dict.fromkeys(symbol for inner in writers for symbol in header(inner)[1]))
        block.sizes = [Size.symbol(symbol) for symbol in missing]
        cases = any_op(node).cases if len(names) > 1 else None
        body = self._body(path)
        assert body is not None
        made = [self.layers.assignments(body, f"{path}.*.", (*w.around(path), w.rounds[path])) for w in writers]
        sizes = self.read_sizes([text for texts in made for text in texts], [w.lines for w in writers])
        form = replace(self._loop(writer, node), classes=tuple(names), cases=cases, sizes=tuple(sizes))
        self.layers.note(path, form)
        for case, (inner, region) in enumerate(zip(writers, node.regions, strict=True)):
            extra = [inner.foreign_parameter(a) for a in block.foreign]
            extra += [WrittenArgument(inner.sizes.get(s, identifier(s)), Type("int"), host=True) for s in missing]
            self.classes.append(self._block_class(inner, node, region, path, case, names, extra, made[case], sizes))
        return block

    def read_sizes(self, made: Sequence[str], lines: Sequence[Sequence[Line]]) -> dict[str, bool]:
        """The open sizes that the statements of a constructor, or a `forward` with these lines, read, by the names of
        the arguments; and whether the latter does."""
        constructor, run = "\n".join(made), "\n".join(line.text for each in lines for line in each)
        found = {size.argument: size.is_kept(run) for size in self.open.values()}
        return {name: kept for name, kept in found.items() if kept or is_read(name, constructor)}

    def _inner_writer(self, writer: Writer, region: Region, path: str, indexed: bool, outer: Sequence[Value]) -> Writer:
        inner = Writer(self, [], {f"{path}.*.": "self"})
        given = [*([region.parameters[0]] if indexed else []), *region.parameters[1:], *outer]
        for value in given:
            if indexed and value is region.parameters[0]:
                name = inner.fresh("i")
            else:
                said = writer.read(value).text if value in outer else ""
                name = inner.fresh(said if said.isidentifier() else inner.wish(value, None))
            wide, blocks = value in self.wide, self.blocks.get(value, "")
            inner.arguments.append(WrittenArgument(name, value.type, wide=wide, blocks=blocks))
            inner.values[value] = Expr(name)
            inner.holders[name] = value
        return inner

    def _block_class(
        self,
        inner: Writer,
        node: Node,
        region: Region,
        path: str,
        case: int,
        names: Sequence[str],
        extra: Sequence[WrittenArgument],
        made: Sequence[str],
        sizes: Mapping[str, bool],
    ) -> list[Line]:
        rounds = inner.rounds[path]
        which = "layers" if len(names) == 1 or self.plain else f"layers {_shortened(rounds)}"
        where = f" ({node.at.source.name.rpartition('/')[2]}:{node.at.line})" if node.at else ""
        count = "" if self.plain else f"{len(rounds)} "
        doc = f"One of the {count}{which} of `{path}`{where}."
        body = self._body(path)
        assert body is not None
        everywhere = range(any_op(node).count.value(self.graph.sizes))
        arguments_of_sizes = [f"{name}: int" for name in sizes]
        arguments = ", ".join(f"{v.name}: {v.kind}" for v in (*inner.arguments, *extra))
        result = (
            "Tensor" if len(region.results) == 1 else f"tuple[{', '.join(['Tensor'] * len(region.results)) or '()'}]"
        )
        head = f"def forward(self{', ' if arguments else ''}{arguments}) -> {result}:"
        return [
            Line(f"class {names[case]}(nn.Module):"),
            Line(f'    """{doc}"""'),
            Line(""),
            *_init(
                [*self.kept_sizes(sizes), *made],
                [*self.layers.arguments(body, (*inner.around(path), everywhere)), *arguments_of_sizes],
            ),
            Line(""),
            *(Line(text) for text in wrapped(head, 1)),
            *parted(header(inner)[0], inner.lines),
        ]

    def kept_sizes(self, sizes: Mapping[str, bool]) -> list[str]:
        """The statements of a constructor that keep what `forward` reads."""
        attributes = {size.argument: size.attribute for size in self.open.values()}
        return [f"self.{attributes[name]} = {name}" for name, kept in sizes.items() if kept]

    # ------------------------------------------------------------ the file

    def write(self) -> WrittenFile:
        model = write_model(self)
        sections: list[list[Line]] = []
        functions = [n for n in (*(n for n in FUNCTIONS if n not in INITIALIZERS), *INITIALIZERS) if n in self.helpers]
        sections += [_lines(FUNCTIONS[name]) for name in functions]
        sections += [_lines(LAYERS[kind]) for kind in LAYERS if kind in self.kinds_used]
        sections += [_defined(name, *text) for text, name in self.functions.items()]
        sections += [*self.classes, model.lines]
        text = "\n".join(line.text for section in sections for line in section)
        lines = [*self._docstring(), Line("from __future__ import annotations"), Line("")]
        lines += [Line("import math"), Line("")] if self.uses_math else []
        lines.append(Line("import torch"))
        if "group_along" in self.helpers:
            lines.append(Line("import torch.distributed as dist"))
        if "F." in text:
            lines.append(Line("import torch.nn.functional as F"))
        lines.append(Line("from torch import Tensor, nn"))
        if "group_along" in self.helpers:
            lines.append(Line("from torch.distributed.device_mesh import DeviceMesh"))
        if "score_attention" in self.helpers:
            lines.append(Line("from torch.utils.checkpoint import checkpoint"))
        if "flex_mask" in self.helpers:
            lines.append(Line(f"from torch.nn.attention.flex_attention import {', '.join(FLEX)}"))
        if self.recomputed:
            lines.append(Line("from torch.utils.checkpoint import checkpoint"))
        if not any("torch." in line.text for section in sections for line in section):
            lines = [line for line in lines if line.text != "import torch"]
        constants = [f"{self.constants[n]} = {self.graph.sizes[n]}" for n in self.graph.sizes if n in self.constants]
        constants += [f"{name} = {cases}" for name, cases in self.tables.items()]
        if constants:
            lines += [Line(""), *map(Line, constants)]
        for section in sections:
            lines += [Line(""), Line(""), *section]
        nodes = {i: line.node for i, line in enumerate(lines, 1) if line.node is not None}
        source = "\n".join(line.text for line in lines) + "\n"
        return WrittenFile(source, self.model, model.arguments, model.selectable, nodes, self.taps, self._matrices())

    def _matrices(self) -> dict[str, bool]:
        """What `WrittenFile` says of them."""
        read: dict[str, set[type[Op]]] = {}
        held: dict[Value, str] = {}
        for node in self.body.walk():
            match node.op:
                case Parameter(address):
                    held[node.output] = address
                case LayerCall(path, "Linear"):
                    read.setdefault(f"{path}.weight", set()).add(Linear)
                case LayerCall(path, "Embedding"):
                    read.setdefault(f"{path}.table", set()).add(Embedding)
            for place, value in enumerate(node.inputs):
                if value in held:
                    expected = isinstance(node.op, Linear) and place == 1 and node.output not in self.wide
                    looked_up = isinstance(node.op, Embedding) and place == 0
                    read.setdefault(held[value], set()).add(type(node.op) if expected or looked_up else Op)
        return {address: Embedding in by for address, by in read.items() if Linear in by and Op not in by}

    def _how_to_change(self) -> str:
        if not self.open:
            return (
                "Each comment names a line of the spec; to change a hyperparameter, generate the file again from there."
            )
        return (
            "Each comment names a line of the spec. Sizes are arguments of the model; to change another hyperparameter,"
            " generate the file again from the spec."
        )

    def _docstring(self) -> list[Line]:
        graph = self.graph
        title = graph.name + (f" ({graph.variant})" if graph.variant else "")
        doc = " ".join((graph.doc or "").split())
        origin = graph.origin.rpartition("/")[2] or "a graph"
        values = [f"{n} = {shown_setting(value)}" for n, value in graph.hyperparameters.items() if n not in self.open]
        paragraphs = [[doc]] if doc else []
        paragraphs.append([f"Written by attndsl from {origin}. {self._how_to_change()}"])
        lines = [f'"""{title}', ""]
        for paragraph in paragraphs:
            lines += [*_filled(paragraph[0].split(" "), WIDTH), ""]
        if values:
            lines += [*("    " + text for text in _filled([f"{v}," for v in values[:-1]] + values[-1:], WIDTH - 4)), ""]
        lines[-1] = '"""'
        return [*(Line(text.replace("\\", "\\\\")) for text in lines), Line("")]


def _init(assignments: Iterable[str], arguments: Sequence[str] = ()) -> list[Line]:
    head = f"def __init__({', '.join(['self', *arguments])}) -> None:"
    lines = [*(Line(text) for text in wrapped(head, 1)), Line("        super().__init__()")]
    for text in assignments:
        lines += [Line(line) for line in wrapped(text, 2)]
    return lines


def _defined(name: str, arguments: str, doc: str, body: str) -> list[Line]:
    said = _filled(f'"""{doc}"""'.split(" "), WIDTH - 4)
    texts = [*wrapped(f"def {name}{arguments}:", 0), *("    " + text for text in said), *wrapped(body, 1)]
    return [Line(text) for text in texts]


def _lines(text: str) -> list[Line]:
    return [Line(line) for line in text.strip("\n").split("\n")]


def _filled(words: Iterable[str], width: int) -> list[str]:
    lines = [""]
    for word in words:
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return lines


def _block_name(path: str) -> str:
    """`encoder.block` gives EncoderBlock, `h` gives Block."""
    steps = [step for step in path.split(".") if step != "*"]
    if len(steps[-1]) < 3:
        steps[-1] = "block"
    return class_name("_".join(steps))


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


def _shortened(rounds: Sequence[int]) -> str:
    shown = ", ".join(map(str, rounds[:6]))
    return f"{shown}, …" if len(rounds) > 6 else shown


def _lengths(body: Region) -> dict[Size, str]:
    """The sizes that are the larger or smaller of others and that an axis has a name for."""
    found: dict[Size, str] = {}
    for node in body.walk():
        for axis in (axis for value in node.outputs for axis in value.type.axes):
            if axis.size.compares and axis.name != str(axis.size):
                found.setdefault(axis.size, axis.name)
    return found
