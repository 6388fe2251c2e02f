"""The server of a page: what it answers and to whom, what it says where it cannot serve, how it ends."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from attndsl.cli import main
from attndsl.diagnostics import AttnError
from attndsl.elaborate import load
from attndsl.model_page import FollowedSpec, PageServer, serving
from tests.model_page.test_contents import BROKEN, GOOD, draws
from tests.terminal import as_in_a_terminal


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PageServer]:
    monkeypatch.setattr(serving, "PATIENCE", 0.2)
    path = tmp_path / "my.attn"
    path.write_text(GOOD)
    found = PageServer(FollowedSpec(str(path)), 0)
    thread = Thread(target=found.serve_forever, args=(0.01,))
    thread.start()
    yield found
    if not found.is_over:
        found.leave()
    thread.join()


def ask(
    server: PageServer, path: str, method: str = "GET", host: str = ""
) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=60)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.status, answer.headers, answer.read()
    connection.close()
    return found


def data(server: PageServer, path: str) -> dict[str, Any]:
    status, _, found = ask(server, path)
    assert status == 200
    return json.loads(found)


def change(server: PageServer, text: str) -> None:
    server.followed.path.write_text(text)
    assert [server.look() for _ in range(2)][-1]


def test_it_listens_on_the_loopback_alone(server: PageServer) -> None:
    assert server.socket.getsockname()[0] == "127.0.0.1"


@pytest.mark.parametrize(
    "host", ["example.org", "example.org:PORT", "127.0.0.1", "127.0.0.1.example.org:PORT", "0.0.0.0:PORT"]
)
def test_another_host_gets_no_answer(server: PageServer, host: str) -> None:
    """A page elsewhere whose name was made to point here (DNS rebinding) names itself in the request."""
    for path in ("/", "/contents", "/view"):
        status, _, said = ask(server, path, host=host.replace("PORT", str(server.server_port)))
        assert status == 403
        assert b"model" not in said


@pytest.mark.parametrize(
    "path",
    ["/../../etc/passwd", "/my.attn", "//etc/passwd", "/%2e%2e/x", "/contents/", "http://elsewhere/x", "/page.js"],
)
def test_there_is_nothing_but_three_answers(server: PageServer, path: str) -> None:
    assert ask(server, path)[0] == 404


def test_nothing_can_be_sent_to_it(server: PageServer) -> None:
    assert {ask(server, "/", method)[0] for method in ("POST", "PUT", "DELETE", "OPTIONS")} == {501}


def test_the_page_may_ask_its_server_and_nobody_else(server: PageServer) -> None:
    status, headers, page = ask(server, "/", host=f"localhost:{server.server_port}")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Access-Control-Allow-Origin" not in headers
    assert (headers["Cross-Origin-Resource-Policy"], headers["X-Frame-Options"]) == ("same-origin", "DENY")
    assert b"default-src 'none'" in page
    assert b"connect-src 'self'" in page


def test_every_page_hears_of_what_changes(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    first = data(server, "/contents?now")
    assert (first["version"], first["is_current"]) == (1, True)
    assert ask(server, "/contents?since=1")[0] == 204
    with ThreadPoolExecutor() as pool, monkeypatch.context() as patient:
        patient.setattr(serving, "PATIENCE", 60)
        tabs = [pool.submit(data, server, f"/contents?since=1&sizes=B={size},T=5") for size in (1, 2)]
        change(server, BROKEN)
        first, second = (tab.result() for tab in tabs)
    assert first["version"] == second["version"]
    assert [size["value"] for size in first["model"]["sizes"]] == [1, 5]
    assert (second["version"], second["is_current"], second["text"]) == (2, False, BROKEN)
    assert [size["value"] for size in second["model"]["sizes"]] == [2, 5]


@pytest.mark.parametrize(
    "query",
    ["sizes=", "sizes=B", "sizes=B=-1", "sizes=B=x,T=", "sizes=%00", "sizes=B=" + "9" * 50, "since=x", "since=-1"],
)
def test_nonsense_is_answered_as_nothing(server: PageServer, query: str) -> None:
    assert [size["value"] for size in data(server, f"/contents?{query}")["model"]["sizes"]] == [1, 128]


@draws
def test_any_layers_can_be_open(server: PageServer) -> None:
    opened = data(server, "/view?open=h.*.attn%20h.*.mlp%20nothing&sizes=B=2,T=5")
    assert opened["open"] == ["h.*.attn", "h.*.mlp"]
    assert data(server, "/view?open=*&sizes=B=2,T=5")["open"] == ["h.*.attn", "h.*.mlp"]
    assert opened["numbers"]["input x"] == {"[B, T, width]": "[2, 5, 8]"}
    svg = server._diagrams
    change(server, BROKEN)
    stale = data(server, "/view?open=*&sizes=B=2,T=5")
    assert stale["open"] == opened["open"]
    assert server._diagrams is svg, "the model is the one from before, and so is its diagram"
    assert stale["frames"]["cluster h.*.attn"]["line"] == opened["frames"]["cluster h.*.attn"]["line"] + 1


def test_without_graphviz_the_page_says_so(server: PageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from attndsl.drawing import engines, output

    def lacking(*arguments: object) -> bytes:
        raise engines.no_graphviz("png")

    monkeypatch.setattr(output, "_lay_out", lacking)
    (said,) = data(server, "/view?open=")["diagnostics"]
    assert said["code"] == "E0901"


def test_a_browser_that_goes_away_is_not_spoken_of(server: PageServer, capsys: pytest.CaptureFixture[str]) -> None:
    for asked in (b"GET /contents?since=1 HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n", b"GET / HT"):
        with socket.create_connection(("127.0.0.1", server.server_port)) as connection:
            connection.sendall(asked % server.server_port if b"%d" in asked else asked)
            # Reset instead of closed, so that whoever writes to it fails.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert data(server, "/contents?now")["version"] == 1
    server.leave()
    assert capsys.readouterr().err == ""


def test_a_port_in_use(
    server: PageServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["watch", str(server.followed.path), "--no-open", "--port", str(server.server_port)]) == 1
    said = capsys.readouterr().err
    assert "E0817" in said
    assert f"port {server.server_port}: another program listens there" in said
    monkeypatch.setattr(serving, "PORT", server.server_port)
    other = PageServer(server.followed)
    assert other.server_port != server.server_port
    other.server_close()
    with pytest.raises(AttnError, match="E0817"):
        PageServer(server.followed, 70_000)


def test_what_cannot_be_followed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["watch", str(tmp_path / "none.attn"), "--no-open"]) == 1
    assert main(["watch", "gtp2", "--no-open"]) == 1
    said = capsys.readouterr().err
    assert "E0001" in said
    assert "E0501" in said
    assert "gpt2" in said


def replaced(path: Path, text: str) -> None:
    """All of it at once: between two halves a look might come, and another."""
    beside = path.with_name("beside")
    beside.write_text(text)
    beside.replace(path)


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C as a signal")
def test_a_file_is_followed_on_the_terminal_until_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "my.attn"
    path.write_text(GOOD)
    words = [sys.executable, "-m", "attndsl", "watch", str(path), "--no-open", "--port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, preexec_fn=as_in_a_terminal
    )
    try:
        assert process.stdout is not None
        assert "is shown at http://127.0.0.1:" in process.stdout.readline()
        assert f"ok · {load(str(path)).parameter_count:,} parameters" in process.stdout.readline()
        replaced(path, BROKEN)
        assert "line 6: error[E0101]: there is nothing called `layer_nrm` here" in process.stdout.readline()
        path.unlink()
        assert "error[E0001]" in process.stdout.readline()
        replaced(path, GOOD)
        assert "ok" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert (rest, errors, process.returncode) == ("\nended\n", "", 0)


def test_watching_needs_no_torch(tmp_path: Path) -> None:
    script = (
        "import sys\nsys.modules['torch'] = None\n"
        "from attndsl.model_page import *\n"
        "now = FollowedSpec('gpt_nano').now\nfound = contents(now)\n"
        "print([name for name in ('torch', 'lark', 'numpy') if sys.modules.get(name)])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
