"""E0743 to E0749: using trained models."""

from __future__ import annotations

from attndsl.diagnostics.codes.entry import Code

ENTRIES = (
    Code(
        "E0743",
        "a value for beam search means nothing",
        "A beam is at least 1 wide, and the length penalty 0 or more: 0 takes the likeliest answer, which is a short "
        "one, more lets longer answers win.",
        "attndsl generate runs/dates --prompt 'May 3rd' --beams 4 --length-penalty -1",
        "attndsl generate runs/dates --prompt 'May 3rd' --beams 4 --length-penalty 0.6",
        "situation",
    ),
    Code(
        "E0744",
        "a verb does not fit the run",
        "What a run was trained for decides what it can be asked: `generate` goes on with a text or makes one of "
        "another, `predict` says classes, tags and hidden tokens. `embed` and `attend` take them all.",
        "attndsl predict runs/book --text 'Once upon'",
        "attndsl generate runs/book --prompt 'Once upon'",
        "situation",
    ),
    Code(
        "E0745",
        "a published folder cannot stand in for a run",
        "With `--weights DIR` a spec and published weights are used like a run. Texts become numbers by the "
        "`tokenizer.json` that was published beside the weights.",
        "attndsl predict bert --weights weights-alone --text 'The [MASK] of the list'",
        "attndsl predict bert --weights bert-base-uncased --text 'The [MASK] of the list'",
        "situation",
    ),
    Code(
        "E0746",
        "a model has no such layer, head, output or pooling",
        "Layers and heads are counted from 0, in each kind of attention by itself. Vectors come from an output such "
        "as `hidden`, with features as its last axis.",
        "attndsl embed runs/bert --text 'It is cold' --from hiden",
        "attndsl embed runs/bert --text 'It is cold' --from hidden",
        "situation",
    ),
    Code(
        "E0747",
        "there is too much attention to draw",
        "A map shows at most 512 tokens on each side, and one file 16 million weights. A shorter text is easier to "
        "read, too; `--layer` and `--head` choose.",
        "attndsl attend runs/book --text - -o attention.html < book.txt",
        "head -c 500 book.txt | attndsl attend runs/book --text - -o attention.html",
        "situation",
    ),
    Code(
        "E0748",
        "a model has no attention",
        "Attention is a softmax over an axis of data, followed by a sum over that axis that it weighs, however it is "
        "written. A model without one has nothing for `attend` to draw.",
        "attndsl attend runs/lstm --text 'It is cold' -o attention.html",
        "attndsl attend runs/bert --text 'It is cold' -o attention.html",
        "situation",
    ),
    Code(
        "E0749",
        "a model takes something else",
        "Models of texts are given `--text`, those of pairs `--pair` beside it, those of pictures `--image`. In a text "
        "for a model of masked tokens the mask token stands where a word is to be found.",
        "attndsl predict runs/bert --text 'The end of the list'",
        "attndsl predict runs/bert --text 'The [MASK] of the list'",
        "situation",
    ),
)
