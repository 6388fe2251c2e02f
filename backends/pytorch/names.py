"""Names in a written file: Python identifiers made from the author's, each meaning one thing at a time."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attndsl.graph import Graph

# What `nn.Module` has already: a layer or parameter of such a name is reached through the dictionaries.
MODULE_ATTRIBUTES = frozenset(
    [
        "T_destination",
        "add_module",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "parameters",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "state_dict",
        "to",
        "to_empty",
        "train",
        "training",
        "type",
        "xpu",
        "zero_grad",
    ]
)

BUILTINS = frozenset(name for name in dir(builtins) if name.islower())
FLEX = ("BlockMask", "create_block_mask", "flex_attention")  # what is imported for FlexAttention
IMPORTED = frozenset(
    ["torch", "nn", "F", "math", "Tensor", "annotations", "self", "checkpoint", "dist", "DeviceMesh", *FLEX]
)


def identifier(text: str) -> str:
    """A Python identifier out of any text: `4*width` gives `_4_width`."""
    name = re.sub(r"\W+", "_", text).strip("_") or "value"
    if name[0].isdigit():
        name = f"_{name}"
    return f"{name}_" if keyword.iskeyword(name) or name in BUILTINS else name


def class_name(text: str) -> str:
    """`gpt_nano` gives `GptNano`; what has capitals keeps them."""
    parts = re.split(r"[\W_]+", text)
    name = "".join(part if part[:1].isupper() else part[:1].upper() + part[1:] for part in parts)
    return identifier(name)


def constant_name(text: str) -> str:
    return identifier(text).upper()


def plain(name: str) -> bool:
    """Whether `x.name` reaches a layer or parameter of that name."""
    return name.isidentifier() and not keyword.iskeyword(name) and name not in MODULE_ATTRIBUTES and name[0] != "_"


def attribute(base: str, name: str, *, parameter: bool) -> str:
    """The layer or parameter `name` of a module; one that is a number is an element of a list."""
    if name.isdigit() and not parameter and base != "self":
        return f"{base}[{name}]"
    if plain(name):
        return f"{base}.{name}"
    return f'{base}.{"_parameters" if parameter else "_modules"}["{name}"]'


def own_suffix(graph: Graph) -> str:
    """What no name of a layer or a parameter ends with."""
    steps = {step for info in graph.parameters for step in info.address.split(".")}
    suffix = "_"
    while any(step.endswith(suffix) for step in steps):
        suffix += "_"
    return suffix


def alone(name: str, suffix: str) -> str:
    """The name of a layer or a parameter where modules, and those that torch makes of them, have nothing of that name:
    itself, or one that ends in `suffix`."""
    from torch.fx import GraphModule

    return name if name.isdigit() or (plain(name) and not hasattr(GraphModule, name)) else f"{name}{suffix}"


def keywords(parts: Iterable[tuple[str, str]]) -> list[str]:
    """Keyword arguments, in the form that takes any name where it must."""
    parts = list(parts)
    if all(name.isidentifier() and not keyword.iskeyword(name) for name, _ in parts):
        return [f"{name}={text}" for name, text in parts]
    return ["**{" + ", ".join(f'"{name}": {text}' for name, text in parts) + "}"]


class Names:
    """The names taken in one scope."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)

    def free(self, wish: str) -> str:
        """`wish`, or with the first number from 2 that makes it free; taken from then on."""
        name, count = wish, 1
        while name in self.taken:
            count += 1
            name = f"{wish}_{count}"
        self.taken.add(name)
        return name
