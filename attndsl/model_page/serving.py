"""The page on this machine's loopback, which follows a file: a server with three answers, and a look at the file every
moment."""

from __future__ import annotations

import errno
import json
import sys
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Lock, Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

from attndsl.diagnostics import AttnError, error
from attndsl.diagnostics.report import to_json
from attndsl.graph import Graph
from attndsl.model_page.contents import Data, LinesNow, chosen_sizes, contents
from attndsl.model_page.diagrams import Diagrams
from attndsl.model_page.examined import Examined, FollowedSpec
from attndsl.model_page.html import page

LOOPBACK = "127.0.0.1"
PORT, MOST = 8765, 65535
LOOKS = 0.1
"""Seconds from one look at the file to the next."""

PATIENCE = 20.0
"""Seconds after which a page that waits is told that nothing has changed."""

Sizes = Mapping[str, int]


class PageServer(ThreadingHTTPServer):
    """Serves the page of a followed spec. `version` counts the texts that it was examined with."""

    daemon_threads = True
    allow_reuse_address = sys.platform != "win32"  # where it means that two may listen on one port

    def __init__(self, followed: FollowedSpec, port: int | None = None, sizes: Sizes | None = None) -> None:
        """Listen on `port` of the loopback; without one, on `PORT` or, where that is taken, on a free one. E0817 where
        that is not possible."""
        self.followed = followed
        self.sizes: Sizes = sizes or {}
        self.version = 1
        self.is_over = False
        self.changed = Condition()
        self.computing, self.drawing = (
            Lock(),
            Lock(),
        )  # one thing of a kind at a time: what is said waits for no diagram
        self._diagrams: Diagrams | None = None
        if port is not None and port > MOST:
            raise error("E0817", f"there is no port {port}: they end at {MOST}", help=_WITHOUT)
        try:
            super().__init__((LOOPBACK, PORT if port is None else port), _Answers)
        except OSError as problem:
            if port is not None or problem.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise _not_there(port, problem) from None
            super().__init__((LOOPBACK, 0), _Answers)

    @property
    def address(self) -> str:
        return f"http://{LOOPBACK}:{self.server_port}/"

    @property
    def hosts(self) -> frozenset[str]:
        """What a request may call this server: another name is that of a page elsewhere that tries to read along."""
        return frozenset(f"{name}:{self.server_port}" for name in (LOOPBACK, "localhost"))

    def look(self) -> bool:
        """Look at the file; whether it was examined again, of which every page that waits is told."""
        with self.computing:
            if not self.followed.look():
                return False
        with self.changed:
            self.version += 1
            self.changed.notify_all()
        return True

    def wait(self, version: int) -> bool:
        """Wait for another version than this; whether there is one."""
        with self.changed:
            self.changed.wait_for(lambda: self.version != version or self.is_over, PATIENCE)
            return self.version != version and not self.is_over

    def leave(self) -> None:
        """Let go the pages that wait, and the port."""
        with self.changed:
            self.is_over = True
            self.changed.notify_all()
        self.shutdown()
        self.server_close()

    # ---------------------------------------------------------------- what pages ask for

    def contents(self, sizes: Sizes) -> Data:
        with self.computing:
            return {"version": self.version, **contents(self.followed.now, sizes)}

    def view(self, opened: list[str], sizes: Sizes) -> Data:
        """A diagram, or what is said where none can be drawn."""
        with self.drawing:
            now = self.followed.now
            if now.graph is None:
                return {"version": self.version}
            try:
                diagrams = self._diagrams_of(now.graph, sizes)
                view = diagrams.view(diagrams.everything() if opened == ["*"] else opened, LinesNow(now))
            except AttnError as problem:
                return {"version": self.version, **to_json(problem.diagnostics)}
            return {"version": self.version, **view}

    def _diagrams_of(self, graph: Graph, sizes: Sizes) -> Diagrams:
        """Those from before, as long as it is the same model at the same sizes."""
        chosen = chosen_sizes(graph, sizes)
        if self._diagrams is None or self._diagrams.graph is not graph or self._diagrams.sizes != chosen:
            self._diagrams = Diagrams(graph, chosen)
        return self._diagrams

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that has gone away in the middle of an answer is nothing to speak of."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Answers(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: PageServer

    def do_GET(self) -> None:
        if self.headers.get("Host") not in self.server.hosts:
            self._answer("this server answers to its own machine alone\n", HTTPStatus.FORBIDDEN)
            return
        if self.server.is_over:  # a connection may outlive the port
            self.close_connection = True
            self._answer("attndsl watch has ended\n", HTTPStatus.SERVICE_UNAVAILABLE)
            return
        asked = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(asked.query).items()}
        answer = _PATHS.get(asked.path)
        if answer is None:
            self._answer("there is nothing of that name here\n", HTTPStatus.NOT_FOUND)
            return
        answer(self, query)

    def page(self, query: Mapping[str, str]) -> None:
        found = self.server.contents(self.server.sizes)
        self._answer(page({"contents": found, "views": {}, "open": [], "follows": True}), kind="text/html")

    def contents(self, query: Mapping[str, str]) -> None:
        """The contents, once there is another version than the page has."""
        since = query.get("since", "")
        if since.isdecimal() and not self.server.wait(int(since)):
            self._answer("", HTTPStatus.NO_CONTENT)
            return
        self._json(self.server.contents(_sizes(query, self.server.sizes)))

    def view(self, query: Mapping[str, str]) -> None:
        self._json(self.server.view(query.get("open", "").split(), _sizes(query, self.server.sizes)))

    def _json(self, data: Data) -> None:
        self._answer(json.dumps(data, ensure_ascii=False), kind="application/json")

    def _answer(self, text: str, status: HTTPStatus = HTTPStatus.OK, *, kind: str = "text/plain") -> None:
        data = text.encode("utf-8", "replace")
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("X-Frame-Options", "DENY")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """What pages ask for is of no interest on the terminal."""


_PATHS: Mapping[str, Callable[[_Answers, Mapping[str, str]], None]] = {
    "/": _Answers.page,
    "/contents": _Answers.contents,
    "/view": _Answers.view,
}


def _sizes(query: Mapping[str, str], default: Sizes) -> Sizes:
    """`sizes=B=1,T=64`; what is no size is left out."""
    if "sizes" not in query:
        return default
    pairs = (entry.partition("=") for entry in query["sizes"].split(","))
    return {name: int(value) for name, _, value in pairs if value.isascii() and value.isdecimal() and len(value) < 19}


def serve(server: PageServer, told: Callable[[Examined], None]) -> None:
    """Serve until Ctrl-C; `told` hears of each text that the file has, the first one too."""
    Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    try:
        told(server.followed.now)
        while True:
            time.sleep(LOOKS)
            if server.look():
                told(server.followed.now)
    finally:
        server.leave()


def _not_there(port: int | None, problem: OSError) -> AttnError:
    taken = problem.errno == errno.EADDRINUSE
    why = "another program listens there" if taken else (problem.strerror or str(problem)).lower()
    return error(
        "E0817", f"the page cannot be served on port {PORT if port is None else port}: {why}",
        help=_WITHOUT if port is not None else "give another: `--port 9000`",
    )  # fmt: skip


_WITHOUT = "leave `--port` out: a free one is found"
