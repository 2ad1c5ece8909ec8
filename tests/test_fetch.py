"""Fetching from a server that may lie or break off. Only 127.0.0.1 is asked."""

import errno
import hashlib
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from archives import montgomery_zip, zip_of

import lungseg
from lungseg import download
from lungseg.datasets import DATASETS, Case, Dataset, fetch
from lungseg.errors import DataError, EnvironmentFailure, UsageError

PAGE = b"<!DOCTYPE html><html><body>The service is down for maintenance.</body></html>"


class Server:
    """Answers every request with ``body``; counts the requests."""

    def __init__(self, body: bytes, status: int = 200, announced: object = None, **headers: str) -> None:
        self.requests = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests += 1
                self.send_response(status)
                self.send_header("Content-Length", str(len(body) if announced is None else announced))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/set.zip"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    monkeypatch.setenv("no_proxy", "*")
    servers: list[Server] = []

    def start(*args: object, **kwargs: object) -> Server:
        servers.append(Server(*args, **kwargs))  # type: ignore[arg-type]
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture
def body(tmp_path: Path) -> bytes:
    return montgomery_zip(tmp_path)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "data" / "montgomery"


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def montgomery(target, url=None, digest=None, say=None):
    """Fetch an archive of this hash as the Montgomery set; the pinned one unless given."""
    source = fetch.Source(url or "http://127.0.0.1", digest) if digest else DATASETS["montgomery"].source
    return fetch.download("montgomery", target, source, url, say)


def assert_nothing_remains(target: Path) -> None:
    assert not target.exists()
    assert not target.parent.exists()  # nor the folders that were made for it


def test_what_is_fetched_loads(serve, body, target):
    server = serve(body)
    root = montgomery(target, server.url, sha256(body))
    cases = lungseg.load("montgomery", root)
    assert [case.id for case in cases] == ["MCUCXR_0000_0", "MCUCXR_0001_1", "MCUCXR_0002_0"]
    assert dict(cases[1].attributes) == {"sex": "F", "age": 27, "tb": 1}
    assert sorted(path.name for path in root.iterdir()) == ["CXR_png", "ClinicalReadings", "ManualMask"]
    assert list(target.parent.iterdir()) == [target]  # no archive, no temporary folder


def test_a_whole_set_is_not_downloaded_again(serve, body, target):
    server, said = serve(body), []
    for _ in range(2):
        montgomery(target, server.url, sha256(body), said.append)
    assert server.requests == 1
    assert "nothing was downloaded" in said[-1]


def test_an_empty_folder_is_filled(serve, body, target):
    target.mkdir(parents=True)
    assert lungseg.load("montgomery", montgomery(target, serve(body).url, sha256(body)))


def test_a_folder_that_holds_something_else_is_left_alone(serve, body, target):
    target.mkdir(parents=True)
    (target / "thesis.tex").write_text("years of work")
    server = serve(body)
    with pytest.raises(DataError, match=r"not empty and not a complete.*another folder"):
        montgomery(target, server.url, sha256(body))
    assert (target / "thesis.tex").read_text() == "years of work"
    assert server.requests == 0


def test_a_set_that_lost_a_case_is_not_whole(serve, body, target, monkeypatch):
    server = serve(body)
    source = fetch.Source(server.url, sha256(body), cases=3)
    fetch.download("montgomery", target, source)
    for path in target.rglob("MCUCXR_0000_0.png"):
        path.unlink()
    with pytest.raises(DataError, match="holds 2 cases of 3"):
        fetch.download("montgomery", target, source)


def test_a_new_dataset_is_fetched_by_its_row_alone(serve, body, target, monkeypatch):
    """And one without an archive says so, whatever its row leaves out."""
    row = Dataset("lungseg.datasets.montgomery:load", source=fetch.Source(serve(body).url, sha256(body), cases=3))
    monkeypatch.setitem(DATASETS, "mine", row)
    monkeypatch.setitem(DATASETS, "bare", Dataset("mine.sets:bare"))
    assert len(lungseg.load("mine", fetch.fetch("mine", target))) == 3
    with pytest.raises(UsageError, match=r"'bare' has no automatic download: see its file, mine\.sets"):
        fetch.fetch("bare", target)


@pytest.mark.fault("F100")
def test_a_wrong_hash_is_refused(serve, body, target):
    with pytest.raises(DataError, match=f"SHA-256 {sha256(body)}, expected {'0' * 64}"):
        montgomery(target, serve(body).url, "0" * 64)
    assert_nothing_remains(target)


@pytest.mark.fault("F100")
def test_an_error_page_is_called_what_it_is(serve, target):
    with pytest.raises(DataError, match="is a web page, not the archive"):
        montgomery(target, serve(PAGE).url)
    assert_nothing_remains(target)


def test_a_refusing_server_is_named(serve, target):
    server = serve(PAGE, status=503)
    with pytest.raises(EnvironmentFailure, match=f"{server.url}: the server refuses .503"):
        montgomery(target, server.url)
    assert_nothing_remains(target)


def test_a_length_told_twice_is_that_length(serve, body, target):
    length = f"{len(body)}, {len(body)}"
    assert montgomery(target, serve(body, announced=length).url, sha256(body)) == target


def test_a_redirection_to_no_address_is_named(serve, target):
    server = serve(b"", status=302, Location="http://[::1")
    with pytest.raises(EnvironmentFailure, match=f"{server.url}: no connection .*check the network"):
        montgomery(target, server.url)
    assert_nothing_remains(target)


@pytest.mark.fault("F100")
def test_a_cut_connection_leaves_nothing(serve, body, target):
    with pytest.raises(EnvironmentFailure, match="cut before the end"):
        montgomery(target, serve(body[:100], announced=len(body)).url, sha256(body))
    assert_nothing_remains(target)


def test_no_network_says_so(serve, body, target):
    server = serve(body)
    server.stop()
    with pytest.raises(EnvironmentFailure, match=r"no connection .*refused.*check the network"):
        montgomery(target, server.url)
    assert_nothing_remains(target)


@pytest.mark.fault("F98", "F100")
def test_an_endless_download_is_stopped(serve, body, target, monkeypatch):
    monkeypatch.setattr(download, "LIMITS", download.ArchiveLimits(bytes=1000))
    with pytest.raises(DataError, match="sends more than 1,000 bytes"):
        montgomery(target, serve(body).url, sha256(body))
    assert_nothing_remains(target)


@pytest.mark.fault("F100")
def test_an_archive_without_the_set_is_refused(serve, target):
    data = zip_of(("readme.txt", b"nothing here"))
    with pytest.raises(DataError, match=r"set\.zip: no folder in the archive holds a Montgomery set"):
        montgomery(target, serve(data).url, sha256(data))
    assert_nothing_remains(target)


def of_any_layout(root):
    """``<id>.png`` beside ``<id>_lungs.png``."""
    masks = sorted(root.glob("*_lungs.png"))
    return [Case(m.stem[:-6], m.stem[:-6], m.with_name(f"{m.stem[:-6]}.png"), (m,)) for m in masks]


def test_a_set_of_any_layout_is_found_in_its_archive_by_its_own_loader(serve, target, monkeypatch):
    pairs = [(f"v2/toy set/{name}.png", b"") for name in ("a", "a_lungs", "b", "b_lungs")]
    data = zip_of(("readme.txt", b""), ("v2/docs/", b""), *pairs)
    source = fetch.Source(serve(data).url, sha256(data), cases=2)
    monkeypatch.setitem(DATASETS, "toy", Dataset(f"{__name__}:of_any_layout", source=source))
    fetch.fetch("toy", target)
    assert [case.id for case in lungseg.load("toy", target)] == ["a", "b"]
    assert not (target / "readme.txt").exists(), "what lies beside the set is left out"

    twice = zip_of(*pairs, ("other/c.png", b""), ("other/c_lungs.png", b""))
    with pytest.raises(DataError, match="2 folders in the archive hold a toy set, expected 1"):
        fetch.download("toy", target.with_name("two"), fetch.Source(serve(twice).url, sha256(twice)))


@pytest.mark.fault("F100")
def test_an_archive_with_a_mask_missing_is_refused(serve, target):
    data = zip_of(("S/CXR_png/a.png", b""), ("S/ManualMask/leftMask/a.png", b""), ("S/ManualMask/rightMask/", b""))
    with pytest.raises(DataError, match=r"set\.zip/CXR_png/a\.png: has no mask"):
        montgomery(target, serve(data).url, sha256(data))
    assert_nothing_remains(target)


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentFailure, match=r"file/set: cannot be written .*name a folder"):
        montgomery(tmp_path / "file" / "set")


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_nothing_remains_of_an_unpacking_that_fails(failure, serve, body, target, monkeypatch):
    def fail(*_):
        raise failure

    monkeypatch.setattr(download.shutil, "copyfileobj", fail)
    with pytest.raises((EnvironmentFailure, KeyboardInterrupt)):
        montgomery(target, serve(body).url, sha256(body))
    assert_nothing_remains(target)


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("shenzhen", "no automatic download.*by hand"),
        ("phantom", "made, not downloaded"),
        ("folder", "your own"),
    ],
)
def test_what_cannot_be_fetched_says_how_to_get_it(dataset, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        fetch.fetch(dataset, tmp_path / "set")


def test_an_unknown_dataset_lists_the_known():
    with pytest.raises(UsageError, match=f"known are {', '.join(DATASETS)}$"):
        fetch.fetch("montgomary")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://example.org/set.zip", "set.zip"])
def test_only_the_web_is_asked(url, target):
    with pytest.raises(UsageError, match="begins with http"):
        montgomery(target, url)
