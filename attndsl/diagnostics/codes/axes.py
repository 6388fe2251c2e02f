"""E02xx: axes, types, sizes, constraints."""

from __future__ import annotations

from attndsl.diagnostics.codes.entry import Code

ENTRIES = (
    Code(
        "E0201",
        "an argument does not have the axes that a block takes",
        "A signature gives each axis a name, `*` standing for any number of leading ones. A name that stands "
        "twice is the same axis twice. `[*, T, D]` and `[*, S, E]` may be the same axes; `[*, D]` and `[D]` share "
        "their last.",
        """
block scaled(x: [*, D], scale: [D]) -> [*, D] {
  return x * scale
}

model M(width=8, other=8) {
  input x: [B, width]
  input s: [other]
  output y = scaled(x, s)
}
""",
        """
block scaled(x: [*, D], scale: [D]) -> [*, D] {
  return x * scale
}

model M(width=8) {
  input x: [B, width]
  input s: [width]
  output y = scaled(x, s)
}
""",
    ),
    Code(
        "E0202",
        "an axis stands where a block expects another of its own names",
        "An argument's axis that has the name of another axis of the signature is most likely in the wrong place: "
        "`[B, T, H]` where `[B, H, T]` was meant. `rearrange` brings axes into order.",
        """
block over_time(x: [B, H, T]) -> [B, H, T] {
  return softmax(x, over=T)
}

model M(H=2) {
  input x: [B, T, H]
  output y = over_time(x)
}
""",
        """
block over_time(x: [B, H, T]) -> [B, H, T] {
  return softmax(x, over=T)
}

model M(H=2) {
  input x: [B, H, T]
  output y = over_time(x)
}
""",
    ),
    Code(
        "E0203",
        "axes do not align",
        "Arithmetic aligns by the names of axes: those of one side must all be on the other. Two axes are the "
        "same when their sizes are equal whatever the hyperparameters are, never because they happen to have the "
        "same value now. Where every combination is wanted, as in a table of distances, the type of the result "
        "says so: `delta: int[T, S] = range(T) - range(S)`.",
        """
model M(width=768, hidden=768) {
  input x: [B, T, width]
  output y = x + linear(x, hidden)
}
""",
        """
model M(width=768, hidden=768) {
  input x: [B, T, width]
  output y = x + linear(linear(x, hidden), width)
}
""",
    ),
    Code(
        "E0204",
        "the dtype is wrong",
        "There are `float` (whatever precision a run has), `int` and `bool`. int and float mix in arithmetic; a "
        "bool does not, except as 0 or 1 in `*`. Indices are ints, conditions bools. `float(x)` and `int(x)` convert.",
        """
model M(vocab=16, width=8) {
  input x: [B, T]
  output y = embedding(x, vocab, width)
}
""",
        """
model M(vocab=16, width=8) {
  input x: int[B, T] where x < vocab
  output y = embedding(x, vocab, width)
}
""",
    ),
    Code(
        "E0205",
        "a tensor would have the same axis twice",
        "No tensor has an axis twice, or `over=` could not say which is meant. One of them gets a name of its "
        "own: `in=width`.",
        """
model M(width=8) {
  input x: [B, width]
  param weight: [width, width]
  output y = dot(x, weight, over=width)
}
""",
        """
model M(width=8) {
  input x: [B, width]
  param weight: [width, out=width]
  output y = dot(x, weight, over=width)
}
""",
    ),
    Code(
        "E0206",
        "sizes do not match",
        "Both sides of a `rearrange` have the same number of elements, the parts of a `split` and of a `concat` "
        "add up, and windows fit into what they go over.",
        """
model M(width=8, heads=2, head=3) {
  input x: [B, width]
  output y = rearrange(x, [width] -> [heads, head])
}
""",
        """
model M(width=8, heads=2) {
  head = width / heads
  input x: [B, width]
  output y = rearrange(x, [width] -> [heads, head])
}
""",
    ),
    Code(
        "E0207",
        "a body does not keep the type of what it carries",
        "What is assigned inside a `repeat` and was made outside is carried from one layer to the next, so that "
        "it has the same type after the body as before it. Compile-time numbers are not carried.",
        """
model M(width=8, depth=2) {
  input x: [B, width]
  repeat h in depth {
    x = linear(x, 2 * width)
  }
  output y = x
}
""",
        """
model M(width=8, depth=2) {
  input x: [B, width]
  repeat h in depth {
    x = linear(x, 2 * width) |> tanh |> linear(width)
  }
  output y = x
}
""",
    ),
    Code(
        "E0208",
        "a block does not return what it declares",
        "The type after `->` is a promise to the caller.",
        """
block project(n)(x: [*, D]) -> [*, D] {
  return linear(x, n)
}

model M(width=8) {
  input x: [B, width]
  output y = project(x, 2 * width)
}
""",
        """
block project(n)(x: [*, D]) -> [*, n] {
  return linear(x, n)
}

model M(width=8) {
  input x: [B, width]
  output y = project(x, 2 * width)
}
""",
    ),
    Code(
        "E0209",
        "this is not a size",
        "A size is a whole number of at least 1, made of hyperparameters and of the sizes of inputs. The index of "
        "a `repeat` cannot be part of it, since all layers of a repeat have the same shapes.",
        """
model M(width=8) {
  input x: [B, width]
  output y = linear(x, width - 8)
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = linear(x, width - 4)
}
""",
    ),
    Code(
        "E0210",
        "a requirement does not hold",
        "What a model or block asks for with `where` or `require` is decided as soon as the sizes are known: at "
        "once for hyperparameters, at the call for the sizes of inputs.",
        """
model M(width=8, heads=3) {
  require width % heads == 0
  input x: [B, width]
  output y = x
}
""",
        """
model M(width=8, heads=2) {
  require width % heads == 0
  input x: [B, width]
  output y = x
}
""",
    ),
    Code(
        "E0211",
        "an index or a slice goes beyond its axis",
        "Elements are counted from 0. A place beyond the last is an error, never a wrap, and so is a lookup that "
        "a longer input could take beyond a table: bound the input with `where T <= context`.",
        """
model M(width=8) {
  input x: [B, width]
  output y = x[width=8]
}
""",
        """
model M(width=8) {
  input x: [B, width]
  output y = x[width=7]
}
""",
    ),
    Code(
        "E0212",
        "a size is not divisible",
        "`/` is exact on compile-time numbers: `width / heads` is a size only where it leaves no remainder. `//` "
        "drops one.",
        """
model M(width=768, heads=10) {
  input x: [B, T, width]
  output y = attention(x, heads)
}
""",
        """
model M(width=768, heads=12) {
  input x: [B, T, width]
  output y = attention(x, heads)
}
""",
    ),
    Code(
        "E0213",
        "a size cannot be solved for its unknown",
        "A signature's size may have one unknown, which is found by exact division: `[*, 2 * D]` bound to `8 * "
        "width` gives `D = 4 * width`. Several unknowns, or one that is not a factor, are not guessed.",
        """
block halves(x: [*, n * m]) -> [*] {
  return sum(x, over=n * m)
}

model M(width=8) {
  input x: [B, width]
  output y = halves(x)
}
""",
        """
block halves(n)(x: [*, n * m]) -> [*] {
  return sum(x, over=n * m)
}

model M(width=8) {
  input x: [B, 2 * width]
  output y = halves(x, 2)
}
""",
    ),
    Code(
        "E0214",
        "factors of a rearrangement cannot be told apart",
        "In `rearrange` a factor that stands on both sides is found again by the name that it is written with. Where "
        "two factors have one size, each gets a name of its own: `P = patch` and `Q = patch` are still axes of that "
        "size.",
        """
model M(patch=4, channels=3) {
  input image: [B, Y * patch, X * patch, channels]
  output y = rearrange(image, [Y * patch, X * patch, channels] -> [Y * X, patch * patch * channels])
}
""",
        """
model M(patch=4, channels=3) {
  P = patch
  Q = patch
  input image: [B, Y * patch, X * patch, channels]
  output y = rearrange(image, [Y * P, X * Q, channels] -> [Y * X, P * Q * channels])
}
""",
    ),
)
