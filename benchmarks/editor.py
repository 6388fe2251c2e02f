"""How long an editor waits, on a file of a thousand lines.

    python benchmarks/editor.py [ROUNDS]

The file is GPT-2 with blocks of the standard library as its own. `cold` is from the text to its diagnostics, in a
process that has read the standard library, as the server has before an editor opens a file. `warm` are questions about
a text that has been checked, at places all over it; a new name is checked where names alone do not tell that it is
right. `typed` is from a key to the list of completions; `checked` from an edit to the new diagnostics. Milliseconds of
the processor (other work on the machine does not count): the median, and what 95 of 100 stay below.
"""

from __future__ import annotations

import random
import re
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from attndsl.editing import (
    Analysis,
    Refused,
    Workspace,
    completions,
    definition,
    hover,
    inlays,
    rename,
    renamed_at,
    warm,
)
from attndsl.shipped import SHIPPED

LINES = 1000
PATH = Path("/nowhere/thousand.attn")


def text_of(lines: int) -> str:
    """GPT-2 and blocks of the library under names of their own, of which the model uses those that it needs."""
    specs = SHIPPED / "specs"
    text = specs.joinpath("gpt2.attn").read_text(encoding="utf-8")
    library = "\n".join(path.read_text(encoding="utf-8") for path in sorted((specs / "std").glob("*.attn")))
    declarations = re.split(r"\n\n(?=///|block |mask |bias )", library)
    declarations = [part for part in declarations if re.search(r"^(?:block|mask|bias) ", part, re.MULTILINE)]
    declarations = [part for part in declarations if "_joined(" not in part]
    random.Random(1).shuffle(declarations)
    declarations.sort(
        key=lambda part: not re.search(r"^block (?:attention|attend|layer_norm|mlp|linear)\(", part, re.M)
    )
    for part in declarations:
        if text.count("\n") > lines - 5:
            break
        text += "\n" + part.strip("\n") + "\n"
    return text


def taken(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return 1000 * (time.process_time() - begun)


def told(what: str, times: list[float]) -> None:
    ordered = sorted(times)
    high = ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))]
    print(f"{what:<34} median {statistics.median(times):6.1f}   95 % {high:6.1f}   ({len(times)})", flush=True)


def _is_own(analysis: Analysis, at: int) -> bool:
    """Whether a name can be renamed."""
    try:
        renamed_at(analysis, at)
    except Refused:
        return False
    return True


def _renamed(texts: Workspace, at: int) -> None:
    """The edits, or the reason why there are none."""
    with suppress(Refused):
        rename(texts, PATH, at, "quite_another")


def main(rounds: int) -> int:
    text = text_of(LINES)
    print(f"{text.count(chr(10))} lines, {len(text):,} characters")
    warm()
    texts = Workspace()
    texts.write(PATH, text)

    def opened() -> None:
        workspace = Workspace()
        workspace.write(PATH, text)
        workspace.analysis(PATH)

    told("cold: opened and checked", [taken(opened) for _ in range(rounds)])
    analysis = texts.analysis(PATH)
    assert analysis.models[0].graph is not None
    places = [found.start() for found in re.finditer(r"\b[A-Za-z_]\w+", text)]
    known = [at for at in places if texts.analysis(PATH).frame_at(at) is not None]  # where types are known
    chosen = random.Random(2).sample(known, 20 * rounds)
    hover(analysis, text.index("layer_norm(eps) as ln_1"))  # the layers are counted once
    told("warm: hover", [taken(lambda at=at: hover(analysis, at)) for at in chosen])
    told("warm: definition", [taken(lambda at=at: definition(analysis, at)) for at in chosen])
    told("warm: completion", [taken(lambda at=at: completions(analysis, text, at)) for at in chosen])
    told("warm: types of all lines", [taken(lambda: inlays.__wrapped__(analysis)) for _ in range(rounds)])

    own = [at for at in chosen if _is_own(analysis, at)][: 5 * rounds]
    times = [taken(lambda at=at: _renamed(texts, at)) for at in own]
    told("warm: rename", times)
    where = text.index(" as ln_1\n") + len(" as ln_1")
    typing = [text[:where] + " |> layer_norm"[:n] + text[where:] for n in range(1, 15)]
    told(
        "typed: completion",
        [taken(lambda t=t, n=n: completions(analysis, t, where + n)) for n, t in enumerate(typing, 1)],
    )
    edits = {
        "in a comment": lambda n: text.replace("# what adds to", f"# {n} what adds to", 1),
        "in a variant": lambda n: text.replace("depth=36", f"depth={n + 1}", 1),
        "in the weights section": lambda n: text.replace("# of heads that", f"# {n} of heads that", 1),
        "in a block that is not used": lambda n: text.replace("block alibi(", f"block alibi_{n}(", 1) + f"# {n}\n",
        "in the model": lambda n: text.replace("vocab=50257", f"vocab={n + 50257}", 1),
        "in a block that is used": lambda n: text.replace("/// Attention with", f"/// {n} Attention with", 1),
        "a syntax error in the model": lambda n: text.replace("x = dropout(x, p)", f"x{n} = dropout(x, ", 1),
    }
    for what, edit in edits.items():
        times = []
        for n in range(1, rounds + 1):
            changed = edit(n)
            assert changed != text, what
            texts.write(PATH, changed)
            times.append(taken(lambda: texts.analysis(PATH)))
        told(f"checked: an edit {what}", times)
        texts.write(PATH, text)
        texts.analysis(PATH)
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 15))
