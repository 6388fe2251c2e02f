"""One layout: formatting changes nothing but the spaces, and nothing a second time."""

from __future__ import annotations

import pytest

from attndsl.diagnostics import AttnError
from attndsl.formatting import format_text
from attndsl.formatting.docs import WIDTH
from tests.formatting.properties import as_file, disordered, documented, graph_text, shipped, violations
from tests.programs.writer import Program

SHIPPED = dict(shipped())


def test_every_shipped_spec_is_formatted():
    assert [name for name, text in SHIPPED.items() if format_text(text, name) != text] == []


def test_no_line_of_a_shipped_spec_is_too_long_that_could_be_broken():
    """What is longer are comments and messages."""
    long = [line.partition("  # ")[0] for text in SHIPPED.values() for line in text.splitlines()]
    assert [line for line in long if len(line) > WIDTH and not line.lstrip().startswith(("///", "#", "else "))] == []


@pytest.mark.parametrize("name", ["specs/gpt2.attn", "specs/transformer_xl.attn", *sorted(SHIPPED)[-4:]])
def test_disorder_is_put_in_order(name):
    assert violations(disordered(SHIPPED[name], seed=1, comments=True)) == []
    assert format_text(disordered(SHIPPED[name], seed=2, comments=False), name) == SHIPPED[name]


def test_every_example_of_the_documents_can_be_formatted():
    files = {place: as_file(text) for place, text in documented()}
    assert sum(text is not None for text in files.values()) > 250
    found = {place: violations(text) for place, text in files.items() if text is not None}
    assert {place: what for place, what in found.items() if what} == {}


@pytest.mark.parametrize("seed", range(6))
def test_a_random_program_stays_what_it_is(seed):
    text = Program.random(seed).text
    assert violations(text) == []
    disorder = disordered(text, seed, comments=True)
    assert violations(disorder) == []
    assert graph_text(format_text(disorder, "random")) == graph_text(text)


def test_a_text_with_mistakes_is_refused_with_all_of_them():
    with pytest.raises(AttnError) as caught:
        format_text("model M {\n  x = (1\n}\nblock {\n}\n", "wrong.attn")
    assert len(caught.value.diagnostics) == 2
    assert "wrong.attn" in str(caught.value)


# ruff: noqa: E501

LAYOUTS = {
    "comments stay above, behind, inside, at the end, before `else`": (
        """
# of the file
model M(width=8,   # behind
    # above
    heads=2) {
  # first
  input x: [T,width]#x
  if heads>1 {
    x=x+1

    # last
  }
  # before else
  else { x = x }


  # two lines above became one
  output y = f(x, # the first
    # the second
    2)
  # at the end
}
# at the very end
""",
        """\
# of the file
model M(width=8,  # behind
        # above
        heads=2) {
  # first
  input x: [T, width]  #x
  if heads > 1 {
    x = x + 1

    # last
  }
  # before else
  else {
    x = x
  }

  # two lines above became one
  output y = f(x,  # the first
               # the second
               2)
  # at the end
}
# at the very end
""",
    ),
    "a long pipe has a line for each stage, a long call goes on under its bracket": (
        """
block b(x: [*, D]) {
  a = x |> first_of_them(1, 2) as one |> second_of_them(width=64, hidden=4 * 64, act=gelu) as two |> third_of_them(3) as three
  some_long_name = linear(x, D, bias=false) |> second_of_them(width=64, hidden=4 * 64, act=gelu) as two |> third_of_them(3)
  return call(first_argument=1111111111, second_argument=2222222222, third_argument=3333333333, fourth_argument=4444444444)
}
""",
        """\
block b(x: [*, D]) {
  a = x |> first_of_them(1, 2) as one
        |> second_of_them(width=64, hidden=4 * 64, act=gelu) as two
        |> third_of_them(3) as three
  some_long_name = linear(x, D, bias=false)
    |> second_of_them(width=64, hidden=4 * 64, act=gelu) as two
    |> third_of_them(3)
  return call(first_argument=1111111111, second_argument=2222222222, third_argument=3333333333,
              fourth_argument=4444444444)
}
""",
    ),
    "sums, choices and messages go on one step further in": (
        """
block b(x: [*, D]) {
  require D > 0 and D % 2 == 0 else "the width must be an even number that is above zero, and here it is neither of them"
  y = linear(x, D, bias=false, init=normal(0.02)) as first + linear(x, D, bias=false, init=normal(0.02)) as the_second_one
  return linear(x, D, bias=false, init=normal(0.02)) if D > 64 else linear(x, D, bias=true, init=normal(0.02)) if D > 32 else x
}
""",
        """\
block b(x: [*, D]) {
  require D > 0 and D % 2 == 0
    else "the width must be an even number that is above zero, and here it is neither of them"
  y = linear(x, D, bias=false, init=normal(0.02)) as first
    + linear(x, D, bias=false, init=normal(0.02)) as the_second_one
  return linear(x, D, bias=false, init=normal(0.02)) if D > 64
    else linear(x, D, bias=true, init=normal(0.02)) if D > 32
    else x
}
""",
    ),
    "columns: recipes, arrows, variants, comments; each run by itself": (
        """
model M(a=1,) { output y = a }
variant M:small { a=1 }
variant M:medium {a=2,}
variant M:wide {
  a=3
}
train M { minimize = y  # what
  lr = 1 # and how fast

  steps = 10
}
weights M from hf {
  "a.weight": [in,out] <-> a.weight
  "a.bias"<-a.bias
  # apart
  "b"<->b
}
""",
        """\
model M(a=1) { output y = a }

variant M:small  { a=1 }
variant M:medium { a=2 }

variant M:wide {
  a=3
}

train M {
  minimize = y  # what
  lr       = 1  # and how fast

  steps = 10
}

weights M from hf {
  "a.weight": [in, out] <-> a.weight
  "a.bias"              <- a.bias
  # apart
  "b" <-> b
}
""",
    ),
    "signs": (
        """
///  of the file

///of the model
use std.masks:causal as c,full
block M( x : [ * ,T ]=  - 1 , n :int= -2) {
  y=x [ T = 1 : - 1 -> U=2 ]. z * - x ^ -2 - 3
  z = rearrange ( y ,[ T]->[a= 2,b] )|>f
}
""",
        """\
///  of the file

/// of the model
use std.masks: causal as c, full

block M(x: [*, T] = -1, n: int = -2) {
  y = x[T=1:-1 -> U=2].z * -x ^ -2 - 3
  z = rearrange(y, [T] -> [a=2, b]) |> f
}
""",
    ),
}


@pytest.mark.parametrize("what", LAYOUTS)
def test_the_layout(what):
    written, wanted = LAYOUTS[what]
    assert format_text(written, "test.attn") == wanted
    assert violations(written) == []


def test_lines_end_as_lines_of_text_do():
    assert format_text("model M {\r\n\toutput y = 1 # one\r\n}\r\n", "x") == "model M {\n  output y = 1  # one\n}\n"
    assert format_text("model M { output y = 1 }", "x") == "model M { output y = 1 }\n"
