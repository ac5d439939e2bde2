"""Files are opened and read where they are stored."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING

import pytest
from tests.unit.retrieve.archive import CSCS, MB, PIC, Archive

from ctao_bdms.access import Health, open_file
from ctao_bdms.archive import Bdms
from ctao_bdms.errors import (
    RetrievalError,
)
from ctao_bdms.replication import Policy
from ctao_bdms.testing.contract import ONSITE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.retrieve.web import Web


@pytest.mark.parametrize("door", ["file", "http"])
def test_open_file_reads_and_seeks(large: Archive, web: Web, door: str) -> None:
    large.doors = {CSCS: (web.url,)} if door == "http" else {}
    content = large.contents[0]
    with Bdms(large, policy=Policy.load()).open(large.lfns[0]) as stream:
        assert isinstance(stream, io.BufferedReader)
        assert stream.seekable()
        assert stream.read(10) == content[:10]
        assert stream.seek(-5, io.SEEK_END) == 40 * MB - 5
        assert stream.read() == content[-5:]
        assert stream.read(1) == b""
        assert stream.seek(30 * MB) == 30 * MB
        assert stream.seek(1000, io.SEEK_CUR) == 30 * MB + 1000
        assert stream.read(3 * MB) == content[30 * MB + 1000 : 33 * MB + 1000]
        with pytest.raises((ValueError, OSError)):
            stream.seek(-1)
        stream.seek(0)
        assert stream.read() == content
    assert stream.closed


def test_seek_does_not_fetch_skipped_bytes(large: Archive, web: Web) -> None:
    large.doors = {CSCS: (web.url,)}
    with Bdms(large, policy=Policy.load()).open(large.lfns[0]) as stream:
        stream.seek(35 * MB)
        stream.read(100)
    assert web.sent < 8 * MB


def test_open_falls_back_to_the_next_copy_and_reports_bad_ones(archive: Archive, web: Web) -> None:
    lfn = archive.lfns[0]
    archive.doors = {CSCS: ("http://127.0.0.1:9",)}
    archive.place(lfn, PIC).write_bytes(b"x" * 100_000)
    rses, health = archive.rses(), Health()
    with open_file(archive, rses, lfn, health=health) as stream:
        assert stream.read(1) == b"x", "without verify only the size is compared"
    with open_file(archive, rses, lfn, verify=True, health=health) as stream:
        assert stream.read() == archive.contents[0]
    assert archive.bad == [(str(lfn), PIC)]
    archive.place(lfn, ONSITE).write_bytes(b"short")
    with pytest.raises(RetrievalError, match="size 5"):
        open_file(archive, rses, lfn)
    assert archive.bad == [(str(lfn), PIC)], "who has not read a sound copy does not say that others are bad"
    assert list(archive.suspicious) == [(lfn, ONSITE)]
    assert health.failures(CSCS) == 2


def test_wrong_size_is_declared_bad_only_after_another_copy_was_read(archive: Archive) -> None:
    lfn = archive.lfns[0]
    archive.place(lfn, CSCS).write_bytes(b"short")
    open_file(archive, archive.rses(), lfn).close()
    assert (archive.bad, list(archive.suspicious)) == ([], [(lfn, CSCS)])
    open_file(archive, archive.rses(), lfn, verify=True).close()
    assert archive.bad == [(str(lfn), CSCS)]


def test_copy_that_opens_by_its_second_url_is_not_blamed(archive: Archive, web: Web) -> None:
    lfn, health = archive.lfns[0], Health()
    archive.doors = {CSCS: (f"{web.url}/nothing-here", web.url)}
    with open_file(archive, archive.rses(), lfn, health=health) as stream:
        assert stream.read() == archive.contents[0]
    assert not archive.suspicious
    assert health.failures(CSCS) == 0
    assert web.asked[-1][0].startswith(f"/{CSCS}")
    archive.doors = {CSCS: ("http://127.0.0.1:9", f"{web.url}/nothing-here")}
    open_file(archive, archive.rses(), lfn, health=health).close()
    assert list(archive.suspicious) == [(lfn, CSCS)], "one copy, whatever the number of its doors"
    assert [len(reasons) for reasons in archive.suspicious.values()] == [1]
    assert health.failures(CSCS) == 1


@pytest.mark.parametrize("door", ["file", "http"])
def test_file_truncated_while_open_raises(large: Archive, web: Web, door: str) -> None:
    large.doors = {CSCS: (web.url,)} if door == "http" else {}
    reads: tuple[Callable[[io.BufferedReader], bytes], ...] = (
        lambda stream: stream.read(),
        lambda stream: stream.read(20 * MB),
        lambda stream: b"".join(stream),
    )
    for read in reads:
        large.place(large.lfns[0], ONSITE).write_bytes(b"x" * 40 * MB)
        with Bdms(large, policy=Policy.load()).open(large.lfns[0]) as stream:
            stream.seek(30 * MB)
            stream.read(1)
            os.truncate(large.place(large.lfns[0], ONSITE), 35 * MB)
            with pytest.raises(OSError, match="changed while it was being read"):
                read(stream)


def test_astropy_reads_an_open_file(tmp_path: Path, web: Web) -> None:
    import numpy as np
    from astropy.io import fits

    image = np.arange(1_000_000, dtype=">f4").reshape(1000, 1000)
    memory = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(image), fits.ImageHDU(image[:10], name="SMALL")]).writeto(memory)
    archive = Archive(tmp_path / "storage", [memory.getvalue()])
    for door in ((), (web.url,)):
        archive.doors[CSCS] = door
        with Bdms(archive, policy=Policy.load()).open(archive.lfns[0]) as stream, fits.open(stream) as hdus:
            assert np.array_equal(hdus["SMALL"].data, image[:10])
            assert np.array_equal(hdus[0].data, image)
