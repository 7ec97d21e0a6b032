"""``serve`` answers as hosts of static sites do: texts compressed, connections kept, nothing sent twice."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from leaflineage.website.serve import make_server

PACKS = {"Accept-Encoding": "gzip, deflate, br"}


@pytest.fixture(scope="module")
def connection(site: Path) -> Iterator[HTTPConnection]:
    """One connection for all that follows."""
    server = make_server(site, port=0, base_path="/LeafLineage/")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    connection = HTTPConnection("127.0.0.1", server.server_address[1])
    yield connection
    connection.close()
    server.shutdown()
    server.server_close()
    thread.join()


def ask(
    connection: HTTPConnection, path: str, headers: dict[str, str] = PACKS, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    connection.request(method, f"/LeafLineage{path}", headers=headers)
    answer = connection.getresponse()
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()


@pytest.mark.parametrize("path", ["/", "/map.html", "/assets/css/home.css", "/families/betulaceae/"])
def test_texts_come_compressed_where_that_can_be_read(connection: HTTPConnection, site: Path, path: str) -> None:
    file = site / (f"{path}index.html" if path.endswith("/") else path).lstrip("/")
    status, headers, body = ask(connection, path)
    assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "Accept-Encoding")
    assert gzip.decompress(body) == file.read_bytes()
    assert len(body) < file.stat().st_size / 2
    status, plain, body = ask(connection, path, {})
    assert (status, "content-encoding" in plain, body) == (200, False, file.read_bytes())
    assert plain["content-type"] == headers["content-type"]


def test_faces_and_pictures_come_as_they_are(connection: HTTPConnection, site: Path) -> None:
    status, headers, body = ask(connection, "/assets/fonts/source-serif-4.woff2")
    assert (status, headers["content-type"]) == (200, "font/woff2")
    assert body == (site / "assets/fonts/source-serif-4.woff2").read_bytes()


def test_what_the_browser_has_is_asked_for_and_not_sent_again(connection: HTTPConnection) -> None:
    _, headers, _ = ask(connection, "/map.html")
    assert headers["cache-control"] == "no-cache"
    status, _, body = ask(connection, "/map.html", {**PACKS, "If-Modified-Since": headers["last-modified"]})
    assert (status, body) == (304, b"")


def test_the_head_alone_is_that_of_the_whole(connection: HTTPConnection) -> None:
    _, whole, _ = ask(connection, "/")
    status, alone, body = ask(connection, "/", method="HEAD")
    assert (status, body) == (200, b"")
    assert {**alone, "date": ""} == {**whole, "date": ""}


def test_a_connection_outlives_a_redirect_and_a_page_that_is_not_there(connection: HTTPConnection, site: Path) -> None:
    status, headers, _ = ask(connection, "")
    assert (status, headers["location"]) == (301, "/LeafLineage/")
    kept = connection.sock
    status, _, body = ask(connection, "/nowhere.html")
    assert (status, body) == (404, (site / "404.html").read_bytes())
    assert ask(connection, "/")[0] == 200
    assert kept is not None
    assert connection.sock is kept


def test_a_page_baked_again_is_seen_at_once(connection: HTTPConnection, site: Path) -> None:
    extra = site / "extra.html"
    try:
        for text in ("one", "two"):
            extra.write_text(text)
            assert gzip.decompress(ask(connection, "/extra.html")[2]).decode() == text
    finally:
        extra.unlink()
