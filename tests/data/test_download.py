# pyright: reportIncompatibleMethodOverride=false, reportMissingImports=false
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from unbraid.data import DataError, DownloadError
from unbraid.data.download import Remote, cache_folder, fetch

CONTENT = np.random.default_rng(0).bytes(300_000)
SHA256 = "sha256:" + hashlib.sha256(CONTENT).hexdigest()


class Server:
    """Serves CONTENT; `cuts` says after how many bytes each of the first answers breaks off."""

    def __init__(self):
        self.content, self.cuts, self.ranges, self.can_resume = CONTENT, [], [], True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked = self.headers.get("Range")
                outer.ranges.append(asked)
                start = int(asked[6:-1]) if asked and outer.can_resume else 0
                if self.path == "/missing" or start > len(outer.content):
                    self.send_error(404 if self.path == "/missing" else 416)
                    return
                body = outer.content[start:]
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: outer.cuts.pop(0)] if outer.cuts else body)

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever)
        self.thread.start()

    def close(self):
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("UNBRAID_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("UNBRAID_DATA", raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server()
    yield server
    server.close()


def remote(server, path="/file", checksum=SHA256):
    return Remote("set/file.gz", server.url + path, checksum)


def test_a_file_is_fetched_once(server):
    path = fetch(remote(server))
    assert path == cache_folder() / "set" / "file.gz" and path.read_bytes() == CONTENT
    assert fetch(remote(server)) == path and server.ranges == [None]
    assert [file.name for file in path.parent.iterdir()] == ["file.gz"]


def test_a_broken_download_goes_on_where_it_stopped(server):
    server.cuts = [100_000, 50_000]
    assert fetch(remote(server)).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=100000-", "bytes=150000-"]


def test_a_server_that_cannot_resume_starts_anew(server):
    server.cuts, server.can_resume = [100_000], False
    assert fetch(remote(server)).read_bytes() == CONTENT


def test_a_later_call_goes_on_where_the_last_one_stopped(server):
    server.cuts = [100_000, 0]
    with pytest.raises(DownloadError, match=r"is at 100000 bytes .*Run again to resume"):
        fetch(remote(server))
    assert fetch(remote(server)).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=100000-"


def test_leftovers_longer_than_the_file_are_thrown_away(server):
    part = cache_folder() / "set" / "file.gz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(400_000))
    assert fetch(remote(server)).read_bytes() == CONTENT


def test_a_whole_leftover_is_not_fetched_again(server):
    part = cache_folder() / "set" / "file.gz.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(CONTENT)
    assert fetch(remote(server)).read_bytes() == CONTENT and server.ranges == []


def test_a_wrong_file_is_put_aside_with_both_checksums_named(server):
    server.content = b"x" + CONTENT[1:]
    found = hashlib.sha256(server.content).hexdigest()
    with pytest.raises(DataError, match=f"is sha256:{found}; expected {SHA256}.*file.gz.wrong"):
        fetch(remote(server))
    assert [file.name for file in (cache_folder() / "set").iterdir()] == ["file.gz.wrong"]
    server.content = CONTENT
    assert fetch(remote(server)).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_fetched_anew(server):
    fetch(remote(server)).write_bytes(b"damaged")
    assert fetch(remote(server)).read_bytes() == CONTENT


def test_a_missing_file_is_named_with_its_address(server):
    with pytest.raises(DownloadError, match=f"{server.url}/missing is at 0 bytes .*404"):
        fetch(remote(server, "/missing"))


def test_without_a_network_the_way_round_is_named(server):
    server.http.server_close()  # nobody listens any more
    message = (
        f"download of {server.url}/file is at 0 bytes .*put the file at .*set/file.gz, or set"
    )
    with pytest.raises(DownloadError, match=message):
        fetch(remote(server))


def test_the_folder_of_existing_files_comes_first(server, monkeypatch, tmp_path):
    monkeypatch.setenv("UNBRAID_DATA", str(tmp_path))
    own = tmp_path / "set" / "file.gz"
    own.parent.mkdir()
    own.write_bytes(CONTENT)
    assert fetch(remote(server)) == own and server.ranges == []


def test_a_wrong_existing_file_is_refused_and_left_alone(server, monkeypatch, tmp_path):
    monkeypatch.setenv("UNBRAID_DATA", str(tmp_path))
    own = tmp_path / "set" / "file.gz"
    own.parent.mkdir()
    own.write_bytes(b"other")
    with pytest.raises(DataError, match=f"checksum of .*file.gz is sha256:.*; expected {SHA256}"):
        fetch(remote(server))
    assert own.read_bytes() == b"other"
