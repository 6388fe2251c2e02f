"""A model as a notebook shows it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from attndsl.diagnostics import AttnError

if TYPE_CHECKING:
    from attndsl.api.model import Model


def as_html(model: Model) -> str:
    """Its name, size and settings above its diagram; above its table of layers where Graphviz is missing."""
    settings = " · ".join(f"{escape(k)} = {escape(str(v))}" for k, v in model.hyperparameters.items())
    head = f"<b>{escape(model.name)}</b> · {model.parameters:,} parameters<br><small>{settings}</small>"
    try:
        picture = str(model.draw("svg"))
    except AttnError:  # no Graphviz here
        return f"<div>{head}<pre>{escape(model.summary())}</pre></div>"
    picture = picture[picture.index("<svg") :].replace("<svg ", '<svg style="max-width:100%;height:auto" ', 1)
    return f"<div>{head}<br>{picture}</div>"
