"""Train every family from its own recipe on data that this machine has, and write down how good it gets.

    python scripts/families.py                 all of them, one after the other: about half an hour on two cores
    python scripts/families.py vit:nano        some of them
    python scripts/families.py --table         only put the table of docs/training.json into the README

The figures go into docs/training.json, and from there into the table of README.md. Runs are kept in `runs/families`.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
FIGURES = ROOT / "docs" / "training.json"
README = ROOT / "README.md"
TABLE = re.compile(r"(<!-- training -->\n).*?(<!-- /training -->)", re.DOTALL)

# The command that trains each, the metric that is shown, and the data in words. A run may start from one above it.
RUNS: dict[str, tuple[str, str, str]] = {
    "rnn_lm:nano": ("--data example:stdlib", "loss per byte", "sources of Python's standard library"),
    "rnn_tagger:nano": ("--data example:names", "token accuracy", "what each word of a Python statement is"),
    "seq2seq:nano": ("--data example:dates", "exact match", "dates in 20 ways of writing → ISO 8601"),
    "seq2seq:nano-additive": ("--data example:dates", "exact match", "the same"),
    "transformer:nano": ("--data example:dates", "exact match", "the same"),
    "bart:nano": ("--data example:dates", "exact match", "the same"),
    "t5:nano": ("--data example:dates", "exact match", "the same"),
    "elmo:nano": ("--data example:stdlib", "loss per word", "sources of Python's standard library, word by word"),
    "elmo:nano-classifier": (
        "--data example:docstrings --weights runs/elmo-nano",
        "accuracy",
        "docstrings by group of modules",
    ),
    "gpt1:nano": ("--data example:stdlib", "loss per byte", "sources of Python's standard library"),
    "mixtral:nano": ("--data example:stdlib", "loss per byte", "the same"),
    "deepseek_v3:nano": ("--data example:stdlib", "loss per byte", "the same"),
    "transformer_xl:nano": ("--data example:stdlib", "loss per byte", "the same, segment by segment"),
    "gpt1:nano-classifier": (
        "--data example:docstrings --weights runs/gpt1-nano",
        "accuracy",
        "docstrings by group of modules",
    ),
    "bert:nano": ("--data example:stdlib", "masked tokens", "sources of Python's standard library"),
    "bert:nano-classifier": (
        "--data example:docstrings --weights runs/bert-nano",
        "accuracy",
        "docstrings by group of modules",
    ),
    "bert:nano-answer": (
        "--data example:questions --weights runs/bert-nano",
        "exact match",
        "which sentence of a docstring describes an argument",
    ),
    "vit:nano": ("--data example:digits", "accuracy", "scikit-learn's digits"),
    "clip:nano": (
        "--data example:captions",
        "zero-shot accuracy",
        "these digits with captions, thick, thin and shifted",
    ),
    "dvae:nano": ("--data example:captions", "squared error", "the same pictures, through 16 codes each"),
    "dalle:nano": (
        "--data example:captions --set batches.codebook=runs/dvae-nano",
        "loss per code",
        "captions and the codes of their pictures",
    ),
    "roberta:nano": ("--data example:stdlib", "masked tokens", "sources of Python's standard library"),
    "roberta:nano-classifier": (
        "--data example:docstrings --weights runs/roberta-nano",
        "accuracy",
        "docstrings by group of modules",
    ),
    "gpt_neox:nano": ("--data example:stdlib", "loss per byte", "sources of Python's standard library"),
    "llama:nano": ("--data example:stdlib", "loss per byte", "the same"),
    "mistral:nano": ("--data example:stdlib", "loss per byte", "the same"),
    "phi3:nano": ("--data example:stdlib", "loss per byte", "the same"),
    "gemma3:nano": ("--data example:stdlib", "loss per byte", "the same"),
}


def command(name: str) -> str:
    """As the README shows it."""
    return f"attndsl train {name} {RUNS[name][0]}"


def train(name: str, folder: Path) -> dict[str, Any]:
    """Run the command in `folder`, and read what the run says of itself."""
    print(f"$ {command(name)}", flush=True)
    out = folder / "runs" / name.replace(":", "-")
    if out.exists():
        import shutil

        shutil.rmtree(out)
    program = Path(sys.prefix) / "bin"
    begun = time.monotonic()
    environment = {**os.environ, "PATH": f"{program}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(shlex.split(command(name)), cwd=folder, check=True, env=environment)
    seconds = time.monotonic() - begun
    facts = json.loads((out / "run.json").read_text(encoding="utf-8"))
    return {
        "parameters": facts["parameters"],
        "steps": facts["recipe"]["steps"],
        "seconds": round(seconds),
        "metrics": facts["metrics"],
    }


def shown(name: str, figures: dict[str, Any]) -> str:
    """A row of the table."""
    metric = next(m for m in figures["metrics"] if m["name"] == RUNS[name][1])

    def number(value: float) -> str:
        return f"{value:.1%}" if metric["kind"] == "share" else f"{value:.3f} {metric['kind']}"

    against = f"{number(metric['baseline'])} ({metric['against']})" if "baseline" in metric else ""
    minutes, seconds = divmod(figures["seconds"], 60)
    cells = (
        f"`{command(name)}`",
        RUNS[name][2],
        f"{figures['parameters']:,}",
        metric["name"],
        number(metric["value"]),
        against,
        f"{minutes}:{seconds:02}",
    )
    return f"| {' | '.join(cells)} |"


def table(figures: dict[str, Any]) -> str:
    lines = [
        "| command | data | parameters | on held-out data | reached | without a model | time |",
        "|---|---|---|---|---|---|---|",
        *(shown(name, figures["runs"][name]) for name in RUNS),
        "",
        f"Times are minutes on {figures['machine']}. The standard library is that of Python {figures['python']}.",
    ]
    return "\n".join(lines) + "\n"


def processor() -> str:
    found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.processor()


def main(arguments: list[str]) -> int:
    figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {"runs": {}}
    folder = ROOT / "runs" / "families"
    folder.mkdir(parents=True, exist_ok=True)
    names = [] if arguments == ["--table"] else arguments or list(RUNS)
    for name in names:
        figures["python"] = platform.python_version()
        figures["machine"] = f"{len(os.sched_getaffinity(0))} cores of {processor()}"
        figures["runs"][name] = train(name, folder)
        FIGURES.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    new = TABLE.sub(lambda match: match[1] + table(figures) + match[2], text)
    README.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
