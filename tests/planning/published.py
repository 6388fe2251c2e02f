"""Published training runs, as their sources describe them, with what they report; half of them have set the shares that
machines reach (`attndsl/planning/machines.toml`), the other half are predicted.

What a source does not say is said here in `assumed`, and was chosen before anything was fitted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

from attndsl.elaborate import elaborate, open_spec
from attndsl.planning import ParallelPlan, StepPrediction, Workload, machine, predict, work_of

Plan = partial(ParallelPlan, schedule="1f1b", dispatch="alltoall")  # of all that have stages, or experts


@dataclass(frozen=True)
class Run:
    """`reported` is in seconds of a step (what tokens/s, TFLOP/s or MFU come to), `memory` in GiB on a device."""

    row: str
    model: str
    spec: str
    settings: dict[str, Any]
    machine: str
    plan: ParallelPlan
    tokens: int
    reported: Callable[[StepPrediction], float]
    fitted: bool
    assumed: str = ""
    memory: float = 0.0

    @property
    def number(self) -> int:
        """The row of the list of runs: a run may report several figures."""
        return int(self.row.rstrip("abc"))

    def predict(self) -> StepPrediction:
        return predict(self.work, self.plan, machine(self.machine), {"T": self.tokens})

    @property
    def work(self) -> Workload:
        return _work(self.spec, tuple(sorted(self.settings.items())), self.plan.attention == "materialised")


@lru_cache(maxsize=32)
def _work(spec: str, settings: tuple[tuple[str, Any], ...], materialised: bool) -> Workload:
    return work_of(elaborate(open_spec(spec), dict(settings)), materialised=materialised)


def seconds(value: float) -> Callable[[StepPrediction], float]:
    return lambda _: value


def each_second(tokens: float) -> Callable[[StepPrediction], float]:
    """From tokens per second on each device."""
    return lambda p: p.tokens / (tokens * p.plan.devices)


def utilised(mfu: float) -> Callable[[StepPrediction], float]:
    return lambda p: p.flops / (mfu * p.plan.devices * p.machine.flops["bf16"])


def causal(tflops: float) -> Callable[[StepPrediction], float]:
    """From TFLOP/s on each device, where attention's are counted as its mask leaves them."""
    return lambda p: (p.flops - p.hidden) / (tflops * 1e12 * p.plan.devices)


def _gpt(depth: int, width: int, heads: int, **more: Any) -> dict[str, Any]:
    return {"depth": depth, "width": width, "heads": heads, "head": width // heads, "vocab": 51200, **more}


_MEGATRON = Plan(
    tensor=8, micro_batch=1, attention="materialised", kernels="fused", loss="fused", parameters="whole"
)  # fmt: skip
_SELECTIVE = replace(_MEGATRON, sequence=True, recompute="selective")
_FULL = replace(_MEGATRON, recompute="full")
_PAPER = {"p": 0.1}
_22B, _175B = _gpt(48, 6144, 64, **_PAPER), _gpt(96, 12288, 96, **_PAPER)
_530B, _1T = _gpt(105, 20480, 128, **_PAPER), _gpt(128, 25600, 160, **_PAPER)
_MPT = {"vocab": 50368}
_MPT_7B = {**_MPT, "depth": 32, "width": 4096, "heads": 32, "head": 128}
_MPT_70B = {**_MPT, "depth": 80, "width": 8192, "heads": 64, "head": 128, "context": 2048}
_FSDP = Plan(parameters="divided", attention="flash", kernels="eager", loss="fused")
_TITAN = Plan(parameters="divided", attention="flash2", kernels="compiled")
_LLAMA_3 = Plan(tensor=8, stages=16, virtual=8, micro_batch=1, sequence=True, parameters="states", attention="flash3",
                kernels="fused", loss="fused")  # fmt: skip
_NANOTRON = Plan(tensor=4, sequence=True, parameters="states", attention="flash2", kernels="eager", loss="fused")

RUNS = (
    Run("1", "Megatron 22B", "gpt3", _22B, "a100-80x8", replace(_SELECTIVE, batch=4, micro_batch=4), 2048,
        seconds(1.10), True),
    Run("2a", "GPT-3 175B", "gpt3", _175B, "a100-80x8", replace(_SELECTIVE, stages=8, virtual=3, batch=64), 2048,
        seconds(13.75), False),
    Run("2b", "GPT-3 175B, full AC", "gpt3", _175B, "a100-80x8", replace(_FULL, stages=8, virtual=3, batch=64), 2048,
        seconds(18.13), False),
    Run("3a", "MT-NLG 530B", "gpt3", _530B, "a100-80x8", replace(_SELECTIVE, stages=35, virtual=3, batch=280), 2048,
        seconds(37.83), True),
    Run("3b", "MT-NLG 530B, full AC", "gpt3", _530B, "a100-80x8", replace(_FULL, stages=35, virtual=3, batch=280), 2048,
        seconds(49.05), True),
    Run("4a", "Megatron 1T", "gpt3", _1T, "a100-80x8", replace(_SELECTIVE, stages=64, batch=512), 2048,
        seconds(71.49), False),
    Run("4b", "Megatron 1T, full AC", "gpt3", _1T, "a100-80x8", replace(_FULL, stages=64, batch=512), 2048,
        seconds(94.42), False),
    Run("5a", "GPT-3 175B", "gpt3", {**_175B, "context": 4096, "p": 0.0}, "h100x8",
        Plan(data=3, tensor=4, stages=8, virtual=6, batch=1152, sequence=True, parameters="states", attention="flash3",
             kernels="fused", loss="fused"), 4096, utilised(0.47), False,
        "TP4 PP8 VP6, as Megatron's recipes for this model have"),
    Run("5b", "GPT-3 175B", "gpt3", {**_175B, "context": 4096, "p": 0.0}, "h100x8",
        Plan(data=144, tensor=4, stages=8, virtual=6, batch=1152, sequence=True, parameters="states",
             attention="flash3", kernels="fused", loss="fused"), 4096, utilised(0.42), False, "as 5a"),
    Run("6", "MPT-7B", "gpt3", _MPT_7B, "h100x8", replace(_FSDP, data=8, batch=48, micro_batch=6), 2048,
        each_second(10643), True),
    Run("7", "MPT-7B", "gpt3", _MPT_7B, "a100-80x8", replace(_FSDP, data=8, batch=96, micro_batch=6), 2048,
        each_second(4641), False),
    Run("8", "MPT-7B, 65,536 tokens", "gpt3", {**_MPT_7B, "context": 65536}, "h100x8",
        replace(_FSDP, data=8, batch=16, micro_batch=1, recompute="full"), 65536, each_second(1956), True),
    Run("9", "MPT-70B", "gpt3", _MPT_70B, "h100x8",
        replace(_FSDP, data=64, batch=2048, micro_batch=8, recompute="full"), 2048, each_second(1039), False),
    Run("10a", "Llama 3.1 8B", "llama:3.1-8b", {}, "h100-96x8",
        replace(_TITAN, data=8, batch=16, micro_batch=2, recompute="selective"), 8192, each_second(6667), True,
        memory=77.0),
    Run("10b", "Llama 3.1 8B", "llama:3.1-8b", {}, "h100-96x8",
        replace(_TITAN, data=128, batch=256, micro_batch=2, recompute="selective"), 8192, each_second(6514), True,
        memory=62.0),
    Run("11a", "Llama 3.1 405B, 1F1B", "llama:3.1-405b", {}, "h100-96x8",
        replace(_TITAN, data=8, tensor=8, stages=8, batch=256, micro_batch=4, sequence=True, precision="fp8",
                recompute="full", async_tensor=True), 8192, each_second(100), False,
        "eight micro-batches, torchtitan's default: as many as stages", 82.5),
    Run("11b", "Llama 3.1 405B, interleaved", "llama:3.1-405b", {}, "h100-96x8",
        replace(_TITAN, data=8, tensor=8, stages=8, virtual=2, batch=256, micro_batch=4, sequence=True,
                precision="fp8", recompute="full", async_tensor=True), 8192, each_second(128), False,
        "as 11a; two virtual stages", 72.7),
    Run("12a", "Llama 3 405B, 8,192", "llama:3.1-405b", {}, "h100x8", replace(_LLAMA_3, data=64, batch=2048), 8192,
        causal(430), True, "eight virtual stages (a layer each, as the paper's text implies)"),
    Run("12b", "Llama 3 405B, 16,384", "llama:3.1-405b", {}, "h100x8", replace(_LLAMA_3, data=128, batch=2048), 8192,
        causal(400), True, "as 12a"),
    Run("12c", "Llama 3 405B, 131,072 tokens", "llama:3.1-405b", {}, "h100x8",
        replace(_LLAMA_3, data=8, context=16, batch=128), 131072, causal(380), True, "as 12a"),
    Run("13", "Llama 3 70B", "llama:3-70b", {}, "h100x8",
        Plan(data=2, tensor=4, stages=8, virtual=5, batch=128, sequence=True, parameters="states", precision="fp8",
             attention="flash3", kernels="fused", loss="fused", async_tensor=True), 8192, each_second(1602), True,
        "micro-batches of one row"),
    Run("14a", "Llama 1B", "llama:3.2-1b", {}, "h100x8", replace(_NANOTRON, data=4, batch=1024, micro_batch=16), 4096,
        seconds(10.3), False, "Llama 3.2's 1B, which has the reported FLOPs", 47.5),
    Run("14b", "Llama 1B", "llama:3.2-1b", {}, "h100x8", replace(_NANOTRON, stages=4, batch=1024, micro_batch=4), 4096,
        seconds(17.6), False, "as 14a", 13.1),
    Run("15", "Llama 1B", "llama:3.2-1b", {}, "h100x8",
        replace(_NANOTRON, tensor=8, stages=8, batch=1024, micro_batch=16), 4096, seconds(18.9), False, "as 14a"),
    Run("16", "DeepSeek-V3 671B", "deepseek_v3", {}, "h100x8",
        Plan(data=64, experts=64, stages=4, virtual=8, batch=512, parameters="divided", attention="flash3",
             kernels="fused", loss="fused", recompute="full"), 4096, seconds(8.18), True,
        "micro-batches of one row, layers computed again"),
)  # fmt: skip
