"""A headless Chromium, driven through chromedriver's HTTP interface (the W3C's WebDriver), as far as tests need one."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that the standard gives elements


class Browser:
    """`with Browser() as browser: browser.go(…)`. `PATIENCE` is for a machine that is busy with something else."""

    PATIENCE = 120.0

    def __init__(self, width: int = 1400, height: int = 900) -> None:
        assert CHROMIUM
        assert DRIVER
        self._driver = subprocess.Popen([DRIVER, "--port=0"], stdout=subprocess.PIPE, text=True)
        assert self._driver.stdout is not None
        said = next(line for line in self._driver.stdout if "successfully on port" in line)
        port = said.strip().rstrip(".").rpartition(" ")[2]
        self._base = f"http://127.0.0.1:{port}"
        options = {
            "binary": CHROMIUM,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", f"--window-size={width},{height}"],
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        begun = self._ask("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self._base += f"/session/{begun['sessionId']}"

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self._ask("DELETE", "")
        finally:
            self._driver.terminate()
            self._driver.wait()
            assert self._driver.stdout is not None
            self._driver.stdout.close()

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self._base + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=self.PATIENCE) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as refused:
            raise AssertionError(f"{method} {path} {body}: {json.load(refused)['value']['message']}") from None

    def go(self, address: str) -> None:
        self._ask("POST", "/url", {"url": address})

    def run(self, script: str, *arguments: Any) -> Any:
        """What a script on the page returns."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def wait(self, condition: str, *arguments: Any) -> Any:
        """Wait until an expression on the page is true, and give it."""
        until = time.monotonic() + self.PATIENCE
        while time.monotonic() < until:
            found = self.run(f"return {condition}", *arguments)
            if found:
                return found
            time.sleep(0.03)
        raise AssertionError(f"never came true: {condition} {arguments}")

    def click(self, selector: str, text: str = "") -> None:
        """Click on the first element of a kind (whose text holds `text`) as a mouse does: what lies above gets it."""
        find = "return [...document.querySelectorAll(arguments[0])].find((it) => it.textContent.includes(arguments[1]))"
        self._ask("POST", f"/element/{self.run(find, selector, text)[_ELEMENT]}/click")

    def write(self, selector: str, text: str) -> None:
        """Replace what a field holds, by keys."""
        found = self.run("const it = document.querySelector(arguments[0]); it.select(); return it", selector)[_ELEMENT]
        self._ask("POST", f"/element/{found}/value", {"text": text})

    def complaints(self) -> list[str]:
        """What the browser has logged since it was asked last: errors of scripts, what a policy forbade."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]

    def screenshot(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self._ask("GET", "/screenshot")))
