"""Copies are read back from files and over HTTP."""

from __future__ import annotations

import http.server
import threading
from typing import TYPE_CHECKING, ClassVar

import attrs
import pytest
from tests.unit.space_release.kept import PIC, START, Kept

from ctao_bdms.errors import (
    UnreachableError,
)
from ctao_bdms.preservation import Decision, read_back, read_manifest
from ctao_bdms.preservation.manifests import check_manifest
from ctao_bdms.preservation.verifiers import FileVerifier, SourceVerifier, verifier_for

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_copy_is_read_by_the_url_that_works_here(kept: Kept) -> None:
    lfns = [product.lfn for product in kept.archive.products_in(kept.block)]
    for lfn, file in kept.archive.files(lfns).items():
        doors = tuple(
            attrs.evolve(each, pfn=f"root://{each.rse}//{lfn}", others=("tape://x/y", each.pfn))
            for each in file.replicas
        )
        kept.archive.set_file(attrs.evolve(file, replicas=doors))
    without_bindings = {"file": FileVerifier()}
    manifest = read_manifest(kept.archive, kept.block, PIC, without_bindings)
    assert {file.lfn for file in manifest.files} == {written.lfn for written in kept.written}
    checked = check_manifest(kept.archive, kept.block, PIC, now=lambda: START, deep=True, verifiers=without_bindings)
    assert (checked.verdict, checked.n_read) == ("agrees", 3)
    (row,) = kept.run(verifiers=without_bindings)
    assert row.verdict is Decision.ENDED
    assert {proof.how for proof in kept.bdms.blocks.evidence(kept.block) if proof.what == "verified"} == {"file"}


def test_copy_that_no_url_opens_is_reported(kept: Kept) -> None:
    file = kept.file
    shut = attrs.evolve(file.replicas[0], others=("tape://x/y",))
    kept.path(shut.rse).unlink()
    (found,) = read_back([attrs.evolve(file, replicas=(shut,))], now=lambda: START)
    assert "No such file" in found.problem
    assert "copies are read back by" in found.problem
    assert not found.is_rotten
    (found,) = read_back([attrs.evolve(file, replicas=(attrs.evolve(shut, pfn="", others=()),))], now=lambda: START)
    assert found.problem == f"the copy at {shut.rse} has no URL that can be opened here"


class _Storage(http.server.SimpleHTTPRequestHandler):
    """A storage with HTTP."""

    root: ClassVar[str] = ""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, directory=self.root, **kwargs)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        if not self.path.endswith("/short"):
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()
        self.wfile.write(b"abc")

    def do_HEAD(self) -> None:
        if not self.path.endswith("/short"):
            super().do_HEAD()
            return
        self.send_response(200)
        self.send_header("Content-Length", "10")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def url(kept: Kept) -> Iterator[str]:
    _Storage.root = str(kept.storages[PIC])
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Storage) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_copies_are_read_over_http(kept: Kept, url: str) -> None:
    lfn, file = kept.written[0].lfn, kept.file
    place = next(number for number, replica in enumerate(file.replicas) if replica.rse == PIC)
    replicas = list(file.replicas)
    replicas[place] = attrs.evolve(replicas[place], pfn=f"{url}{lfn}")
    counted: list[int] = []
    (found,) = read_back(
        [attrs.evolve(file, replicas=tuple(replicas))], now=lambda: START, at={PIC}, on_bytes=counted.append
    )
    assert (found.problem, found.how, found.sha256) == ("", "http", kept.written[0].sha256)
    assert sum(counted) == file.size_bytes
    verifier = verifier_for(url)
    assert isinstance(verifier, SourceVerifier)
    assert verifier.size_bytes(f"dav{url.removeprefix('http')}{lfn}") == file.size_bytes
    assert verifier.content(f"{url}{lfn}") == kept.path(PIC).read_bytes()
    kept.path(PIC).unlink()
    replicas = [attrs.evolve(replicas[place], pfn=f"{url}{lfn}")]
    (found,) = read_back([attrs.evolve(file, replicas=tuple(replicas))], now=lambda: START)
    assert "404" in found.problem


def test_broken_download_is_no_proof(url: str) -> None:
    verifier = verifier_for(url)
    with pytest.raises(UnreachableError, match="ends at byte 3 of 10"):
        verifier.read(f"{url}/short", lambda _: None)
    with pytest.raises(UnreachableError, match="ends at byte 3 of 10"):
        verifier.content(f"{url}/short")


def test_unsupported_protocol_is_reported(kept: Kept) -> None:
    file = kept.file
    replica = attrs.evolve(file.replicas[0], pfn="tape://x/y")
    (found,) = read_back([attrs.evolve(file, replicas=(replica,))], now=lambda: START)
    assert "copies are read back by dav, davs, file, http, https" in found.problem


def test_known_sha256_is_compared(kept: Kept) -> None:
    file = kept.file
    (found,) = read_back([file], now=lambda: START, at={PIC}, sha256={file.lfn: "0" * 64})
    assert found.problem == f"sha256 {kept.written[0].sha256}; expected {'0' * 64}"
