"""Diagrams as files: by `dot` if the machine has it, else SVG by the WebAssembly build of Graphviz if that is there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape, unescape
from pathlib import Path

from attndsl.diagnostics import AttnError, did_you_mean, error, listed
from attndsl.drawing.dot import to_dot
from attndsl.drawing.engines import graphviz_for, laid_out
from attndsl.drawing.finish import finish
from attndsl.drawing.fold import fold
from attndsl.drawing.levels import Levels
from attndsl.drawing.plan import Planner
from attndsl.drawing.route import route
from attndsl.drawing.scene import Scene
from attndsl.drawing.style import PLAIN, SLIDE, Style
from attndsl.graph import Graph
from attndsl.inspection.report import first_sentence
from attndsl.inspection.sizes import choose_sizes
from attndsl.records import Frozen
from attndsl.storage.whole import replacing, way_to_folder

Expand = str | Sequence[str] | None
FORMATS = ("svg", "png", "pdf", "dot")


def scene_of(
    graph: Graph,
    *,
    depth: int | None = None,
    expand: Expand = None,
    sizes: Mapping[str, int] | None = None,
    style: Style = PLAIN,
) -> Scene:
    """What is to be drawn. Raises E0903 where `expand` names no layer, E0904 for a negative depth, and what
    `choose_sizes` raises for `sizes`."""
    levels = Levels(graph, depth, expand, unrolled=style.unrolled)
    values = None
    if sizes:
        values = dict(graph.sizes) | {choice.name: choice.value for choice in choose_sizes(graph, sizes)}
    scene = finish(Planner(levels, values, style).plan(), style)
    scene.description = describe(scene, graph)
    return scene


def draw(
    graph: Graph,
    *,
    depth: int | None = None,
    expand: Expand = None,
    sizes: Mapping[str, int] | None = None,
    style: Style = PLAIN,
) -> str:
    """The diagram of `graph` as DOT text, the same bytes in every process.

    `depth` opens so many levels of layers (none, unless asked), `expand` the layer at an address (or several) and those
    around it. With `sizes` the shapes on the arrows are numbers.
    """
    return _source(scene_of(graph, depth=depth, expand=expand, sizes=sizes, style=style))


class Drawing(Frozen):
    """A diagram in one of `FORMATS`. A notebook shows it as the value of a cell."""

    format: str
    data: bytes

    def __str__(self) -> str:
        """The text of an SVG or DOT diagram; of another, what it is."""
        return self.data.decode() if self.format in ("svg", "dot") else repr(self)

    def __repr__(self) -> str:
        return f"<attndsl.Drawing {self.format}, {len(self.data):,} bytes>"

    def save(self, path: str | Path) -> None:
        """Write it to a file, whole or not at all. E0902 where its ending says another format, E0905."""
        path = Path(path)
        if path.suffix.lower() != f".{self.format}":
            raise error(
                "E0902", f"this diagram is {self.format.upper()}, and `{path}` does not end in `.{self.format}`",
                help=f"draw it in the other format: `save_drawing({path.name!r})` decides by the ending",
            )  # fmt: skip
        _require_folder(path)
        _write(path, self.data)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str | bytes]:
        shown = {"svg": "image/svg+xml", "png": "image/png", "pdf": "application/pdf", "dot": "text/vnd.graphviz"}
        data = str(self) if self.format in ("svg", "dot") else self.data
        return {shown[self.format]: data, "text/plain": repr(self)}


def picture(
    graph: Graph,
    format: str = "svg",
    *,
    depth: int | None = None,
    expand: Expand = None,
    sizes: Mapping[str, int] | None = None,
    style: Style = PLAIN,
) -> Drawing:
    """`graph` drawn as `format`: svg, png, pdf or dot. Raises E0902 for another format, E0901 where nothing on the
    machine can lay the diagram out, and what `scene_of` raises."""
    if format not in FORMATS:
        raise error(
            "E0902", f"a diagram cannot be drawn as `{format}`",
            help=did_you_mean(format, FORMATS) or f"there are {listed(FORMATS)}",
        )  # fmt: skip
    return Drawing(format, drawn(scene_of(graph, depth=depth, expand=expand, sizes=sizes, style=style), format))


def _source(scene: Scene) -> str:
    found: str = to_dot(scene).source
    return found


def drawn(scene: Scene, format: str) -> bytes:
    """A scene in one of `FORMATS`. Raises E0901, E0906."""
    source = _source(scene)
    return source.encode() if format == "dot" else _clean(_lay_out(source, format, scene), format, scene)


def render(
    graph: Graph,
    path: str | Path,
    *,
    depth: int | None = None,
    expand: Expand = None,
    sizes: Mapping[str, int] | None = None,
    style: Style = PLAIN,
) -> None:
    """Draw `graph` into the file at `path`, whose ending says as what: .svg, .png, .pdf or .dot.

    The file is written whole or not at all. Raises E0902 for another ending, E0905 where it cannot be written, E0901
    where nothing on the machine can lay the diagram out, and what `scene_of` raises.
    """
    write_scene(lambda: scene_of(graph, depth=depth, expand=expand, sizes=sizes, style=style), path)


def write_scene(scene: Callable[[], Scene], path: str | Path) -> None:
    """Draw what `scene` gives into the file at `path`, as `render` does. Where nothing can be written there,
    `scene` is not called."""
    path = Path(path)
    format = path.suffix.lower().removeprefix(".")
    if format not in FORMATS:
        ending = f"`{path.suffix}`" if path.suffix else "no ending"
        raise error(
            "E0902", f"a diagram cannot be written as {ending}: `{path}`",
            note=f"possible endings: {', '.join('.' + f for f in FORMATS)}",
            help=f"for example `{path.with_suffix('.svg') if path.name else 'model.svg'}`",
        )  # fmt: skip
    _require_folder(path)
    _write(path, drawn(scene(), format))


def _require_folder(path: Path) -> None:
    if not path.parent.is_dir():
        message = f"there is no folder `{path.parent}` to write `{path.name}` into"
        raise error("E0905", message, help=way_to_folder(path.parent))


def _lay_out(source: str, format: str, scene: Scene) -> bytes:
    """Laid out by `dot`; then its ways are led anew, and drawn as they are (`nop2` lays nothing out)."""
    run = graphviz_for(format)
    placed = laid_out(run, source).replace("\\\n", "")
    ways = None
    if scene.style.fit == "slide":
        placed, ways = fold(placed, scene, *SLIDE)
    return run(scene.style.fitted(route(placed, scene, ways)), "nop2", format)


def _clean(data: bytes, format: str, scene: Scene) -> bytes:
    """Take out what differs between machines or runs, and put in what screen readers read."""
    if format == "pdf":
        return re.sub(rb"/(CreationDate|ModDate) \([^)]*\)", lambda m: b"/" + m[1] + b" (D:20000101000000Z)", data)
    if format != "svg":
        return data
    text = data.decode()
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<!DOCTYPE.*?>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r'font-family="Helvetica[^"]*"', 'font-family="Helvetica,Arial,sans-serif"', text)
    text = _addressed(text, scene)
    head = (
        f'\n<title id="attndsl-title">{escape(scene.title, quote=False)}</title>'
        f'\n<desc id="attndsl-desc">{escape(scene.description, quote=False)}</desc>'
    )
    if 'class="node gone"' in text:
        head += "\n<style>.gone text { text-decoration: line-through }</style>"
    text = re.sub(
        r"<svg\b([^>]*)>",
        lambda m: f'<svg role="img" aria-labelledby="attndsl-title attndsl-desc"{m[1]}>{head}', text, count=1,
    )  # fmt: skip
    return text.encode()


def _addressed(svg: str, scene: Scene) -> str:
    """The groups of an SVG's boxes with the addresses of what they stand for, and the lines of the spec: for pages that
    show more about a box, or jump to where it is written."""
    boxes = {box.id: box for box in scene.boxes}

    def said(match: re.Match[str]) -> str:
        box = boxes.get(unescape(match["title"]))
        if box is None or not box.address:
            return match[0]
        line = f' data-line="{box.at.in_file.line}"' if box.at is not None else ""
        return f'{match["group"]} data-address="{escape(box.address)}" data-kind="{box.kind}"{line}>\n<title>'

    return re.sub(r'(?P<group><g id="[^"]*" class="node[^"]*")>\n<title>(?=(?P<title>.*?)</title>)', said, svg)


def describe(scene: Scene, graph: Graph) -> str:
    """The diagram in a sentence or two, for those who do not see it."""
    boxes = [box for box in scene.boxes if box.lines and len(box.lines[0]) > 1]
    flat = scene.subtitle.replace("\n", " · ")
    parts = [f"{scene.title}. {flat}." if scene.subtitle else f"{scene.title}."]
    if graph.doc:
        parts.append(first_sentence(graph.doc))
    for frame in scene.frames[1:]:
        inside = [" ".join(box.lines) for box in boxes if box.frame is frame]
        if inside:
            parts.append(f"{frame.title}: {', then '.join(inside)}.")
    outside = [" ".join(box.lines) for box in boxes if box.frame is scene.root]
    parts.append(f"Outside: {', '.join(outside)}.")
    return " ".join(parts)


def _write(path: Path, data: bytes) -> None:
    """Replace the file at `path` in one step."""
    try:
        with replacing(path) as stream:
            stream.write(data)
    except OSError as problem:
        raise _unwritable(path, problem) from None


def _unwritable(path: Path, problem: OSError) -> AttnError:
    return error(
        "E0905",
        f"`{path}` cannot be written: {problem.strerror or problem}",
        help="write somewhere else, or check how much space there is and who may write there",
    )
