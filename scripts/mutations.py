"""Break the compiler on purpose, one small fault at a time, and see whether the tests next to it notice.

    python scripts/mutations.py                    every fault
    python scripts/mutations.py --only tied-max    some, by name

The tracked files are copied to a temporary folder, so that nothing here is touched. There the tests pass first as they
are; then each fault is put in, its tests are run (without the slow ones, until one fails), and the fault is taken out
again. Exit 1 if a fault survives.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LONGEST = 900
"""The seconds after which tests that do not end are ended; a fault that makes them run on is noticed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is `broken` when `new` stands in `file` where the text `old` stands, once; `tests` must notice."""

    name: str
    file: str
    old: str
    new: str
    tests: str
    broken: str


FAULTS = (
    Fault(
        "positional-kernel",
        "attndsl/passes/fuse_convolution.py",
        "        if axis in pushed.places:\n            return",
        "        if False:\n            return",
        "tests/passes/test_convolution.py",
        "a product whose weights differ from place to place becomes a convolution",
    ),
    Fault(
        "uncut-transpose",
        "attndsl/passes/fuse_convolution.py",
        "before=old.before + start",
        "before=old.before",
        "tests/passes/test_convolution.py",
        "the beginning of a transposed convolution's result is not cut off",
    ),
    Fault(
        "quadratic-size",
        "attndsl/sizes/size.py",
        "elif exponents.pop(unknown, 0) == 1:",
        "elif exponents.pop(unknown, 0) >= 1:",
        "tests/sizes",
        "a size with n^2 in it is solved for n as if it were linear",
    ),
    Fault(
        "printed-parentheses",
        "attndsl/syntax/printer.py",
        "(OPERAND, NEGATIVE) if level == POWER else (level + 1, level + 1)",
        "(OPERAND, NEGATIVE) if level == POWER else (level + 1, level)",
        "tests/syntax/test_printing.py",
        "`a - (b - c)` is printed as `a - b - c`",
    ),
    Fault(
        "joined-origin",
        "attndsl/elaborate/joining.py",
        "made_axis(term, g.frame, total, -earlier)",
        "made_axis(term, g.frame, total, -total)",
        "tests/elaborate/test_meaning.py",
        "the positions of a concatenation count from the wrong place",
    ),
    Fault(
        "decided-in-one-round",
        "attndsl/elaborate/cases.py",
        "if n.formula is not None and n.value is not None:",
        "if n.formula is not None and n.is_bool:",
        "tests/elaborate",
        "a dropout rate that follows from the layer's index is the first layer's in all",
    ),
    Fault(
        "either-decides",
        "attndsl/values/evaluator.py",
        "if value.value:\n                return value",
        "if value.value or missing is not None:\n                return value",
        "tests/values",
        "`a or b or c` ends at the first part behind one that has no value",
    ),
    Fault(
        "left-over-in-sight",
        "attndsl/graph/verify.py",
        "for values in (region.parameters, *(node.outputs for node in region.nodes)):",
        "for values in (region.parameters, *(node.outputs for node in region.nodes[1:])):",
        "tests/graph/test_verify.py",
        "what the first node of a body makes may be read outside of the body",
    ),
    Fault(
        "prefix-length",
        "attndsl/masks/facts.py",
        "return None if rest.terms else -rest.constant + 1",
        "return None if rest.terms else -rest.constant",
        "tests/masks",
        "the prefix of a prefix mask is one too short",
    ),
    Fault(
        "query-among-keys",
        "attndsl/masks/facts.py",
        "not_negative(query.low - key.low, sizes) and not_negative(key.high - query.high, sizes)",
        "not_negative(query.low - key.low, sizes)",
        "tests/masks",
        "a causal row counts as never empty though its query may stand behind the last key",
    ),
    Fault(
        "hoisted-layer",
        "attndsl/passes/hoist.py",
        "if not movable or any(value in inside for value in node.inputs):",
        "if not movable or all(value in inside for value in node.inputs):",
        "tests/passes/test_small_passes.py",
        "a node of which one operand is made in the loop is moved out of it",
    ),
    Fault(
        "mirrored-comparison",
        "attndsl/passes/fold.py",
        "return Put(mirrored, (right, left))",
        "return Put(mirrored, (left, right))",
        "tests/passes/test_small_passes.py",
        "a transposed `a < b` becomes `a > b`",
    ),
    Fault(
        "variance-of-two-means",
        "attndsl/passes/fuse_norm.py",
        "if found is None or b != -1.0 or len(second) != 1 or second[0][1] != 2:",
        "if found is None or len(second) != 1 or second[0][1] != 2:",
        "tests/passes/test_norm.py",
        "mean(x^2) minus any multiple of mean(x)^2 is taken for a variance",
    ),
    Fault(
        "bias-slope",
        "attndsl/passes/fuse_attention.py",
        "if term.coefficient != 1.0:",
        "if term.coefficient > 1.0:",
        "tests/passes/test_attention.py",
        "a bias loses a factor below one when its attention is fused",
    ),
    Fault(
        "scaled-gelu",
        "attndsl/passes/fuse_activation.py",
        "((argument := found.argument, found.powers, curve), (whole, wanted, root))",
        "((argument := found.argument, found.powers, curve),)",
        "tests/passes/test_norm.py",
        "any multiple of a GELU is fused as the GELU",
    ),
    Fault(
        "tied-max",
        "attndsl/ops/reductions.py",
        "found: Array = extreme * np.expand_dims(upstream, places) / count",
        "found: Array = extreme * np.expand_dims(upstream, places)",
        "tests/ops",
        "each of several equal largest elements gets the whole gradient",
    ),
    Fault(
        "fused-gradient",
        "attndsl/ops/fused.py",
        "gradients[i] = gradients[i] + share if i in gradients else share",
        "gradients[i] = share",
        "tests/ops",
        "of a value that a fused operator reads twice, one gradient is lost",
    ),
    Fault(
        "shared-gradient",
        "backends/numpy_reference/tape.py",
        "gradients[slot] = np.array(found)",
        "gradients[slot] = found",
        "tests/numpy_reference",
        "a gradient is added to in place though another value has the same array",
    ),
    Fault(
        "comparison-on-the-left",
        "backends/pytorch/lowerings.py",
        "return binary(right, site.op.mirrored().symbol, left, COMPARE)",
        "return binary(right, site.op.symbol, left, COMPARE)",
        "tests/pytorch/test_lowerings.py",
        "`2 < x` is written as `x < 2` in PyTorch",
    ),
    Fault(
        "carried-in-turn",
        "backends/pytorch/loops.py",
        "writer.add(f\"{', '.join(name for name, _ in moved)} = {', '.join(text for _, text in moved)}\", node)",
        'for name, text in moved:\n            writer.add(f"{name} = {text}", node)',
        "tests/pytorch/test_loops.py",
        "what a loop carries is assigned one after the other, so that two cannot change places",
    ),
    Fault(
        "biased-causal",
        "backends/pytorch/attention.py",
        "causal = op.mask.causal and op.mask.queries == queries and bare",
        "causal = op.mask.causal and op.mask.queries == queries",
        "tests/pytorch/test_attention.py",
        "a causal mask with a bias is given to PyTorch as `is_causal` alone",
    ),
    Fault(
        "subtracted-key",
        "attndsl/weights/solving.py",
        "                if at > 1:\n",
        "                if at > 2:\n",
        "tests/weights/test_config.py",
        "`a - b - key` is solved for the key without b",
    ),
    Fault(
        "adam-eps",
        "attndsl/optimizers/adam.py",
        'root = xp.sqrt(second) * (1.0 / math.sqrt(1.0 - beta_2**step.number)) + self.number("eps")',
        'root = (xp.sqrt(second) + self.number("eps")) * (1.0 / math.sqrt(1.0 - beta_2**step.number))',
        "tests/training/test_optimizers.py",
        "Adam's eps is added before the bias is taken out",
    ),
    Fault(
        "random-tokens",
        "attndsl/objectives/masked_tokens.py",
        "(kinds < masked + random)",
        "(kinds < random)",
        "tests/objectives/test_masked_tokens.py",
        "no hidden token is replaced by a random one",
    ),
    Fault(
        "beam-of-ends",
        "attndsl/decoding/sequences.py",
        "count = width + len(self.alive)",
        "count = width",
        "tests/generation/test_sequences.py",
        "an extension that ends takes the place of one that would live on",
    ),
    Fault(
        "loops-in-an-address",
        "attndsl/addresses.py",
        "zip(loops_of(address), pieces[1:], strict=True)",
        "zip(reversed(loops_of(address)), pieces[1:], strict=True)",
        "tests/numpy_reference",
        "a parameter inside two repeats is read in the round of the wrong one",
    ),
    Fault(
        "block-of-keys",
        "backends/pytorch/block_helpers.py",
        "span[-1] // step + 1)",
        "span[-1] // step)",
        "tests/pytorch/test_blocks.py",
        "the last block of keys that queries see is left out",
    ),
    Fault(
        "seen-columns",
        "attndsl/ops/query_blocks.py",
        "slice(int(seen[0]), int(seen[-1]) + 1)",
        "slice(int(seen[0]), int(seen[-1]) + (seen[-1] == 0))",
        "tests/ops/test_query_blocks.py",
        "the last key that a block of queries sees is left out",
    ),
    Fault(
        "block-of-a-window",
        "attndsl/masks/ranges.py",
        "return KeyRange(high=(least.times(Size.of(-1)),))",
        "return KeyRange(high=(least.times(Size.of(-1)) - LinearSum.of(1),))",
        "tests/verification/test_verify.py",
        "a block of queries may see a key less than its last query does",
    ),
    Fault(
        "documents-or",
        "attndsl/masks/ranges.py",
        "if all(found) else ()",
        "if any(found) else ()",
        "tests/verification/test_verify.py",
        "a mask of which one alternative keeps to a document counts as one that does",
    ),
    Fault(
        "ring-of-a-window",
        "attndsl/passes/incremental/memories.py",
        "self.positions.clock.time.size + window - 1",
        "self.positions.clock.time.size + window - 2",
        "tests/verification/test_verify.py",
        "the memory for a window is a slot too short for a call of several tokens",
    ),
    Fault(
        "least-of-a-size",
        "attndsl/running/slots.py",
        "and name is not None and name not in others:",
        "and name is not None:",
        "tests/passes/test_incremental.py",
        "a size of which a model asks for a least is taken for the length of a memory",
    ),
    Fault(
        "half-a-context",
        "attndsl/generation/continuing.py",
        "return -(-(length - context) // step) * step",
        "return (length - context) // step * step",
        "tests/generation/test_continuing.py",
        "a text is longer than the context before its older half is dropped",
    ),
    Fault(
        "a-draft-that-stays",
        "attndsl/running/reader.py",
        "PAST: self.program.native(np.array(lengths, np.int64))",
        "PAST: self.program.native(np.array(lengths, np.int64) - 1)",
        "tests/verification/test_verify.py",
        "a draft that is rejected takes a token before it with it",
    ),
    Fault(
        "guarded-scan",
        "attndsl/verification/order.py",
        "and state in node.inputs and self._told(node.inputs[0])",
        "and state in node.inputs",
        "tests/verification/test_verify.py",
        "a scan that keeps its states by anything counts as one that leaves out padding",
    ),
    Fault(
        "rows-of-a-chunk",
        "attndsl/ops/chunks.py",
        "some = slice(start, min(start + step, number))",
        "some = slice(start, min(start + step, number) - (start > 0))",
        "tests/passes/test_cross_entropy.py",
        "the last row of every chunk of a loss but the first is left out",
    ),
)


# ---------------------------------------------------------------- a copy to break


def copied(folder: Path) -> None:
    """The tracked files as they are now, links as links."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_symlink() or source.exists():
            shutil.copy2(source, target, follow_symlinks=False)


@contextmanager
def broken(fault: Fault, folder: Path) -> Iterator[None]:
    """While the fault is in the copy."""
    file = folder / fault.file
    text = file.read_text(encoding="utf-8")
    if text.count(fault.old) != 1:
        raise SystemExit(f"{fault.name}: the text occurs {text.count(fault.old)} times in {fault.file}")
    try:
        _write(file, text.replace(fault.old, fault.new))
        yield
    finally:
        _write(file, text)


def _write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    # What was compiled is told from a text of the same length and second by nothing else.
    Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)


# ---------------------------------------------------------------- the tests


def outcome(folder: Path, tests: Sequence[str]) -> str:
    """`passed` or `failed`, or why there is no telling."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=LONGEST
        )
    except subprocess.TimeoutExpired:
        return "failed"
    if done.returncode not in (0, 1):
        print(done.stdout[-2000:], done.stderr[-2000:], sep="\n")
    return {0: "passed", 1: "failed"}.get(done.returncode, "did not run")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [fault.name for fault in FAULTS]
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help="these faults alone")
    asked = parser.parse_args(arguments)
    chosen = [fault for fault in FAULTS if asked.only is None or fault.name in asked.only]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copied(folder)
        tests = sorted({fault.tests for fault in chosen})
        if (before := outcome(folder, tests)) != "passed":
            print(f"without any fault, the tests {before}: {' '.join(tests)}")
            return 1
        survived = 0
        for fault in chosen:
            begun = time.monotonic()
            with broken(fault, folder):
                found = {"failed": "noticed", "passed": "SURVIVED"}.get(outcome(folder, [fault.tests]), "DID NOT RUN")
            survived += found != "noticed"
            print(f"{found:<9} {fault.name:<24} {time.monotonic() - begun:5.0f} s  {fault.broken}", flush=True)
    print(f"{len(chosen) - survived} of {len(chosen)} faults noticed")
    return 1 if survived else 0


if __name__ == "__main__":
    raise SystemExit(main())
