"""Look at a site over http, on this machine only."""

from __future__ import annotations

import functools
import gzip
from email.utils import formatdate
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from leaflineage.errors import SiteError

PACKED = frozenset({".html", ".css", ".js", ".json", ".svg", ".csv", ".txt", ".xml", ".cff"})


@functools.lru_cache(maxsize=256)
def _pack(path: str, changed: int) -> bytes:
    """Return a file as it was at its last change, compressed."""
    return gzip.compress(Path(path).read_bytes(), 6, mtime=0)


class SiteHandler(SimpleHTTPRequestHandler):
    """Serves one folder under a base path; what is not there gets the site's own 404 page.

    Texts are compressed and connections are kept, as hosts of static sites do. Browsers ask anew each time, unlike
    there, so that a site baked again is seen at once.
    """

    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds that a connection may be idle
    disable_nagle_algorithm = True  # else a body waits for the receipt of its headers, 40 ms

    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        ".webp": "image/webp",
        ".woff2": "font/woff2",
        ".js": "text/javascript",
    }

    def __init__(self, *arguments: Any, base_path: str, **options: Any) -> None:
        self.base_path = base_path
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        """Answer a GET; the bare base path leads to the first page."""
        if self._enter():
            super().do_GET()

    def do_HEAD(self) -> None:
        """Answer a HEAD."""
        if self._enter():
            super().do_HEAD()

    def _enter(self) -> bool:
        path = self.path.partition("?")[0]
        if self.base_path != "/" and path == self.base_path.rstrip("/"):
            self.send_response(HTTPStatus.MOVED_PERMANENTLY)
            self.send_header("Location", self.base_path)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return False
        if not path.startswith(self.base_path):
            self.send_error(HTTPStatus.NOT_FOUND)
            return False
        self.path = "/" + self.path[len(self.base_path) :]
        return True

    def end_headers(self) -> None:
        """End an answer's headers; a browser may keep what came, and asks before it takes it again."""
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def send_head(self) -> BytesIO | BinaryIO | None:
        """Send the headers of a file, which is compressed where that is of use and the browser can read it."""
        path = Path(self.translate_path(self.path))
        if self.path.partition("?")[0].endswith("/"):
            path /= "index.html"
        packs = "gzip" in self.headers.get("Accept-Encoding", "") and "If-Modified-Since" not in self.headers
        if not packs or path.suffix not in PACKED or not path.is_file():
            return super().send_head()
        changed = path.stat()
        body = _pack(str(path), changed.st_mtime_ns)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", self.guess_type(str(path)))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Last-Modified", formatdate(changed.st_mtime, usegmt=True))
        self.send_header("Vary", "Accept-Encoding")
        self.end_headers()
        return BytesIO(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer 404 with the site's own page."""
        page = Path(self.directory) / "404.html"
        if code != HTTPStatus.NOT_FOUND or not page.is_file():
            super().send_error(code, message, explain)
            return
        body = page.read_bytes()
        self.send_response(HTTPStatus.NOT_FOUND)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def list_directory(self, path: Any) -> None:
        """Folders without a page are not listed."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
        """Say nothing."""


def make_server(site: Path, *, port: int, base_path: str = "/") -> ThreadingHTTPServer:
    """Return a server of a site on the loopback address; port 0 takes a free one.

    Raises
    ------
    SiteError
        If the folder holds no site, or the port is taken.
    """
    if not (site / "index.html").is_file():
        raise SiteError(f"{site} should be a baked site and holds no index.html. Bake it first, or name its folder.")
    base = f"/{base_path.strip('/')}/" if base_path.strip("/") else "/"
    handler = functools.partial(SiteHandler, directory=str(site), base_path=base)
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise SiteError(
            f"The site should be served on port {port}, which cannot be used: {error}. Take another port."
        ) from error


def serve_site(site: Path, *, port: int, base_path: str = "/") -> None:
    """Serve a site until interrupted.

    Parameters
    ----------
    site : Path
        The baked folder.
    port : int
        On the loopback address; 0 takes a free one.
    base_path : str
        Path under which the site stands, as "/LeafLineage/".
    """
    server = make_server(site, port=port, base_path=base_path)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
