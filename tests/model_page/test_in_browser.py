"""The page as somebody uses it, in Chromium: clicks, keys, and a file that changes underneath."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest

from attndsl.cli import main
from attndsl.model_page import FollowedSpec, PageServer
from tests.model_page.browser import CHROMIUM, DRIVER, Browser
from tests.model_page.test_contents import BROKEN, GOOD, draws

pytestmark = [
    draws,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs chromium and chromedriver"),
]

OPEN = "diagram.view.open.join(' ')"
CHOSEN = "document.querySelector('#text .chosen')?.dataset.line || ''"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser() as found:
        yield found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageServer]:
    path = tmp_path / "my.attn"
    path.write_text(GOOD)
    found, over = PageServer(FollowedSpec(str(path)), 0), Event()

    def look() -> None:
        while not over.wait(0.05):
            found.look()

    threads = [Thread(target=found.serve_forever, args=(0.01,)), Thread(target=look)]
    for thread in threads:
        thread.start()
    yield found
    over.set()
    if not found.is_over:
        found.leave()
    for thread in threads:
        thread.join()


def shown(browser: Browser, address: str) -> None:
    browser.complaints()
    browser.go(address)
    browser.wait("document.querySelector('#diagram svg')")


def uses(browser: Browser) -> None:
    """What the page does with a server and without."""
    browser.click("#diagram .opens", "attention")
    browser.wait(f"{OPEN} === 'h.*.attn'")
    assert browser.run(f"return {CHOSEN}") == "4"
    assert "softmax" in browser.run("return document.querySelector('#diagram').textContent")
    assert browser.run("return document.querySelector('#layers .chosen').dataset.path") == "h.*.attn"
    browser.click("#diagram .opens", "linear")
    browser.wait(f"{OPEN} === 'h.*.attn h.*.attn.q'")
    browser.click("#fit")
    browser.click("#diagram .closes", "attn · attention")
    browser.wait(f"{OPEN} === ''")
    browser.click("#everything")
    browser.wait(f"{OPEN} === 'h.*.attn h.*.mlp'")
    browser.click("#close")
    browser.wait(f"{OPEN} === ''")
    # From the line to the box and the row.
    browser.click("#text .code", "layer_norm")
    assert browser.run("return document.querySelector('#diagram .is-chosen title').textContent").startswith("h.*.ln ·")
    assert browser.run("return document.querySelector('#layers .chosen').dataset.path") == "h.*.ln"
    # From the row.
    browser.click("#layers tr", "mlp")
    assert browser.run(f"return {CHOSEN}") == "6"
    # By keys.
    focus = "[...document.querySelectorAll('#diagram .opens')].find((it) => it.textContent.includes('layer norm'))"
    browser.run(
        f"{focus}.focus(); {focus}.dispatchEvent(new KeyboardEvent('keydown', {{key: 'Enter', bubbles: true}}))"
    )
    browser.wait(f"{OPEN} === 'h.*.ln'")
    browser.click("#close")
    browser.wait(f"{OPEN} === ''")
    # The window onto it.
    browser.click("#fit")
    box = "document.querySelector('#diagram svg').getAttribute('viewBox').split(' ').map(Number)"
    whole = browser.run(f"return {box}")
    browser.click("#in")
    assert browser.run(f"return {box}")[2] < whole[2]
    turn = "document.querySelector('#diagram').dispatchEvent(new WheelEvent('wheel', {deltaY: 400, ctrlKey: %s}))"
    browser.run(turn % "true")
    wide = browser.run(f"return {box}")
    assert wide[2] > whole[2]
    browser.run(turn % "false")
    down = browser.run(f"return {box}")
    assert (down[0], down[2:]) == (wide[0], wide[2:])
    assert down[1] > wide[1]
    browser.click("#fit")
    assert browser.run(f"return {box}") == whole
    # Search.
    browser.write("#search", "ATTENTION")
    assert browser.run("return document.querySelector('#found').textContent") == "1 box, 1 line"
    assert browser.run("return document.querySelectorAll('#diagram .is-found').length") == 1
    browser.write("#search", "atten\ue007")  # Enter
    assert browser.run(f"return {CHOSEN}") == "4"
    browser.write("#search", "\ue00c")  # Escape
    assert browser.run("return document.querySelectorAll('.is-found').length") == 0
    # Shapes.
    assert "[B, T, width]" in browser.run("return document.querySelector('#diagram').textContent")
    browser.click("#numbers")
    assert "[B, T, width]" not in browser.run("return document.querySelector('#diagram').textContent")
    # Masks: dark on and below the diagonal.
    browser.click("[data-panel=masks]")
    assert browser.run("return document.querySelector('#masks figcaption').textContent").startswith("k <= q")
    pixels = browser.run(
        "const it = document.querySelector('#masks canvas'), {data} = it.getContext('2d')"
        ".getImageData(0, 0, it.width, it.height);"
        "const places = (number) => [...Array(number).keys()], at = (x, y) => data[4 * (y * it.width + x)];"
        "return places(it.height).map((y) => places(it.width).map((x) => at(x, y)))"
    )
    assert all((value < 255) == (x <= y) for y, row in enumerate(pixels) for x, value in enumerate(row))
    browser.click("#masks .place", "h.*.attn")
    assert browser.run(f"return {CHOSEN}") == "4"
    browser.click("[data-panel=model]")
    assert "width" in browser.run("return document.querySelector('#model').textContent")
    browser.click("[data-panel=layers]")
    browser.click("#numbers")
    assert browser.complaints() == []


def test_a_page_that_is_a_file(browser: Browser, tmp_path: Path) -> None:
    spec, output = tmp_path / "my.attn", tmp_path / "model.html"
    spec.write_text(GOOD)
    assert main(["render", str(spec), "-o", str(output), "--size", "B=2,T=6"]) == 0
    shown(browser, output.as_uri())
    uses(browser)
    assert browser.run(
        "return [...document.querySelectorAll('#sizes input')].map((it) => [it.value, it.disabled])"
    ) == [
        ["2", True],
        ["6", True],
    ]
    browser.click("#numbers")
    assert "[2, 6, 8]" in browser.run("return document.querySelector('#diagram').textContent")
    browser.go(f"{output.as_uri()}#5")
    assert browser.wait(CHOSEN) == "5"
    browser.run("location.hash = 'h.*.mlp.up'")
    browser.wait(f"{CHOSEN} === '6'")
    assert browser.run("return document.querySelector('#diagram .is-chosen title').textContent").startswith("h.*.mlp ·")
    # Of a large one the beginning is seen, so that it can be read, until the whole is asked for.
    scale = "document.querySelector('#diagram svg').getScreenCTM().a"
    assert main(["render", str(spec), "-o", str(output), "--depth", "9"]) == 0
    shown(browser, output.as_uri())
    assert browser.run(f"return {scale}") >= 0.79
    assert browser.run("return document.querySelector('#diagram svg').viewBox.baseVal.y") == 0
    browser.click("#fit")
    assert browser.run(f"return {scale}") < 0.79
    # It asks for nothing: there is nothing beside the file itself.
    assert browser.run("return performance.getEntriesByType('resource').map((it) => it.name)") == []
    refused = "return fetch('http://127.0.0.1:9/').then(() => 'reached', (problem) => String(problem))"
    assert "TypeError" in browser.run(refused)
    assert any("Content Security Policy" in said for said in browser.complaints())


def test_a_page_that_follows_a_file(browser: Browser, server: PageServer) -> None:
    path = server.followed.path
    shown(browser, server.address)
    uses(browser)
    # Any layers together, and sizes.
    for block, opened in (("attention", "h.*.attn"), ("layer norm", "h.*.attn h.*.ln")):
        browser.click("#diagram .opens", block)
        browser.wait(f"{OPEN} === '{opened}'")
    browser.write("#sizes input[name=T]", "5\ue007")
    browser.wait("document.querySelector('#diagram').textContent.includes('[1, 5, 8]')")
    assert "1×5×8" in browser.run("return document.querySelector('#layers').textContent")
    # Labels of arrows grow away from them.
    assert browser.run(
        "return [...document.querySelectorAll('#diagram g.edge text')].every((it) => it.textContent[0] !== '['"
        " || it.getAttribute('text-anchor') !== 'middle')"
    )
    # A text that is wrong: the error in place, the model of before beside it, with the lines that it has now.
    path.write_text(BROKEN)
    browser.wait("document.querySelector('#state').textContent === '1 error'")
    assert browser.run("return document.querySelector('#text mark.error').textContent") == "layer_nrm"
    said = "document.querySelector('#text .said')"
    assert browser.run(f"return {said}.previousSibling.dataset.line") == "6"
    assert "did you mean `layer_norm`?" in browser.run(f"return {said}.textContent")
    assert browser.run("return document.body.classList.contains('stale')")
    assert "softmax" in browser.run("return document.querySelector('#diagram').textContent")
    browser.click("#layers tr", "attn attention")
    assert browser.run(f"return {CHOSEN}") == "5"
    path.unlink()
    browser.wait(f"{said}.textContent.includes('E0001')")
    # There again by another name, as editors save.
    beside = path.with_name("beside")
    beside.write_text(GOOD)
    beside.replace(path)
    browser.wait("document.querySelector('#state').textContent === 'ok'")
    # Right again: another model, with the same layers open.
    path.write_text(
        GOOD.replace("layer_norm as ln", "layer_norm as ln |> dropout(0.1)").replace("2 * width", "4 * width")
    )
    browser.wait("document.querySelector('#state').textContent === 'ok'")
    browser.wait("!document.body.classList.contains('stale')")
    browser.wait("document.querySelector('#layers').textContent.includes('1×5×32')")
    assert browser.run(f"return {OPEN}") == "h.*.attn h.*.ln"
    assert browser.complaints() == []
    # The server ends.
    server.leave()
    browser.wait("document.querySelector('#notice').textContent.includes('has ended')")


def test_a_file_that_is_wrong_from_the_beginning(browser: Browser, tmp_path: Path, server: PageServer) -> None:
    path = tmp_path / "other.attn"
    path.write_text("model M(width=8) {\n  input x: [B, width\n  output y = x\n}\n")
    server.followed = FollowedSpec(str(path))
    browser.complaints()
    browser.go(server.address)
    browser.wait("document.querySelector('#text .said')")
    browser.wait("document.querySelector('#diagram').textContent.includes('once the text is right')")
    path.write_text(GOOD)
    browser.wait("document.querySelector('#diagram svg')")
    assert browser.complaints() == []
