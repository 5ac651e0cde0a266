"""A web server that takes notices of events."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any


class Hook:
    """Answers with these statuses, then with 204, while it is `open`; `got` has each notice as (status, body, headers), `asked`
    counts those that have come in, answered or not."""

    def __init__(self, *answers: int) -> None:
        self.got: list[tuple[int, dict[str, Any], dict[str, str]]] = []
        self.asked = 0
        self.open = threading.Event()
        self.open.set()
        left, hook = list(answers), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                hook.asked += 1
                hook.open.wait(20)
                code = left.pop(0) if left else 204
                hook.got.append((code, body, dict(self.headers)))
                self.send_response(code)
                if code in (301, 307):
                    self.send_header("Location", f"http://127.0.0.1:{hook.port}/elsewhere")
                self.end_headers()

            do_GET = do_POST  # noqa: N815

            def log_message(self, *_): ...

        self._http = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever)
        self._thread.start()

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What was told, in order."""
        return [body for _, body, _ in self.got]

    def __enter__(self) -> "Hook":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
