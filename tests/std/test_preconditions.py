"""What the library asks of its arguments, it asks before anything runs, in a sentence of its own."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import attndsl
from attndsl import AttnError
from attndsl.elaborate.files import specs_folder
from attndsl.syntax import tree
from attndsl.syntax.parser import parse
from attndsl.syntax.reading import read_source

MODEL = """
block greedy(x: [*, D], h: [*, D] = 0.0) {{
  return x, h, h
}}

model M(width=8, heads=2, context=4) {{
  input x: [B, T, width]
  input targets: int[B, T]
  output y = {}
}}
"""

WRONG = (
    ("layer_norm(x, width)", "`eps` is a small number"),
    ("layer_norm(x, eps=-1e-5)", "`eps` is a small number"),
    ("rms_norm(x, 768)", "`eps` is a small number"),
    ('rms_norm(x, gain="unit")', "`gain` is "),
    ('attention(x, heads, position="rotary")', "`position` is a bias, a rotation"),
    ("attention(x, heads, position=causal)", "`position` is a bias, a rotation"),
    ("attention(x, heads, cap=0)", "a soft cap is a number above 0"),
    ("attention(x, 4, kv_heads=3)", "`kv_heads` must divide `heads`"),
    ("attention(x, 8, position=rotary)", "must be an even number"),
    ("attention(x, heads, position=relative_xl(5))", "sines and cosines come in pairs, so `width` must be even"),
    ("attention(x, heads, position=relative_xl(width, clamp=-1))", "`clamp` is a distance, or none"),
    ("attention(x, heads, position=rotary(interleaved=true, share=0.25))", "must be an even number"),
    ("attention(x, heads, position=rotary(share=4))", "`share` is how much of each head"),
    ("attention(x, 4, position=rotary(scaling=ntk_rope(2, 4)))", "there must be more than one pair"),
    ("attention(x, heads, position=rotary(scaling=longrope([1], [1, 2], 4, 2)))", "have one number for each pair"),
    ("attention(x, heads, position=rotary(base=-1))", "angles are powers of `base`, which is above 0"),
    ("attention(x, heads, position=rotary(scaling=linear_rope(0)))", "`factor` is by how much the context is extended"),
    ("attention(x, 2, position=rotary(scaling=ntk_rope(2, 0)))", "a `context` of so many positions is extended"),
    ("attention(x, 2, position=rotary(scaling=yarn(-2, 64)))", "a `context` of so many positions is extended"),
    ("attention(x, 2, position=rotary(scaling=yarn(4, 64, slow=32, fast=1)))", "pairs turn more than `fast` times"),
    ("attention(x, 2, position=rotary(scaling=llama3_rope(low=4, high=4)))", "pairs turn more than `high` times"),
    ("attention(x, 2, position=rotary(scaling=longrope([1, 0], [1, 1], 9, 2)))", "which angles are divided by"),
    ("attend_once(x, linear(x[T=:3 -> S=3], 3), dot_score)", "a product needs queries and keys of one size"),
    ("attention(x, heads, mask=window(0))", "its `size` is at least 1"),
    ("attention(x, heads, mask=local(0))", "so `size` is at least 1"),
    ("attention(x, heads, mask=strided(0))", "a stride is at least 1"),
    ("attention(x, heads, mask=grid_square(4, 2))", "has an odd `size`, and is no wider than the grid"),
    ("attention(x, heads, mask=grid_square(4, 5))", "has an odd `size`, and is no wider than the grid"),
    ("attention(x, heads, mask=grid_row(0))", "a row is at least 1 long"),
    ("attention(x, heads, mask=grid_column(-1))", "a row is at least 1 long"),
    ("group_norm(x, 2, 2)", "a width is not given: write `group_norm(x, groups)`"),
    ("instance_norm(x, width)", "a width is not given: write `instance_norm(x)`"),
    ("batch_norm(x, width)", "a width is not given: write `batch_norm(x)`"),
    ("batch_norm(x, momentum=0)", "`momentum` is the share of the newest batch"),
    ("attention(x, heads, position=bucketed(heads, 5))", "make `buckets` even"),
    ("attention(x, heads, position=bucketed(heads, 2))", "a bucket for single distances"),
    ("attention(x, heads, position=bucketed(heads, 32, 8))", "`reach` must be beyond the buckets"),
    ("sinusoidal(x[width<3])", "the last axis must be even"),
    ('recurrent(gru_cell(8, reset="between"))(x)', '`reset` is "before" the product'),
    ("recurrent(layer_norm)(x)", "a cell has states"),
    ("recurrent(elman_cell(8), initial=[x, x])(x)", "with a tensor for each state of the cell"),
    ("recurrent(elman_cell(8), reverse=true, kept=true)(x)", "go on from the end of one call to the start of the next"),
    ("recurrent(elman_cell(8), kept=true, initial=[x[T=0]])(x)", "come from the call before, and not from `initial`"),
    ("recurrent(elman_cell(8), dropout=-0.5)(x)", "`dropout` is a share of the elements"),
    ("recurrent(lstm_cell(8, clip=-3))(x)", "the cell is kept between `-clip` and `clip`"),
    ("recurrent(lstm_cell(8, projection=4, projection_clip=0))(x)", "`projection_clip` is above 0"),
    ("stacked_step(elman_cell(8), [], depth=0)(x)", "a step of no cells gives no state"),
    ("recurrent(greedy)(x)", "a cell returns as many states as it takes"),
    ("conv_transpose(x, 8, 3, stride=0)", "`stride` and `dilation` are at least 1"),
    ("conv2d_transpose(x, 8, 3, extra=-1)", "`stride` and `dilation` are at least 1"),
    ("max_pool(x, 2, pad=2)", "pad by at most half of its size"),
    ("max_pool2d(x, 2, pad=2)", "pad by at most half of its size"),
    ("experts(x, 2, 3, mlp(4))", "no more than there are: `top` is 1 to `n`"),
    ("experts(x, 2, 0, mlp(4))", "at least one expert is chosen"),
    ("experts(x, 6, 2, mlp(4), groups=4)", "`groups` must divide `n`"),
    ("experts(x, 6, 2, mlp(4), groups=2, top_groups=3)", "at least one group is chosen, and no more than there are"),
    ("experts(x, 6, 4, mlp(4), groups=2, top_groups=1)", "have fewer experts than `top`"),
    ("experts(x, 6, 2, mlp(4), groups=0)", "`groups` must divide `n`"),
    ("experts(x, 6, 2, width)", "an `expert` is a block"),
    ("experts(x, 6, 4, mlp(4), capacity=inf)", "a `capacity` is a share of an even load"),
    ("experts(x, 6, 4, mlp(4), capacity=0)", "a `capacity` is a share of an even load"),
    ("cross_entropy(x, targets, over=width, smoothing=1.5)", "`smoothing` is a share"),
    ('cross_entropy(x, targets, over=width, reduction="average")', '`reduction` is "mean", "sum" or "none"'),
    ("adaptive_softmax(x, 9, [])", "`cutoffs` are the numbers of the classes"),
    ("adaptive_softmax(x, 9, [0, 4])", "the first cutoff is above 0"),
    ("adaptive_softmax(x, width, [4, 8])", "the cutoffs ascend, and are below the number of classes"),
    ("adaptive_softmax(x, 9, [2, 4], 3)", "the last cluster's rank is 0"),
)


@pytest.mark.parametrize(("call", "said"), WRONG, ids=[call for call, _ in WRONG])
def test_it_is_told(call: str, said: str) -> None:
    with pytest.raises(AttnError) as caught:
        attndsl.parse(MODEL.format(call))
    (told,) = caught.value.diagnostics
    assert (told.code, said in told.message) == ("E0210", True)


BY_THE_CALL = (
    ("learned_positions(x, context)", 5, "more positions than the table has entries"),
    ("conv_transpose(x, width, 2, pad=1)", 1, "`pad` is cut off at both ends, and something must be left"),
    ("conv_transpose(x, width, 3)", 0, "there must be something to convolve"),
    ("conv(x, width, 3, pad=2)", 0, "`T` (0) must be at least 1"),
)


@pytest.mark.parametrize(("call", "length", "said"), BY_THE_CALL, ids=[call for call, _, _ in BY_THE_CALL])
def test_what_hangs_on_the_length_of_an_input_is_told_by_the_call(call: str, length: int, said: str) -> None:
    model = attndsl.parse(MODEL.format(call))
    inputs = {"x": np.zeros((1, length, 8), np.float32), "targets": np.zeros((1, length), np.int64)}
    for backend in ("numpy", "torch"):
        with pytest.raises(AttnError, match=re.escape(said)):
            model.run(inputs, backend=backend)


def test_every_requirement_of_the_library_has_its_sentence_and_a_row_here() -> None:
    asked = [
        (path.name, node.message.value if node.message else "")
        for path in sorted(Path(str(specs_folder())).joinpath("std").glob("*.attn"))
        for declaration in parse(read_source(str(path)))[0].declarations
        if isinstance(declaration, (tree.Block, tree.IndexFunction))
        for node in declaration.body
        if isinstance(node, tree.RequireDecl)
    ]
    said = [row[-1] for row in (*WRONG, *BY_THE_CALL)]
    assert [(name, text) for name, text in asked if not any(part in text for part in said)] == []
