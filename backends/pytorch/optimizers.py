"""PyTorch's own kernels for updates: one pass over all parameters where `Optimizer.update` takes ten over each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.optim.adam import adam
from torch.optim.adamw import adamw

from attndsl.optimizers import Optimizer, Step
from attndsl.optimizers.adam import Adam, AdamW

_KERNELS: Mapping[type[Optimizer], Callable[..., None]] = {Adam: adam, AdamW: adamw}

Update = Callable[[Sequence[torch.nn.Parameter], Sequence[Mapping[str, torch.Tensor]], Step], None]


def fused_update(optimizer: Optimizer) -> Update | None:
    """The kernel that does what `optimizer.update` does, for several parameters with their gradients, and what is kept
    beside them; None where PyTorch has none."""
    if type(optimizer) not in _KERNELS:
        return None
    assert isinstance(optimizer, Adam)
    chosen, kernel = optimizer, _KERNELS[type(optimizer)]

    def update(values: Sequence[torch.nn.Parameter], kept: Sequence[Mapping[str, torch.Tensor]], step: Step) -> None:
        beta_1, beta_2 = chosen.pair("betas")
        # The kernel counts the update itself, beside every parameter.
        before = torch.full((len(values),), step.number - 1.0, dtype=torch.float32, device=values[0].device)
        kernel(
            list(values), [value.grad for value in values if value.grad is not None],
            [each["first"] for each in kept], [each["second"] for each in kept], [], list(before.unbind()),
            fused=True, amsgrad=False, beta1=beta_1, beta2=beta_2, lr=step.rate,
            weight_decay=chosen.decay if step.decays else 0.0, eps=chosen.number("eps"), maximize=False,
        )  # fmt: skip

    return update
