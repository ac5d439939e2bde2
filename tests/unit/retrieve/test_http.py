"""Files are fetched over HTTP, from servers that behave and servers that do not."""

from __future__ import annotations

import multiprocessing
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from tests.unit.retrieve.archive import CSCS, MB, PIC, PLACES, Archive, KillAt, get, part_size

from ctao_bdms.access import Fault, Fetching, open_file
from ctao_bdms.errors import (
    InvalidNameError,
    UnreachableError,
)
from ctao_bdms.storage import Sources
from ctao_bdms.testing.contract import ONSITE

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.retrieve.web import Handler, Web


@pytest.mark.parametrize("ranges", [True, False])
def test_http_downloads_share_connections(archive: Archive, web: Web, tmp_path: Path, ranges: bool) -> None:
    archive.doors, web.ranges = {CSCS: (web.url,)}, ranges
    fetched = get(archive, archive.lfns, tmp_path / "to", jobs=2)
    assert {(each.status, each.rse) for each in fetched} == {(Fetching.FETCHED, CSCS)}
    assert [each.path.read_bytes() for each in fetched] == archive.contents
    assert len(web.asked) == len(archive.lfns), "one request a file"
    assert web.connections <= 2


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("ranges", [True, False])
def test_forked_child_takes_no_bytes_from_the_response_of_its_parent(large: Archive, web: Web, ranges: bool) -> None:
    web.ranges, content = ranges, large.contents[0]
    large.doors = dict.fromkeys(PLACES, (web.url,))
    fork = multiprocessing.get_context("fork")
    with open_file(large, large.rses(), large.lfns[0]) as stream:
        assert stream.read(100) == content[:100]
        for _ in range(3):
            answers = fork.SimpleQueue()
            child = fork.Process(target=lambda answers=answers: answers.put(stream.read() == content[100:]))
            child.start()
            assert stream.read(MB) == content[stream.tell() - MB : stream.tell()]
            child.join(60)
            assert child.exitcode == 0
            assert answers.get()
            assert stream.seek(100) == 100
        assert stream.read() == content[100:]


@pytest.mark.parametrize("ranges", [True, False])
def test_large_file_is_resumed_over_http(large: Archive, web: Web, tmp_path: Path, ranges: bool) -> None:
    large.doors, web.ranges = {CSCS: (web.url,)}, ranges
    with pytest.raises(KeyboardInterrupt):
        get(large, large.lfns, tmp_path / "to", progress=KillAt(15 * MB))
    web.asked.clear()
    (fetched,) = get(large, large.lfns, tmp_path / "to")
    assert (fetched.rse, fetched.path.read_bytes()) == (CSCS, large.contents[0])
    assert web.asked[0][1].startswith(f"bytes={part_size(15)}-")


def test_corrupt_copy_over_http_is_declared_bad(archive: Archive, web: Web, tmp_path: Path) -> None:
    archive.doors = {CSCS: (web.url,)}
    archive.place(archive.lfns[0], CSCS).write_bytes(b"B" * 100_000)
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert fetched.rse == PIC
    assert archive.bad == [(str(archive.lfns[0]), CSCS)]
    assert len(web.asked) == 2, "read twice before it is called bad"


def test_wrong_size_once_or_at_one_url_blames_no_copy(archive: Archive, web: Web, tmp_path: Path) -> None:
    lfn, asked = archive.lfns[0], list[str]()
    archive.doors = {CSCS: (web.url,)}

    def asking_who_one_is(handler: Handler) -> bool:
        asked.append(handler.path)
        if len(asked) == 1 or handler.path.startswith("/portal"):
            handler.answer(200, b"<html>Who are you?</html>", {})
            return True
        return False

    web.mood = asking_who_one_is
    (fetched,) = get(archive, [lfn], tmp_path / "once")
    assert (fetched.rse, fetched.troubles) == (CSCS, ())
    archive.doors = {CSCS: (f"{web.url}/portal", web.url)}
    (fetched,) = get(archive, [lfn], tmp_path / "one door")
    assert (fetched.rse, fetched.troubles) == (CSCS, ())
    with open_file(archive, archive.rses(), lfn) as stream:
        assert stream.read() == archive.contents[0]
    assert not archive.bad
    assert not archive.suspicious


@pytest.mark.parametrize(
    ("status", "fault"), [(404, Fault.SUSPICIOUS), (403, Fault.OUT_OF_REACH), (503, Fault.OUT_OF_REACH)]
)
def test_http_status_decides_the_fault(archive: Archive, web: Web, tmp_path: Path, status: int, fault: Fault) -> None:
    archive.doors = {CSCS: (web.url,)}

    def refusing(handler: Handler) -> bool:
        handler.send_error(status)
        return True

    web.mood = refusing
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert (fetched.rse, [trouble.fault for trouble in fetched.troubles]) == (PIC, [fault])
    assert str(status) in fetched.troubles[0].reason


def test_broken_download_resumes_from_the_next_copy(large: Archive, web: Web, tmp_path: Path) -> None:
    large.doors = {CSCS: (web.url,), PIC: (web.url,)}

    def breaking(handler: Handler) -> bool:
        if CSCS not in handler.path:
            return False
        data = large.contents[0]
        headers = {"Content-Range": f"bytes 0-{len(data) - 1}/{len(data)}"}
        handler.answer(206, data[: 30 * MB], headers, len(data))
        handler.close_connection = True
        return True

    web.mood = breaking
    (fetched,) = get(large, large.lfns, tmp_path / "to")
    assert (fetched.rse, fetched.path.read_bytes()) == (PIC, large.contents[0])
    assert [trouble.fault for trouble in fetched.troubles] == [Fault.OUT_OF_REACH]
    assert "breaks off" in fetched.troubles[0].reason or "ends at byte" in fetched.troubles[0].reason
    path, span = web.asked[-1]
    assert path.startswith(f"/{PIC}/")
    assert span.startswith(f"bytes={7 * (4 << 20)}-"), "what the first copy gave is not fetched again"


def test_next_url_is_tried_if_a_server_does_not_answer(archive: Archive, web: Web, tmp_path: Path) -> None:
    nobody = "http://127.0.0.1:9"
    archive.doors = {CSCS: (nobody, "gopher://old", web.url)}
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert (fetched.rse, fetched.troubles) == (CSCS, ())
    with Sources() as sources, pytest.raises(UnreachableError, match="does not answer"):
        sources.open(f"{nobody}/x")
    with Sources() as sources, pytest.raises(InvalidNameError, match="gopher"):
        sources.open("gopher://old/x")


def test_invalid_proxy_certificate_is_named_and_blames_no_copy(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = tmp_path / "x509up_u1000"
    proxy.write_text("this is no certificate")
    monkeypatch.setenv("X509_USER_PROXY", str(proxy))
    archive.doors = {CSCS: ("https://127.0.0.1:9",), PIC: ("davs://127.0.0.1:9",)}
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert fetched.rse == ONSITE
    assert [trouble.fault for trouble in fetched.troubles] == [Fault.OUT_OF_REACH] * 2
    assert f"X509_USER_PROXY, {proxy}, holds no certificate" in fetched.troubles[0].reason
    assert "make a new proxy" in fetched.troubles[0].reason
    open_file(archive, archive.rses(), archive.lfns[0]).close()
    assert not archive.suspicious


def test_invalid_token_file_is_named_and_its_content_is_not_shown(
    archive: Archive, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("X509_USER_PROXY", "BEARER_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    token = tmp_path / "token"
    token.write_text("eyJhbGciOi\n# my token")
    monkeypatch.setenv("BEARER_TOKEN_FILE", str(token))
    archive.doors = {CSCS: ("https://127.0.0.1:9",)}
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert [trouble.fault for trouble in fetched.troubles] == [Fault.OUT_OF_REACH]
    assert f"{token} holds no token" in fetched.troubles[0].reason
    assert "eyJ" not in str(fetched)
    archive.doors = {CSCS: (web.url,)}
    assert get(archive, archive.lfns[1:2], tmp_path / "to")[0].rse == CSCS, "without TLS no token is shown"


@pytest.mark.parametrize(
    "door", ["http://127.0.0.1:port", "http://[::1", "http://127.0.0.1:9/a b", "http://127.0.0.1:9/\u03b3", "redirect"]
)
def test_invalid_url_stops_nothing(
    archive: Archive, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, door: str
) -> None:
    def leading_astray(handler: Handler) -> bool:
        handler.answer(302, b"", {"Location": "http://[::1/x"})
        return True

    web.mood = leading_astray
    archive.doors = {CSCS: (web.url if door == "redirect" else door,)}
    fetched = get(archive, archive.lfns[:2], tmp_path / "to")
    assert [each.rse for each in fetched] == [PIC, PIC]
    assert {trouble.fault for each in fetched for trouble in each.troubles} == {Fault.OUT_OF_REACH}
    assert not archive.suspicious


def test_response_of_unknown_length_blames_no_copy(archive: Archive, web: Web, tmp_path: Path) -> None:
    archive.doors = {CSCS: (web.url,)}

    def asking_who_one_is(handler: Handler) -> bool:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"<html>Who are you?</html>")
        return True

    web.mood = asking_who_one_is
    (fetched,) = get(archive, archive.lfns[:1], tmp_path / "to")
    assert (fetched.rse, [trouble.fault for trouble in fetched.troubles]) == (PIC, [Fault.OUT_OF_REACH])


def test_broken_download_without_ranges_is_out_of_reach(large: Archive, web: Web, tmp_path: Path) -> None:
    large.doors, web.ranges = {CSCS: (web.url,)}, False
    with pytest.raises(KeyboardInterrupt):
        get(large, large.lfns, tmp_path / "to", progress=KillAt(15 * MB))

    def breaking(handler: Handler) -> bool:
        handler.answer(200, large.contents[0][: 3 * MB], {}, 40 * MB)
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True
        return True

    web.mood = breaking
    (fetched,) = get(large, large.lfns, tmp_path / "to")
    assert (fetched.rse, [trouble.fault for trouble in fetched.troubles]) == (PIC, [Fault.OUT_OF_REACH])
    assert fetched.path.read_bytes() == large.contents[0]


def test_source_reports_its_real_size_whatever_was_expected(archive: Archive, web: Web) -> None:
    url = f"{web.url}/{CSCS}{archive.lfns[1]}"
    buffer = memoryview(bytearray(200_000))
    with Sources() as sources:
        for expected in (None, 0, 1, 100_000):
            source = sources.open(url, 0, expected)
            assert source.size_bytes == 100_000
            assert source.read_at(buffer, 10) == 99_990
            assert bytes(buffer[:99_990]) == archive.contents[1][10:]
            assert source.read_at(buffer, 100_000) == 0
            source.close()
        for position in (0, 150_000):
            source = sources.open(url, position, 200_000)
            assert source.size_bytes == 100_000
            assert source.read_at(buffer, 0) == 100_000
            source.close()


def test_redirects_are_followed_and_redirect_loops_are_not(archive: Archive, web: Web, tmp_path: Path) -> None:
    archive.doors = {CSCS: (web.url,)}

    def moving(handler: Handler) -> bool:
        if handler.path.startswith("/pool"):
            handler.path = handler.path.removeprefix("/pool")
            return False
        handler.answer(302, b"", {"Location": f"/pool{handler.path}"})
        return True

    web.mood = moving
    assert get(archive, archive.lfns[:1], tmp_path / "to")[0].rse == CSCS

    def circling(handler: Handler) -> bool:
        handler.answer(307, b"", {"Location": handler.path})
        return True

    web.mood = circling
    (fetched,) = get(archive, archive.lfns[1:2], tmp_path / "to")
    assert "circle" in fetched.troubles[0].reason


def test_closed_connection_is_replaced(archive: Archive, web: Web, tmp_path: Path) -> None:
    archive.doors = {CSCS: (web.url,)}

    def closing(handler: Handler) -> bool:
        handler.close_connection = True  # without saying so
        return False

    web.mood = closing
    fetched = get(archive, archive.lfns, tmp_path / "to", jobs=1)
    assert {(each.rse, each.troubles) for each in fetched} == {(CSCS, ())}
