"""E06xx: weights."""

from __future__ import annotations

from attndsl.diagnostics.codes.entry import Code

_MODEL = """
model M(vocab=16, width=8, depth=2) {
  input tokens: int[B, T] where tokens < vocab
  layer wte = embedding(vocab, width)
  x = wte(tokens)
  repeat h in depth {
    x += layer_norm(x) as ln
  }
  output logits = dot(x, wte.table, over=width)
}
"""

_CONFIG = "  config { vocab = vocab_size, width = n_embd, depth = n_layer }\n"
_TABLE = '  "wte.weight": [vocab, width] <-> wte.table\n'
_NORMS = '  "h.{i}.ln.weight" <-> h[i].ln.scale\n  "h.{i}.ln.bias" <-> h[i].ln.shift\n'


def _with(*lines: str) -> str:
    return f"{_MODEL}\nweights M from huggingface {{\n{''.join(lines)}}}\n"


_RIGHT = _with(_CONFIG, _TABLE, _NORMS)


def _if(condition: str) -> str:
    return f'  if {condition} {{\n    ignore "h.{{i}}.mask"\n  }}\n'


def _pair(what: str) -> str:
    return _with(_CONFIG.replace("n_layer }", f"{what} }}"), _TABLE, _NORMS)


_RUN = "attndsl run gpt2 --weights"

ENTRIES = (
    Code(
        "E0601",
        "weights cannot be found or read",
        "`--weights` takes a safetensors file, a training run's folder, or a folder with `model.safetensors` and "
        "`config.json` as `save_pretrained` writes it.",
        f"{_RUN} no/such/folder",
        f"{_RUN} gpt2/",
        "situation",
    ),
    Code(
        "E0602",
        "a weights file is damaged",
        "The file does not hold what its header says. It is most likely a download or a copy that went wrong. "
        "Nothing of it has been loaded.",
        f"{_RUN} damaged.safetensors",
        f"{_RUN} model.safetensors",
        "situation",
    ),
    Code(
        "E0603",
        "a weights file is truncated",
        "The file ends before its last tensor does. Nothing of it has been loaded.",
        f"{_RUN} half-downloaded.safetensors",
        f"{_RUN} model.safetensors",
        "situation",
    ),
    Code(
        "E0604",
        "a weights file is a pickle",
        "A pickle (`pytorch_model.bin`, `.pt`, `.pth`) can run any code when it is read, so it is not. The "
        "message shows how to convert one that you trust.",
        f"{_RUN} pytorch_model.bin",
        f"{_RUN} model.safetensors",
        "situation",
    ),
    Code(
        "E0605",
        "a parameter is missing from the weights",
        "Every parameter of the model must come from the file. Is it the file of another size of the model, or of "
        "one without this part? A new head on top of weights that lack it is made by training: `attndsl train … "
        "--weights …`.",
        f"{_RUN} gpt2-without-ln_f.safetensors",
        f"{_RUN} gpt2.safetensors",
        "situation",
    ),
    Code(
        "E0606",
        "the weights hold a tensor that nothing uses",
        "Every tensor is used exactly once, or ignored by name in the weights section: what is silently dropped "
        "is how a model comes to give other numbers than the published one.",
        f"{_RUN} gpt2-with-a-classifier.safetensors",
        f"{_RUN} gpt2.safetensors",
        "situation",
    ),
    Code(
        "E0607",
        "a tensor has another shape than its parameter",
        "The sizes in the file and those of the model differ: is it another variant, or is a matrix transposed?",
        "attndsl run gpt2:medium --weights gpt2.safetensors",
        "attndsl run gpt2 --weights gpt2.safetensors",
        "situation",
    ),
    Code(
        "E0608",
        "a tensor has a dtype that cannot be a parameter's",
        "Parameters are float64, float32, float16 or bfloat16.",
        f"{_RUN} quantized.safetensors",
        f"{_RUN} gpt2.safetensors",
        "situation",
    ),
    Code(
        "E0609",
        "the weights are of another model",
        "None of the names in the file is one of this model's, neither by our addresses nor by the spec's weights "
        "sections; or a run is of a spec with other parameters than the one that is named beside it.",
        f"{_RUN} bert.safetensors",
        f"{_RUN} gpt2.safetensors",
        "situation",
    ),
    Code(
        "E0610",
        "a published tensor is not what the spec relies on",
        "A second copy of a parameter (`<-`) must equal the first, and a constant must be that constant: the spec "
        "has no place for anything else.",
        f"{_RUN} untied-head.safetensors",
        f"{_RUN} gpt2.safetensors",
        "situation",
    ),
    Code(
        "E0611",
        "a folder of weights in parts is not whole",
        "`model.safetensors.index.json` says which file has which tensor. A part is missing, or the parts and the "
        "index do not agree.",
        f"{_RUN} half-a-folder/",
        f"{_RUN} gpt2/",
        "situation",
    ),
    Code(
        "E0612",
        "weights cannot be written",
        "What stood there before is untouched. An export goes into a folder that is new, empty, or an earlier export, "
        "or into a file that is new or an earlier export.",
        "attndsl export runs/book --to huggingface ~/Documents",
        "attndsl export runs/book --to huggingface ~/Documents/book",
        "situation",
    ),
    Code(
        "E0613",
        "a folder of published weights has no configuration that can be read",
        "The sizes of the model are taken from `config.json` beside the weights.",
        f"{_RUN} folder-without-config/",
        f"{_RUN} gpt2/",
        "situation",
    ),
    Code(
        "E0614",
        "a published configuration asks for what the spec is not",
        "The weights section requires values of some published keys (`require activation_function == "
        '"gelu_new"`), because with others the model would be another one.',
        f"{_RUN} gpt2-with-relu/",
        f"{_RUN} gpt2/",
        "situation",
    ),
    Code(
        "E0615",
        "a published configuration lacks a key",
        "The weights section takes a hyperparameter from a key that `config.json` does not have.",
        f"{_RUN} gpt2-with-a-short-config/",
        f"{_RUN} gpt2/",
        "situation",
    ),
    Code(
        "E0616",
        "a published configuration holds a value that cannot be used",
        "A key has a value of a kind that its hyperparameter cannot take, or one that cannot be computed with.",
        f"{_RUN} gpt2-with-n_layer-twelve/",
        f"{_RUN} gpt2/",
        "situation",
    ),
    Code(
        "E0617",
        "a setting contradicts the weights",
        "Sizes are taken from what comes with the weights. A `--set` or a variant that says something else would give "
        "them another meaning. Rates of dropout and other real numbers may be set.",
        f"{_RUN} gpt2/ --set depth=6",
        f"{_RUN} gpt2/ --set p=0",
        "situation",
    ),
    Code(
        "E0620",
        "a weights section speaks of a parameter that the model does not have",
        "Parameters go by their addresses: `wte.table`, `h[i].ln.scale`. `attndsl inspect` shows the layers.",
        _with(_CONFIG, _TABLE, _NORMS.replace("ln.shift", "ln.bias")),
        _RIGHT,
    ),
    Code(
        "E0621",
        "a parameter is mapped twice",
        "One published tensor gives a parameter its values. A second copy takes `<-` (it must equal the first) or "
        "`->`.",
        _with(_CONFIG, _TABLE, '  "lm_head.weight": [vocab, width] <-> wte.table\n', _NORMS),
        _with(_CONFIG, _TABLE, '  "lm_head.weight": [vocab, width] <- wte.table\n', _NORMS),
    ),
    Code(
        "E0622",
        "a parameter is not mapped",
        "Every parameter of the model needs a line, both ways.",
        _with(_CONFIG, _TABLE, _NORMS.split("\n")[0] + "\n"),
        _RIGHT,
    ),
    Code(
        "E0623",
        "a parameter is mapped in some layers only",
        "The lines together must reach every layer: `h[i]` is all of them, `h[2*i]` every second.",
        _with(_CONFIG, _TABLE, _NORMS.replace('"h.{i}.ln.bias" <-> h[i]', '"h.0.ln.bias" <-> h[0]')),
        _RIGHT,
    ),
    Code(
        "E0624",
        "the axes of a mapped tensor do not fit, or their order is not stated",
        'A tensor with two axes or more states the order of the published one, `"…": [out, in] <-> …`: a square '
        "matrix would load just as well the wrong way round.",
        _with(_CONFIG, _TABLE.replace(": [vocab, width]", ""), _NORMS),
        _RIGHT,
    ),
    Code(
        "E0625",
        "a mapping has no inverse",
        "A mapping works both ways, so its right side is made of what can be undone: parameters, `concat`, "
        "`rearrange`, a factor, a sum with a constant.",
        _with(_CONFIG, _TABLE.replace("wte.table", "tanh(wte.table)"), _NORMS),
        _RIGHT,
    ),
    Code(
        "E0626",
        "a published name is not written as one",
        'A name is text with indices in braces: `"h.{i}.ln.weight"`. Each variable stands on both sides.',
        _with(_CONFIG, _TABLE, _NORMS.replace("h.{i}.ln.bias", "h.{i.ln.bias")),
        _RIGHT,
    ),
    Code(
        "E0627",
        "the hyperparameters of a configuration are not those of the model",
        "`config { vocab = vocab_size, … }` names each hyperparameter that decides what the weights mean, once.",
        _with(_CONFIG.replace("depth =", "layers ="), _TABLE, _NORMS),
        _RIGHT,
    ),
    Code(
        "E0628",
        "a configuration cannot be read or written as the section says",
        "A hyperparameter comes from a published key, or from an expression of keys that can be solved for one of "
        "them: an export writes the keys from the hyperparameters.",
        _with(_CONFIG.replace("n_embd", "n_embd * n_embd"), _TABLE, _NORMS),
        _RIGHT,
    ),
    Code(
        "E0629",
        "a published tensor is mapped twice",
        "Every published tensor has one line.",
        _with(_CONFIG, _TABLE, _NORMS.replace("ln.bias", "ln.weight")),
        _RIGHT,
    ),
    Code(
        "E0630",
        "a condition in a weights section speaks of something that is no hyperparameter",
        '`if tied { … }` chooses lines by the model\'s hyperparameters. A text stands in quotes: `head == "classify"`.',
        _with(_CONFIG, _TABLE, _NORMS, _if("layers > 1")),
        _with(_CONFIG, _TABLE, _NORMS, _if("depth > 1")),
    ),
    Code(
        "E0631",
        "a condition in a weights section is none",
        "It is made of hyperparameters, numbers, texts, comparisons, `and`, `or`, `not` and `kind(x)`, and comes out "
        "true or false. A hyperparameter that is a block or a mask counts as its text.",
        _with(_CONFIG, _TABLE, _NORMS, _if("depth")),
        _with(_CONFIG, _TABLE, _NORMS, _if("depth != 0")),
    ),
    Code(
        "E0632",
        "a table of published values is none, or cannot be read both ways",
        '`choose(key, "published" -> value, …)` has a row for each value of the key, and each once. Tables of one key '
        "have rows for the same values.",
        _pair('choose(size, "small" -> 2, "small" -> 24)'),
        _pair('choose(size, "small" -> 2, "large" -> 24)'),
    ),
    Code(
        "E0650",
        "a spec does not say what its weights are called elsewhere",
        "An export to `huggingface` needs a section `weights NAME from huggingface { … }` in the spec.",
        "attndsl export runs/mine --to huggingface mine-hf",
        "attndsl export runs/mine --to safetensors mine.safetensors",
        "situation",
    ),
)
