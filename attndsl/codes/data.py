"""E07xx: data, training, generation."""

from __future__ import annotations

from attndsl.codes.entry import Code

_MODEL = """
model M(vocab=256, context=32, width=8) {
  input tokens: int[B, T] where T <= context, tokens < vocab
  layer wte = embedding(vocab, width)
  output logits = dot(tanh(wte(tokens)), wte.table, over=width)
  input targets: int[B, T] optional where targets < vocab
  output loss = cross_entropy(logits, targets, over=vocab)
}
"""


def _with(*lines: str) -> str:
    return f"{_MODEL}\ntrain M {{\n" + "".join(f"  {line}\n" for line in lines) + "}\n"


_BATCHES, _LOSS, _ADAM = "batches   = next_token(tokens, targets)", "minimize  = loss", "optimizer = adamw(lr=6e-4)"

ENTRIES = (
    Code(
        "E0701",
        "there is no text where the data should be",
        "`--data` takes files, folders and globs. A glob is quoted, so that the shell leaves it alone; `**` "
        "stands for any number of folders.",
        "attndsl train gpt_nano --data no/such/file.txt",
        "attndsl train gpt_nano --data book.txt",
        "situation",
    ),
    Code(
        "E0702",
        "the data hold no text",
        "All files that were found are empty, or are not UTF-8 text.",
        "attndsl train gpt_nano --data empty.txt",
        "attndsl train gpt_nano --data book.txt",
        "situation",
    ),
    Code(
        "E0703",
        "a text file is not UTF-8",
        "A file that is named itself must be UTF-8 text without NUL bytes; in folders and globs, others are skipped.",
        "attndsl train gpt_nano --data photo.jpg",
        "attndsl train gpt_nano --data book.txt",
        "situation",
    ),
    Code(
        "E0704",
        "the text is too short",
        "A window of `length` tokens and the one after it must fit into the text that is trained on. A shorter "
        "`length`, or more text, helps.",
        "attndsl train gpt_nano --data haiku.txt",
        "attndsl train gpt_nano --data haiku.txt --set length=8",
        "situation",
    ),
    Code(
        "E0705",
        "a file of data or of a run cannot be read or written",
        "The disk is full, a permission is missing, or a file changed while it was read. What stood there before "
        "is whole.",
        "attndsl train gpt_nano --data book.txt --out /proc/run",
        "attndsl train gpt_nano --data book.txt --out runs/book",
        "situation",
    ),
    Code(
        "E0706",
        "there is no such tokenizer",
        "`bytes`, `chars`, `bpe:1024` (trained on the data) or the path of a `tokenizer.json`.",
        "attndsl train gpt_nano --data book.txt --set tokenizer=byte",
        "attndsl train gpt_nano --data book.txt --set tokenizer=bytes",
        "situation",
    ),
    Code(
        "E0707",
        "a tokenizer cannot be read, or is not the run's",
        "A `tokenizer.json` is one that the `tokenizers` package wrote. A run keeps the tokenizer that it was "
        "trained with, and works with no other.",
        "attndsl train gpt_nano --data book.txt --set tokenizer=vocab.txt",
        "attndsl train gpt_nano --data book.txt --set tokenizer=tokenizer.json",
        "situation",
    ),
    Code(
        "E0708",
        "a package is not installed",
        "PyTorch and the `tokenizers` package are extras: the message says which to install, and how to do without it.",
        "attndsl train gpt_nano --data book.txt --backend torch",
        "attndsl train gpt_nano --data book.txt --backend numpy",
        "situation",
    ),
    Code(
        "E0709",
        "the model's vocabulary is not the tokenizer's",
        "The tokenizer decides how many tokens there are, and sets the hyperparameter that bounds them; a `--set` "
        "cannot say otherwise.",
        "attndsl train gpt_nano --data book.txt --set tokenizer=bytes --set vocab=100",
        "attndsl train gpt_nano --data book.txt --set tokenizer=bytes",
        "situation",
    ),
    Code(
        "E0720",
        "there is no such training setting",
        "A `train` section and `--set` know the keys of a recipe (`batch`, `steps`, `clip`, …), the optimizers "
        "and schedules with their options.",
        _with(_BATCHES, _LOSS, "optimiser = adamw(lr=6e-4)"),
        _with(_BATCHES, _LOSS, _ADAM),
    ),
    Code(
        "E0721",
        "a training setting has a value that does not fit",
        "A setting is a number, a word, or a call with options, as its meaning demands.",
        _with(_BATCHES, _LOSS, _ADAM, "batch     = many"),
        _with(_BATCHES, _LOSS, _ADAM, "batch     = 12"),
    ),
    Code(
        "E0722",
        "a recipe does not fit its model",
        "`next_token` fills two inputs of the type `int[B, T]`; what is minimised is a scalar output; every other "
        "input is optional.",
        _with("batches   = next_token(tokens, labels)", _LOSS, _ADAM),
        _with(_BATCHES, _LOSS, _ADAM),
    ),
    Code(
        "E0723",
        "there is no such backend",
        "There are `numpy` and `torch`.",
        'attndsl.training.train("gpt_nano", "book.txt", backend="jax")',
        'attndsl.training.train("gpt_nano", "book.txt", backend="torch")',
        "situation",
    ),
    Code(
        "E0730",
        "training diverged",
        "The loss or a gradient became NaN or infinite; the run stopped before the weights did. Go on from the "
        "last checkpoint with a lower learning rate, a stronger clip, or more exact numbers.",
        "attndsl train gpt_nano --data book.txt --set lr=100",
        "attndsl train gpt_nano --data book.txt --set lr=1e-3",
        "situation",
    ),
    Code(
        "E0731",
        "a run's folder is taken",
        "A new run needs a folder that is new or empty. A run that is there already goes on with `--resume`.",
        "attndsl train gpt_nano --data book.txt --out runs/book",
        "attndsl train --resume runs/book",
        "situation",
    ),
    Code(
        "E0732",
        "a folder is no training run",
        "A run's folder has a `run.json`, and weights once the first checkpoint is written.",
        "attndsl generate no/such/run",
        "attndsl generate runs/book",
        "situation",
    ),
    Code(
        "E0733",
        "a checkpoint is damaged or does not fit",
        "Checkpoints are written whole or not at all, so something else changed the file. Without it, the run "
        "goes on from the checkpoint before.",
        "attndsl generate runs/book",
        "attndsl train --resume runs/book",
        "situation",
    ),
    Code(
        "E0734",
        "a run that goes on cannot change this",
        "What decides the tokens, their order, or the model belongs to the run: changing it starts a new one.",
        "attndsl train --resume runs/book --set tokenizer=bytes",
        "attndsl train --resume runs/book --steps 2000",
        "situation",
    ),
    Code(
        "E0740",
        "a value for sampling means nothing",
        "The temperature is 0 or more, `--top-k` at least 1, `--top-p` more than 0 and at most 1.",
        "attndsl generate runs/book --temperature -1",
        "attndsl generate runs/book --temperature 0.8",
        "situation",
    ),
    Code(
        "E0741",
        "there is nothing to sample from",
        "The prompt is not text, or the model's logits are not numbers.",
        "printf '\\377' | attndsl generate runs/book --prompt -",
        "printf 'Once upon' | attndsl generate runs/book --prompt -",
        "situation",
    ),
    Code(
        "E0742",
        "a model does not say the next token",
        "Generating needs an output with the axes of the tokens and one of the vocabulary: `output logits = …`.",
        "attndsl generate runs/encoder",
        "attndsl generate runs/book",
        "situation",
    ),
)
