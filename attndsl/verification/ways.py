"""Claims about ways of running a model: whichever is taken, it gives what the reference gives on the plain graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from attndsl.comparison import tolerance
from attndsl.comparison.measure import Trial
from attndsl.comparison.report import Comparison
from attndsl.comparison.sides import after_passes
from attndsl.ops import LinearCrossEntropy
from attndsl.passes import optimize
from attndsl.passes.dce import DeadCode
from attndsl.passes.expand import Expand
from attndsl.passes.pipeline import PIPELINE
from attndsl.records import replace
from attndsl.running.ways import BACKENDS, LOSS, WEIGHTS, Way
from attndsl.running.weights_as import matrices, rounded
from attndsl.verification.case import Case
from attndsl.verification.findings import OK, Finding, claimed, crashed, worst

FUSED = "fused = expanded"
EACH_PASS = "each pass on and off"
EVERY_BACKEND = "NumPy = PyTorch"
EVERY_LOSS = "chunked loss = plain"
FEWER_BITS = "weights in fewer bits"


@claimed(FUSED)
def fused(case: Case) -> Iterator[Finding]:
    """What passes put together is what its parts give."""
    parts = (*PIPELINE, Expand())
    for way in (after_passes(case.right), after_passes(case.right, "fused and taken apart again", passes=parts)):
        yield held(FUSED, case.double, way)


@claimed(EACH_PASS)
def each_pass(case: Case) -> Iterator[Finding]:
    """Each pass with no other than those that it needs, and all but each pass and those that need it."""
    names = dict.fromkeys(step.name for step in PIPELINE)
    needed = {name: _closure(name, {step.name: step.after for step in PIPELINE}) for name in names}
    chosen = {"alone": needed, "left out": {name: {n for n in names if name not in needed[n]} for name in names}}
    for what, kept in chosen.items():
        ways = [
            after_passes(case.right, f"{name} {what}", passes=tuple(p for p in PIPELINE if p.name in kept[name]))
            for name in names
        ]
        found = worst(held(EACH_PASS, case.double, way, at_once=True) for way in ways)
        how = f"{case.right.title} float64, {len(names)} passes, each {what}" if found.status == OK else found.how
        yield replace(found, how=how)


def _closure(name: str, after: Mapping[str, Sequence[str]]) -> set[str]:
    """A pass, and all that must come before it."""
    return {name}.union(*(_closure(other, after) for other in after[name]))


@claimed(EVERY_BACKEND)
def every_backend(case: Case) -> Iterator[Finding]:
    """Every backend gives what the reference gives, in either precision, in each of its ways."""
    for backend in case.others:
        if not backend.installed:
            yield Finding(EVERY_BACKEND, backend.title, reason=f"not installed: `{backend.install}`")
            continue
        for trial in (case.double, case.single):
            if trial.dtype in backend.dtypes:
                yield held(EVERY_BACKEND, trial, Way(backend))
    yield from by_ways(EVERY_BACKEND, case, BACKENDS)


@claimed(EVERY_LOSS)
def every_loss(case: Case) -> Iterator[Finding]:
    """A loss whose logits nobody asks for, in chunks of rows, is what it is as a whole."""
    scalars = [info.name for info in case.graph.own_outputs if not info.value.type.axes]
    alone = DeadCode().run(case.graph.giving(scalars))[0]
    if not any(isinstance(node.op, LinearCrossEntropy) for node in optimize(alone)[0].body.walk()):
        yield Finding(EVERY_LOSS, "", reason="no loss is a cross entropy of logits that a matrix gives")
        return
    trial = Trial(
        alone, case.right, weights=case.weights, gradients=True, dtype="float64", seed=case.seed, sizes=case.asked
    )
    yield held(EVERY_LOSS, trial, after_passes(case.right))
    for backend in case.readers:
        if backend is not case.right:
            yield held(EVERY_LOSS, trial, Way(backend))
    yield from by_ways(EVERY_LOSS, case, LOSS, (trial,))


@claimed(FEWER_BITS)
def fewer_bits(case: Case) -> Iterator[Finding]:
    """Weights that are kept in fewer bits give what their rounded values give."""
    summed = matrices(case.graph)
    if not summed:
        yield Finding(FEWER_BITS, "", reason="no parameter is multiplied with as a matrix alone")
        return
    for kind, error in tolerance.KEPT_AS.items():
        kept = {a: rounded(array, summed[a], kind) if a in summed else array for a, array in case.weights.items()}
        trial = Trial(case.graph, case.right, weights=kept, dtype="float32", seed=case.seed, sizes=case.asked)
        for backend in case.readers:
            make = partial(backend.program, weights_as=kind)
            yield held(FEWER_BITS, trial, Way(backend, f"with weights as {kind}", make=make, error=error))
    yield from by_ways(FEWER_BITS, case, WEIGHTS)


def by_ways(claim: str, case: Case, kind: str, trials: Sequence[Trial] = ()) -> Iterator[Finding]:
    """The ways of all backends that belong to this kind of claim, each on these trials (by default the case's own)."""
    for way in (way for backend in case.readers for way in backend.ways() if way.claim == kind):
        title = f"{way.backend.title} {way.besides}"
        reason = way.unfit(case.graph)
        if way.is_slow and not case.compiled:
            reason = "takes a while; `--compile` runs it"
        if reason is not None:
            yield Finding(claim, title, reason=reason)
            continue
        for trial in trials or (case.double, case.single):
            if trial.dtype in (way.dtypes or way.backend.dtypes):
                yield held(claim, trial, way)


def held(claim: str, trial: Trial, way: Way, *, at_once: bool = False) -> Finding:
    """What a trial finds of a way: how far it is off, or the error that it raises. `at_once` is as in
    `Trial.against`."""
    try:
        return finding(claim, trial.against(way, at_once=at_once))
    except Exception as problem:
        return crashed(claim, f"{way.backend.title} {trial.dtype} {way.besides}".rstrip(), problem)


def finding(claim: str, comparison: Comparison) -> Finding:
    """The array of a comparison that is nearest to what is allowed, or furthest beyond it."""
    found = worst(
        Finding(claim, comparison.candidate, row.absolute, row.tolerance, "", f"{row.kind} {row.name}")
        for row in comparison.rows
    )
    return replace(found, divergence=comparison.divergence)
