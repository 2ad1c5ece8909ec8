"""A released model, from a local server: what was pinned opens as a model folder, anything else is refused."""

from __future__ import annotations

import hashlib
import io
import zipfile

import model_folders
import pytest
from test_fetch import serve  # noqa: F401  a fixture

from bench import release_model
from lungseg import model_folder
from lungseg.__main__ import main
from lungseg.cli import fetch_model
from lungseg.errors import DataError, EnvironmentFailure, UsageError

CARD = "small-32/card.json"

pytest.importorskip("requests", reason="pip install 'lungseg[fetch]'")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return model_folder.open_folder(model_folders.make(tmp_path_factory.mktemp("made") / "small-32"))


@pytest.fixture(scope="module")
def body(made):
    return release_model.packed(made)


def digest(body):
    return hashlib.sha256(body).hexdigest()


def zip_of(files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def test_what_was_released_arrives_whole(serve, made, body, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    url = serve(body).url
    assert main(["fetch-model", url, digest(body)]) == 0
    assert capsys.readouterr().out.strip().endswith("small-32")
    result = model_folder.open_folder(tmp_path / "small-32")
    assert (result.card, result.weights) == (made.card, made.weights)
    assert [path.name for path in tmp_path.iterdir()] == ["small-32"]  # no archive, no scratch
    assert main(["fetch-model", url, digest(body)]) == 2  # what is there is never replaced
    assert fetch_model.fetch(url, digest(body).upper(), tmp_path / "a" / "mine").path == tmp_path / "a" / "mine"


def test_a_file_of_another_hash_is_refused_and_nothing_remains(serve, body, tmp_path):  # noqa: F811
    changed = bytearray(body)
    changed[len(changed) // 2] ^= 1
    with pytest.raises(DataError, match=f"SHA-256 {digest(changed)}, expected {digest(body)}"):
        fetch_model.fetch(serve(bytes(changed)).url, digest(body), tmp_path / "model")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "details"),
    [
        (
            lambda files: {**files, "small-32/card.json": files["small-32/card.json"] + b" "},
            "card.json: is not the file",
        ),
        (lambda files: {**files, "small-32/weights.pkl": b"x"}, "'weights.pkl', which no model folder has"),
        (lambda files: {**files, "other.txt": b"x"}, "2 entries in the archive, expected one model folder"),
        (lambda files: {**files, "../out.txt": b"x"}, "nothing was unpacked"),
        (lambda files: {"card.json": files[CARD]}, "expected one model folder"),
    ],
    ids=["tampered card", "pickle", "a file beside it", "climbs out", "no folder"],
)
def test_a_release_that_is_pinned_but_no_model_folder_is_refused(
    serve, body, tmp_path, change, details  # noqa: F811
):  # fmt: skip
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    other = zip_of(change(files))
    with pytest.raises(DataError, match=details):
        fetch_model.fetch(serve(other).url, digest(other), tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_addresses_and_hashes_that_are_none_are_named(body, tmp_path):
    with pytest.raises(UsageError, match="http://"):
        fetch_model.fetch("file:///model.zip", digest(body), tmp_path / "model")
    with pytest.raises(UsageError, match="64 hexadecimal digits"):
        fetch_model.fetch("http://127.0.0.1/model.zip", "33b70", tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_a_server_that_has_it_not(serve, body, tmp_path):  # noqa: F811
    with pytest.raises(EnvironmentFailure, match="the server refuses"):
        fetch_model.fetch(serve(b"", status=404).url, digest(body), tmp_path / "model")
    assert not list(tmp_path.iterdir())
