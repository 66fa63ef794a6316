"""A slow server of one file, which goes on in the middle when it is asked to."""

import http.server
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

BLOCK, PAUSE = 2**16, 0.005  # bytes at a time, and seconds after each


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers every request with the content of the server, or with the rest of it."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Send what is asked for, slowly; a client that is killed is no fault."""
        content: bytes = self.server.content  # type: ignore[attr-defined]
        wanted = self.headers.get("Range")
        start = int(wanted[6:-1]) if wanted else 0
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("ETag", '"one"')
        self.end_headers()
        try:
            for place in range(start, len(content), BLOCK):
                self.wfile.write(content[place : place + BLOCK])
                time.sleep(PAUSE)
        except OSError:
            return


@contextmanager
def serve(content: bytes) -> Iterator[str]:
    """The address of a server while it runs."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content = content  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
