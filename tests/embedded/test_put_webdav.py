"""Uploading to a real XRootD server by HTTP."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.errors import UploadError
from ctao_bdms.integrity import digest_file
from ctao_bdms.model import Lfn
from ctao_bdms.storage.sinks import temporary_prefix
from ctao_bdms.storage.webdav import WebDavSink
from ctao_bdms.upload.deliver import deliver
from tests.debian import demand
from tests.embedded.storage_servers import Server, is_there

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

demand("xrootd-server", there=is_there())

LFN = Lfn("/ctao/dpps/DL3/x.fits")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """Run an XRootD server on loopback; give its URL and the folder of its files."""
    server = Server("DATA", tmp_path_factory.mktemp("data"))
    yield server.base, server.folder
    server.end()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "x.fits"
    path.write_bytes(os.urandom(3_000_000))
    return path


def _deliver(url: str, source: Path, lfn: Lfn) -> int:
    size, digests = digest_file(source)
    sent: list[int] = []
    deliver(WebDavSink(url), source, lfn, size_bytes=size, adler32=digests["adler32"], on_bytes=sent.append)
    return sum(sent)


def test_a_file_arrives_once_and_nothing_is_left_beside_it(server: tuple[str, Path], source: Path) -> None:
    url, store = server
    assert _deliver(url, source, LFN) == 3_000_000
    stored = store / LFN.text[1:]
    assert stored.read_bytes() == source.read_bytes()
    assert [path.name for path in stored.parent.iterdir()] == [LFN.name]
    assert _deliver(url, source, LFN) == 0


def test_nothing_is_replaced(server: tuple[str, Path], source: Path) -> None:
    url, store = server
    lfn = Lfn("/ctao/dpps/DL3/y.fits")
    _deliver(url, source, lfn)
    before = source.read_bytes()
    source.write_bytes(b"other content")
    with pytest.raises(UploadError, match="another upload of that name seems to be under way"):
        _deliver(url, source, lfn)
    sink = WebDavSink(url)
    with sink.write(source, lfn, lambda _: None) as part:
        assert not part.commit()
    stored = store / lfn.text[1:]
    assert stored.read_bytes() == before
    assert not list(stored.parent.glob(f"{temporary_prefix(lfn)}*"))


def test_what_is_left_and_old_is_taken_away(server: tuple[str, Path], source: Path) -> None:
    url, store = server
    lfn = Lfn("/ctao/dpps/DL3/z.fits")
    _deliver(url, source, Lfn("/ctao/dpps/DL3/first.fits"))
    folder = (store / lfn.text[1:]).parent
    old, young = (folder / f"{temporary_prefix(lfn)}{age}.part" for age in ("00000001", "00000002"))
    for path in (old, young):
        path.write_bytes(b"left")
        os.chmod(path, 0o666)  # noqa: PTH101
    os.utime(old, (0, 0))
    WebDavSink(url).tidy(lfn)
    assert (old.exists(), young.exists()) == (False, True)


def test_bytes_that_nobody_claims_and_the_archive_does_not_know_are_taken_back(
    server: tuple[str, Path], source: Path
) -> None:
    url, store = server
    lfn, sink = Lfn("/ctao/dpps/back/a.fits"), WebDavSink(url)
    _deliver(url, source, lfn)
    assert not sink.take_back(lfn, lambda: True)
    assert (store / lfn.text[1:]).read_bytes() == source.read_bytes()
    assert sink.take_back(lfn, lambda: False)
    assert sink.take_back(lfn, lambda: False)
    assert not list((store / lfn.text[1:]).parent.iterdir())


def test_bytes_in_a_folder_that_another_claims_stay(server: tuple[str, Path], source: Path) -> None:
    url, store = server
    lfn, sink = Lfn("/ctao/dpps/claimed/a.fits"), WebDavSink(url)
    stored = store / lfn.text[1:]
    with sink.claim(lfn) as claim:
        _deliver(url, source, lfn)
        claim.renew()
        assert not WebDavSink(url).take_back(lfn, lambda: False)
        assert stored.read_bytes() == source.read_bytes()
        (left,) = (path for path in stored.parent.iterdir() if path != stored)
        os.utime(left, (0, 0))  # as one of a process that has died
        assert WebDavSink(url).take_back(lfn, lambda: False)
    assert not list(stored.parent.iterdir())


def test_a_claim_or_an_upload_that_comes_meanwhile_keeps_its_bytes(server: tuple[str, Path], source: Path) -> None:
    url, store = server
    lfn, sink = Lfn("/ctao/dpps/meanwhile/a.fits"), WebDavSink(url)
    stored = store / lfn.text[1:]
    _deliver(url, source, lfn)

    def is_known() -> bool:
        with sink.claim(lfn):
            _deliver(url, source, lfn)
        return False

    assert sink.take_back(lfn, is_known)
    assert stored.read_bytes() == source.read_bytes()
    assert [path.name for path in stored.parent.iterdir()] == [lfn.name]


def test_a_server_that_is_gone_is_an_error_that_says_so(source: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    with pytest.raises(UploadError, match="does not answer"):
        _deliver(f"http://127.0.0.1:{port}/data", source, LFN)
