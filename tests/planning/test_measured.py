"""What a plan says that one device keeps for the backward pass is what PyTorch keeps."""

from __future__ import annotations

import pytest

import attndsl
from attndsl.elaborate import elaborate, open_spec
from attndsl.planning import ParallelPlan, work_of
from attndsl.planning.share import Share

torch = pytest.importorskip("torch")

SIZES = {"B": 4, "T": 128}
SMALL = {"depth": 4, "width": 128, "heads": 4, "vocab": 512}


@pytest.mark.parametrize(
    ("spec", "settings"),
    [("gpt2", {**SMALL, "p": 0.0}), ("gpt_neox:nano", {}), ("llama:nano", {}), ("phi3:nano", {})],
)
def test_what_is_kept_is_what_autograd_keeps(spec, settings):
    graph = elaborate(open_spec(spec), settings)
    module = attndsl.load(spec, settings).torch()
    module.train()
    own = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    saved = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved[storage.data_ptr()] = tensor
        return tensor

    tokens = torch.randint(0, graph.sizes["vocab"], tuple(SIZES.values()))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        module(tokens=tokens, targets=tokens)
    measured = sum(tensor.untyped_storage().nbytes() for tensor in saved.values())

    share = Share(work_of(graph), ParallelPlan(micro_batch=4, kernels="eager", precision="fp32"), SIZES)
    planned = sum(share.kept(segment) * segment.times for segment in share.work.segments)
    assert planned == pytest.approx(measured, rel=0.1)
