"""How much memory a step of training takes: the bytes of all tensors that are there at once."""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, it knows the memory of the tensors that are there, each once: `now`, and at its `fullest` by
    kind. What was there before is told to it, by kind; the rest is of the kind that is being made."""

    def __init__(self, before: Mapping[str, Iterable[torch.Tensor]], kind: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kind = kind
        self.now: dict[str, int] = {}
        self.fullest: dict[str, int] = {}
        self._kinds: dict[int, str] = {}
        for name, tensors in before.items():
            for tensor in tensors:
                self._note(tensor, name)

    @property
    def peak(self) -> int:
        """The most bytes that were there at once."""
        return sum(self.fullest.values())

    @contextlib.contextmanager
    def making(self, kind: str, gradients: str, parameters: Iterable[torch.Tensor]) -> Iterator[None]:
        """What is made inside is of this kind, and the gradients of parameters, where these have one, of that."""
        before, self.kind = self.kind, kind
        hooks = [
            parameter.register_post_accumulate_grad_hook(  # type: ignore[no-untyped-call]
                lambda made: self._rename(gradients, made.grad)
            )
            for parameter in parameters
        ]
        try:
            yield
        finally:
            self.kind = before
            for hook in hooks:
                hook.remove()

    def _rename(self, kind: str, tensor: torch.Tensor | None) -> None:
        """Let it be of another kind."""
        assert tensor is not None
        storage = tensor.untyped_storage()
        before = self._kinds.get(storage._cdata)
        if before is not None and before != kind:
            self.now[before] -= storage.nbytes()
            self.now[kind] = self.now.get(kind, 0) + storage.nbytes()
            self._kinds[storage._cdata] = kind

    def _note(self, tensor: torch.Tensor, kind: str) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata not in self._kinds and storage.device.type != "meta":  # which has no memory
            self._kinds[storage._cdata] = kind
            self.now[kind] = self.now.get(kind, 0) + storage.nbytes()
            weakref.finalize(storage, self._gone, storage._cdata, storage.nbytes())
            if sum(self.now.values()) > self.peak:
                self.fullest = dict(self.now)

    def _gone(self, storage: int, size: int) -> None:
        self.now[self._kinds.pop(storage)] -= size

    def __torch_dispatch__(self, function: Any, types: Any, given: Any = (), named: Any = None) -> Any:
        found = function(*given, **(named or {}))
        for each in tree_leaves(found):
            if isinstance(each, torch.Tensor):
                self._note(each, self.kind)
        return found
