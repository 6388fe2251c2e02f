"""E01xx: names, imports, calls, declarations."""

from __future__ import annotations

from attndsl.diagnostics.codes.entry import Code

ENTRIES = (
    Code(
        "E0101",
        "nothing has this name here",
        "A name is looked up in the block or model, then in the file with what it imports, then in the standard "
        "library. What a block calls a value is not visible outside of it, and a block sees nothing of its "
        "caller.",
        """
model M(width=8) {
  input x: [B, width]
  output y = linear(x, widht)
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = linear(x, width)
}
""",
    ),
    Code(
        "E0102",
        "a call gives an argument that does not exist",
        "The arguments of a block are those of its declaration: `attndsl show linear` prints it.",
        """
model M(width=8) {
  input x: [B, width]
  output y = layer_norm(x, epsilon=1e-5)
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = layer_norm(x, eps=1e-5)
}
""",
    ),
    Code(
        "E0103",
        "a call lacks an argument",
        "Hyperparameters without a default and tensors without one must be given. Reductions say which axis they "
        "go over.",
        """
model M(width=8) {
  input x: [B, width]
  output y = softmax(x)
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = softmax(x, over=width)
}
""",
    ),
    Code(
        "E0104",
        "an argument is of the wrong kind, or one too many",
        "A block has two lists, hyperparameters (compile-time values) and tensors. A call may mix them in one "
        "pair of parentheses, since they cannot be confused, but neither list takes more than it declares, and a "
        "tensor cannot stand for a hyperparameter.",
        """
model M(width=8) {
  input x: [B, width]
  output y = layer_norm(x, x)
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = layer_norm(x)
}
""",
    ),
    Code(
        "E0105",
        "something is applied, labelled or subscripted that cannot be",
        "Blocks, layers, masks and biases are applied; layers and tensors are labelled; tensors, masks and biases "
        "are subscripted.",
        """
model M(width=8) {
  input x: [B, width]
  output y = x |> width
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = x |> linear(width)
}
""",
    ),
    Code(
        "E0106",
        "a label is given twice",
        "A label is the address of a layer's parameters, in files, messages and diagrams: it is given once. To "
        "use the same parameters again, call the label.",
        """
model M(width=8) {
  input x: [B, width]
  x = linear(x, width) as hidden
  output y = linear(x, width) as hidden
}
""",
        """
model M(width=8) {
  input x: [B, width]
  layer hidden = linear(width)
  x = hidden(x)
  output y = hidden(x)
}
""",
    ),
    Code(
        "E0107",
        "something is declared or given twice",
        "A file declares a name once, a call gives an argument once, a `train` section sets a setting once.",
        """
block double(x: [*]) -> [*] {
  return 2 * x
}

block double(x: [*]) -> [*] {
  return x + x
}

model M(width=8) {
  input x: [B, width]
  output y = double(x)
}
""",
        """
block double(x: [*]) -> [*] {
  return 2 * x
}

model M(width=8) {
  input x: [B, width]
  output y = double(x)
}
""",
    ),
    Code(
        "E0108",
        "a layer has no such member",
        "The members of a layer are its parameters and the layers inside it. They are there once it has been "
        "applied, since their shapes follow from the tensors that it was given.",
        """
model M(vocab=16, width=8) {
  input tokens: int[B, T] where tokens < vocab
  layer wte = embedding(vocab, width)
  x = wte(tokens)
  output logits = dot(x, wte.tabel, over=width)
}
""",
        """
model M(vocab=16, width=8) {
  input tokens: int[B, T] where tokens < vocab
  layer wte = embedding(vocab, width)
  x = wte(tokens)
  output logits = dot(x, wte.table, over=width)
}
""",
    ),
    Code(
        "E0109",
        "files import each other",
        "Imports form no circle: what two files need of each other moves to a third.",
        '# example.attn\nuse "example.attn"\n\nmodel M(width=8) {\n  input x: [B, width]\n  output y = x\n}\n',
        "# example.attn\nuse std.norms\n\nmodel M(width=8) {\n  input x: [B, width]\n  output y = x\n}\n",
    ),
    Code(
        "E0110",
        "an imported file does not declare this name",
        "`use std.norms: rms_norm` brings in the names listed, which the file must declare itself.",
        """
use std.norms: root_mean_square_norm

model M(width=8) {
  input x: [B, width]
  output y = root_mean_square_norm(x)
}
""",
        """
use std.norms: rms_norm

model M(width=8) {
  input x: [B, width]
  output y = rms_norm(x)
}
""",
    ),
    Code(
        "E0111",
        "a block calls itself, or a model unrolls without end",
        "Blocks are put in the place of their calls, so a block cannot call itself. Layers that are alike are "
        "written once, with `repeat`.",
        """
block deeper(x: [*, D]) -> [*, D] {
  return deeper(tanh(x))
}

model M(width=8) {
  input x: [B, width]
  output y = deeper(x)
}
""",
        """
model M(width=8, depth=4) {
  input x: [B, width]
  repeat h in depth {
    x = tanh(x)
  }
  output y = x
}
""",
    ),
    Code(
        "E0112",
        "a block returns nothing",
        "Every block ends with `return`.",
        """
block double(x: [*]) -> [*] {
  y = 2 * x
}

model M(width=8) {
  input x: [B, width]
  output y = double(x)
}
""",
        """
block double(x: [*]) -> [*] {
  return 2 * x
}

model M(width=8) {
  input x: [B, width]
  output y = double(x)
}
""",
    ),
    Code(
        "E0113",
        "the number or kind of results does not fit",
        "A block returns as many tensors as it declares, and a call of a block with several results gives names "
        "to all of them.",
        """
block halves(x: [*]) -> [*], [*] {
  return x / 2
}

model M(width=8) {
  input x: [B, width]
  a, b = halves(x)
  output y = a + b
}
""",
        """
block halves(x: [*]) -> [*], [*] {
  return x / 2, x / 2
}

model M(width=8) {
  input x: [B, width]
  a, b = halves(x)
  output y = a + b
}
""",
    ),
    Code(
        "E0114",
        "inputs or outputs are missing or in the wrong place",
        "A model declares its inputs and outputs at its top, not inside a `repeat` or a block, and has at least "
        "one output.",
        """
model M(width=8) {
  input x: [B, width]
  y = tanh(x)
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = tanh(x)
}
""",
    ),
    Code(
        "E0115",
        "this part of the language cannot be compiled yet",
        "It is understood and checked as text, but no graph is made of it. The message names a way to write it "
        "without.",
        """
model M(width=8) {
  input x: [B, width]
  state memory: [B, width] = zeros
  memory <- x
  output y = x + memory
}
""",
        """
model M(width=8) {
  input x: [B, width]
  input memory: [B, width]
  output y = x + memory
  output next = x
}
""",
    ),
    Code(
        "E0116",
        "an input has a default and is not optional",
        "Only an input that may be left out has a default, and `optional` says that it may.",
        """
model M(width=8) {
  input x: [B, T, width]
  input valid: bool[B, T] = true
  output y = x * valid
}
""",
        """
model M(width=8) {
  input x: [B, T, width]
  input valid: bool[B, T] optional = true
  output y = x * valid
}
""",
    ),
    Code(
        "E0117",
        "nothing says how large a default is",
        "Where an optional input is left out, its default is as large as the input would be. An input without a "
        "default must have those sizes.",
        """
model M(width=8) {
  input x: [B, width]
  input weight: [S] optional = 1.0
  output y = x * mean(weight, over=S)
}
""",
        """
model M(width=8) {
  input x: [S, width]
  input weight: [S] optional = 1.0
  output y = x * weight
}
""",
    ),
    Code(
        "E0118",
        "a default is outside of the bounds of its input",
        "What is behind `where` holds for the default as well: a number is checked at once.",
        """
model M(width=8, segments=2) {
  input x: [B, T, width]
  input segment: int[B, T] optional = 2 where segment < segments
  output y = x + embedding(segment, segments, width)
}
""",
        """
model M(width=8, segments=2) {
  input x: [B, T, width]
  input segment: int[B, T] optional = 0 where segment < segments
  output y = x + embedding(segment, segments, width)
}
""",
    ),
)
