"""E07xx: data, training, generation."""

from __future__ import annotations

from attndsl.diagnostics.codes.entry import Code

_MODEL = """
model M(vocab=256, context=32, width=8) {
  input tokens: int[B, T] where T <= context, tokens < vocab
  layer wte = embedding(vocab, width)
  output logits = dot(mlp(wte(tokens), 2 * width) as mix, wte.table, over=width)
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
        "`bytes`, `chars`, `bpe:1024`, `wordpiece:2000`, `unigram:2000` (trained on the data, with so many tokens) or "
        "the path of a `tokenizer.json`.",
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
        "E0711",
        "there is no such column",
        "A recipe names the columns that it learns from: `classify(tokens, label, text=…, label=…)`. Every row must "
        "have them; further columns do no harm.",
        "attndsl train bert:nano --data reviews.csv --set batches.text=reviw",
        "attndsl train bert:nano --data reviews.csv --set batches.text=review",
        "situation",
    ),
    Code(
        "E0712",
        "a line is no record",
        "A line of a `.jsonl` file is one JSON object; a line of a `.csv` or `.tsv` file has a value for each column "
        "that the header names. From Python, a row is a mapping or a tuple.",
        "attndsl train bert:nano --data reviews.txt.jsonl",
        "attndsl train bert:nano --data reviews.jsonl",
        "situation",
    ),
    Code(
        "E0713",
        "there are no rows",
        "A table needs rows to train on and rows to hold out. An iterator that was used up has none left.",
        "attndsl train bert:nano --data empty.jsonl",
        "attndsl train bert:nano --data reviews.jsonl",
        "situation",
    ),
    Code(
        "E0714",
        "a label is none of the known ones",
        "Labels become numbers by a list of them, which is that of the data that a run was trained on; there are no "
        "others.",
        'read_table("other.jsonl").encode_labels("label", run.facts["labels"])',
        'read_table("reviews.jsonl").encode_labels("label", run.facts["labels"])',
        "situation",
    ),
    Code(
        "E0715",
        "a picture is of another size or mode",
        "All pictures must have one size and one mode (grey, colour, colour with opacity), with 8 bits a channel.",
        "attndsl train vit:nano --data photos",
        "attndsl train vit:nano --data photos-224x224",
        "situation",
    ),
    Code(
        "E0716",
        "a value is not of its column's kind",
        "Texts are texts, labels are texts or whole numbers, tags are lists of words, pictures are arrays "
        "`[channels, height, width]` of bytes (0 to 255) or of float (0 to 1).",
        "attndsl train bert:nano --data reviews.jsonl --set batches.text=stars",
        "attndsl train bert:nano --data reviews.jsonl --set batches.text=review",
        "situation",
    ),
    Code(
        "E0717",
        "a tokenizer has no such special token",
        "A spec names the special tokens that its recipe needs. A tokenizer that is trained gets them; one from a file "
        "must have them, under the names that the spec gives or that a `--set` does.",
        "attndsl train bert:nano --data book.txt --set tokenizer=roberta/tokenizer.json",
        "attndsl train bert:nano --data book.txt --set tokenizer=roberta/tokenizer.json --set special.mask='<mask>'",
        "situation",
    ),
    Code(
        "E0718",
        "records cannot be read",
        "Records come as `.jsonl`, `.csv`, `.tsv`, `.npz` (arrays of one length, by name) or as a folder with a folder "
        "of pictures for each class.",
        "attndsl train vit:nano --data cat.png",
        "attndsl train vit:nano --data photos",
        "situation",
    ),
    Code(
        "E0719",
        "there is no such example",
        "`example:stdlib`, `example:docstrings`, `example:dates` and `example:digits` are data that a machine has "
        "anyway: running text, records or pictures.",
        "attndsl train transformer:nano --data example:date",
        "attndsl train transformer:nano --data example:dates",
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
        "An objective fills inputs of certain types, `next_token` two of the type `int[B, T]`; what is minimised is a "
        "scalar output; every other input is optional.",
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
        "E0724",
        "the name of a special token is a word",
        "A special token stands for no text, so its name must be nothing that a tokenizer takes for one piece of text.",
        "attndsl train bert:nano --data book.txt --set special.mask=mask",
        "attndsl train bert:nano --data book.txt --set 'special.mask=[MASK]'",
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
        "E0735",
        "an objective lacks a special token",
        "Hiding tokens takes a mask token, rows of different lengths a padding token, a decoder one to start from and "
        "one to end with. `special` names them, by what they are for.",
        _with("batches   = masked_tokens(tokens, targets)", _LOSS, _ADAM),
        _with(
            "batches   = masked_tokens(tokens, targets)", 'special   = tokens(pad="[PAD]", mask="[MASK]")', _LOSS, _ADAM
        ),
    ),
    Code(
        "E0736",
        "`freeze` matches nothing",
        "`freeze` has patterns over the addresses of parameters: `*` stands for anything, `h.0.*` for all of the first "
        "layer. Something must be left to train.",
        _with(_BATCHES, _LOSS, _ADAM, 'freeze    = "wpe.*"'),
        _with(_BATCHES, _LOSS, _ADAM, 'freeze    = "wte.*"'),
    ),
    Code(
        "E0737",
        "there are too few sentinels",
        "Span corruption takes one sentinel for each span of a window, and one more for its end.",
        "attndsl train t5:nano --data book.txt --set special.sentinels=2",
        "attndsl train t5:nano --data book.txt --set special.sentinels=100",
        "situation",
    ),
    Code(
        "E0738",
        "a body's tokenizer lacks a special token",
        "A body that was trained before keeps its tokenizer, and so its special tokens. The recipe of the new head "
        "can name no others.",
        "attndsl train bert:classifier --weights runs/bytes --data reviews.csv --set 'special.mask=<mask>'",
        "attndsl train bert:classifier --weights runs/bytes --data reviews.csv",
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
    Code(
        "E0752",
        "a text is longer than the model takes",
        "A model's positions are limited (`T <= context`). In training, longer texts are cut off and counted; what a "
        "trained model is asked about is not.",
        "attndsl predict runs/reviews --data novel.txt",
        "attndsl predict runs/reviews --data paragraphs.txt",
        "situation",
    ),
    Code(
        "E0753",
        "a model has no output that says the answer",
        "The answer is read off a float output with the axes of what is asked for and one more, with a number for each "
        "class: `logits`.",
        "attndsl predict runs/body --text 'a text'",
        "attndsl predict runs/classifier --text 'a text'",
        "situation",
    ),
    Code(
        "E0755",
        "a row has more words than tags, or fewer",
        "A tagger learns one tag for each word: both columns hold lists, or texts with spaces between.",
        "attndsl train bert:tagger --data tags-missing.jsonl",
        "attndsl train bert:tagger --data tags.jsonl",
        "situation",
    ),
    Code(
        "E0756",
        "a picture does not fit the model",
        "A model takes pictures of one size, with one number of channels: that of its hyperparameters.",
        "attndsl train vit:nano --data photos",
        "attndsl train vit:nano --data photos --set height=32 --set breadth=32 --set channels=3",
        "situation",
    ),
    Code(
        "E0757",
        "the data have more classes than the model",
        "The data decide how many classes there are, and set the hyperparameter that bounds them (`label < labels`). "
        "One that is set by hand must be large enough.",
        "attndsl train bert:classifier --data reviews.csv --set labels=2",
        "attndsl train bert:classifier --data reviews.csv",
        "situation",
    ),
    Code(
        "E0758",
        "an objective learns from another kind of data",
        "Language models learn from running text; classifiers, taggers and translators from tables with named columns.",
        'attndsl.training.train("gpt_nano", [{"text": "one"}, {"text": "two"}])',
        "attndsl train gpt_nano --data book.txt",
        "situation",
    ),
    Code(
        "E0795",
        "a setting is given twice",
        "In Python, hyperparameters and keys of the recipe come as a mapping or by name. One that comes both ways with "
        "different values leaves open which is meant.",
        'attndsl.load("gpt2", {"depth": 2}, depth=4)',
        'attndsl.load("gpt2", {"depth": 2})',
        "situation",
    ),
    Code(
        "E0796",
        "a setting is no value of the language",
        "In Python, a hyperparameter is given as a number, a truth value, None (which is `none`), or text that is read "
        "as `--set` reads it: a word, a mask, a block.",
        'attndsl.load("gpt2", depth=[2, 4])',
        'attndsl.load("gpt2", depth=2)',
        "situation",
    ),
    Code(
        "E0797",
        "a trained model takes no such option",
        "In Python, what a method takes depends on what the model was trained for: `beams` is for models that make one "
        "text of another, and it searches where `temperature` draws.",
        'run.generate("def ", beams=4)',
        'run.generate("def ", temperature=0.8)',
        "situation",
    ),
)
