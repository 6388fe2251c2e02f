"""Write random programs and hold every way of running them against each other.

    python scripts/programs.py                       a thousand
    python scripts/programs.py --count 10000 --seed 1
    python scripts/programs.py --show 17             one program, and what is wrong with it

Each is checked, run by NumPy as it is and after the passes, and by PyTorch with and without them, gradients too, in
float64. Whatever differs, crashes or is refused is printed with the number that makes the same program again.

    python scripts/programs.py --causal --count 10000

writes programs whose texts can be read on, and reads them in random pieces: rows of different lengths, going back, all
that was read before in memories. Those that are not causal must be refused (E0761), or be right.

    python scripts/programs.py --files

writes each as a file, and runs its module at the program's sizes and at others that the constructor takes.

    python scripts/programs.py --onnx

runs them in ONNX Runtime instead, in float32.

    python scripts/programs.py --layouts --count 500

lays them out over up to eight simulated devices, at random: the same outputs and gradients, or a reason why not.

    python scripts/programs.py --processes --count 500

does so over up to four processes that meet over gloo, and trains them for some steps.
"""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.programs.holding import differences
from tests.programs.many import hold, options
from tests.programs.reading import REFUSED, reading_differences
from tests.programs.writer import Program


def main(arguments: list[str] | None = None) -> int:
    parser = options(__doc__)
    parser.add_argument("--no-torch", action="store_true", help="NumPy alone")
    parser.add_argument("--causal", action="store_true", help="read texts in pieces")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--onnx", action="store_true", help="in ONNX Runtime")
    where.add_argument("--files", action="store_true", help="as files of their own")
    where.add_argument("--layouts", action="store_true", help="on simulated devices")
    where.add_argument("--processes", action="store_true", help="in several processes")
    asked = parser.parse_args(arguments)
    make = Program.causal if asked.causal else Program.random
    look: Any = partial(reading_differences if asked.causal else differences, torch=not asked.no_torch)
    if asked.onnx:
        from tests.onnx_export.programs import onnx_differences as look
    if asked.files:
        from tests.programs.written import file_differences as look
    if asked.layouts:
        from tests.programs.laid_out import layout_differences as look

    def shown(number: int) -> str:
        program = make(number)
        return f"{program.text}\n{program.sizes}\npoison {program.poison}"

    with ExitStack() as held:
        if asked.processes:
            from tests.programs.together import together_differences
            from tests.training.crew import Crew

            look = partial(together_differences, crew=held.enter_context(Crew(4)))
        return hold(asked, lambda number: look(make(number))[:1], shown, REFUSED)


if __name__ == "__main__":
    sys.exit(main())
