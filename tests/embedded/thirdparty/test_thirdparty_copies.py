"""Copies between real XRootD servers by HTTP-TPC: what is verified, replaced and refused."""

from __future__ import annotations

import os
import threading
import zlib

import attrs
import pytest

from ctao_bdms.embedded.transfers.jobs import Checksum, Order, Verify
from ctao_bdms.embedded.transfers.movers import make_movers, mover_for
from ctao_bdms.embedded.transfers.refusals import InvalidRequestError, TransferAbandonedError, TransferFailedError
from ctao_bdms.embedded.transfers.thirdparty import ThirdPartyMover
from ctao_bdms.embedded.xrootd.webdav import WebDav
from tests.debian import demand
from tests.embedded.storage_servers import Proxy, Server, is_there
from tests.embedded.thirdparty.orders import ADLER32, DATA, REASONS, failure, never, place, through

demand("xrootd-server", there=is_there())


def test_copy_is_made_and_verified(order: Order, centre: Server, proxy: Proxy) -> None:
    assert ThirdPartyMover().move(through(proxy, order), never) == len(DATA)
    assert place(order, centre).read_bytes() == DATA
    assert centre.parts() == []
    assert len(proxy.read) == 1
    assert len(DATA) < proxy.returned < len(DATA) + 5000


@pytest.mark.parametrize("verify", [Verify.NONE, Verify.SOURCE, Verify.TARGET, Verify.BOTH])
def test_file_without_a_known_checksum_is_copied(order: Order, centre: Server, verify: Verify) -> None:
    ThirdPartyMover().move(attrs.evolve(order, checksum=None, size_bytes=None, verify=verify), never)
    assert place(order, centre).read_bytes() == DATA


def test_missing_source_fails_before_a_folder_is_made(order: Order, centre: Server) -> None:
    failure("source missing", attrs.evolve(order, source=f"{order.source}.none"))
    assert not place(order, centre).parent.exists()


def test_source_with_changed_bytes_is_not_copied(order: Order, site: Server, centre: Server) -> None:
    path = site.folder / order.source.removeprefix(f"{site.base}/")
    path.write_bytes(bytes([DATA[0] ^ 1]) + DATA[1:])
    found = f"{zlib.adler32(path.read_bytes()):08x}"
    with pytest.raises(TransferFailedError) as caught:
        ThirdPartyMover().move(order, never)
    text = REASONS["source changed"].replace("1a982599", found).replace("deadbeef", ADLER32.value)
    assert str(caught.value) == text
    assert not place(order, centre).parent.exists()


def test_target_detects_bit_rot_that_a_cached_source_checksum_hides(order: Order, site: Server, centre: Server) -> None:
    """A source that answers with a cached checksum misses the change; the destination detects it."""
    path = site.folder / order.source.removeprefix(f"{site.base}/")
    assert WebDav().adler32(order.source, len(DATA)) == ADLER32.value
    times = (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    with path.open("r+b") as stream:
        stream.write(bytes([DATA[0] ^ 1]))
    os.utime(path, ns=times)
    with pytest.raises(TransferFailedError, match="CHECKSUM MISMATCH"):
        ThirdPartyMover().move(order, never)
    assert not place(order, centre).exists()
    assert centre.parts() == []


def test_source_of_another_size_is_not_copied(order: Order) -> None:
    failure("source size", attrs.evolve(order, size_bytes=2_999_999))


def test_bit_flip_on_the_way_fails_the_copy(order: Order, centre: Server, proxy: Proxy) -> None:
    proxy.flips = 1
    with pytest.raises(TransferFailedError) as caught:
        ThirdPartyMover().move(through(proxy, order), never)
    text = str(caught.value)
    assert text.startswith(REASONS["corrupted in flight"].partition("(")[0])
    assert text.endswith(f"!= {ADLER32.value})")
    assert not place(order, centre).exists()
    assert centre.parts() == []
    ThirdPartyMover().move(through(proxy, order), never)  # the next try
    assert place(order, centre).read_bytes() == DATA


def test_cut_connection_fails_the_copy(order: Order, centre: Server, proxy: Proxy) -> None:
    proxy.cut_after = 1_000_000
    with pytest.raises(TransferFailedError) as caught:
        ThirdPartyMover().move(through(proxy, order), never)
    assert str(caught.value).startswith(REASONS["line cut"])
    assert not place(order, centre).exists()
    assert centre.parts() == []


def test_existing_target_is_replaced_on_request_only(order: Order, centre: Server) -> None:
    stale = place(order, centre)
    stale.parent.mkdir(parents=True)
    stale.write_bytes(DATA[:1000])
    failure("destination exists", order)
    assert stale.read_bytes() == DATA[:1000]
    ThirdPartyMover().move(attrs.evolve(order, overwrite=True), never)
    assert stale.read_bytes() == DATA


def test_failed_copy_leaves_the_existing_target(order: Order, centre: Server, proxy: Proxy) -> None:
    place(order, centre).parent.mkdir(parents=True)
    place(order, centre).write_bytes(b"what was there")
    proxy.flips = 1
    with pytest.raises(TransferFailedError, match="MISMATCH"):
        ThirdPartyMover().move(attrs.evolve(through(proxy, order), overwrite=True), never)
    assert place(order, centre).read_bytes() == b"what was there"


def test_stale_partial_copy_is_begun_anew(order: Order, centre: Server) -> None:
    part = place(order, centre).with_name(order.part)
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA[:1000])
    assert WebDav().adler32(f"{order.destination.rpartition('/')[0]}/{order.part}", 1000)  # remembered by the storage
    ThirdPartyMover().move(attrs.evolve(order, resumed=True), never)
    assert place(order, centre).read_bytes() == DATA
    assert not part.exists()


def test_finished_copy_is_not_made_again_after_a_restart(order: Order, centre: Server, proxy: Proxy) -> None:
    ThirdPartyMover().move(order, never)
    assert ThirdPartyMover().move(attrs.evolve(through(proxy, order), resumed=True), never) == len(DATA)
    assert proxy.read == []
    place(order, centre).write_bytes(b"x" * len(DATA))
    os.utime(place(order, centre), (1e9, 1e9))  # within the second of the copy, the storage would remember its digest
    failure("destination exists", attrs.evolve(order, resumed=True))


def test_cancelled_copy_leaves_nothing(order: Order, centre: Server, proxy: Proxy) -> None:
    proxy.delay_s = 0.2
    begun = threading.Event()

    def given_up() -> bool:
        if centre.parts():
            begun.set()
        return begun.is_set()

    with pytest.raises(TransferAbandonedError):
        ThirdPartyMover().move(through(proxy, order), given_up)
    assert not place(order, centre).exists()
    assert centre.parts() == []


def test_other_checksum_algorithms_are_refused(order: Order) -> None:
    failure("other digest", attrs.evolve(order, checksum=Checksum("sha256", "0" * 64)))


@pytest.mark.parametrize(
    "url",
    [
        "http://cern.ch/a",
        "http:///a",
        "http://127.0.0.1:x/a",
        "http://me@127.0.0.1/a",
        "http://127.0.0.1",
        "http://127.0.0.1/",
        "http://127.0.0.1/a/",
        "http://127.0.0.1/a//b",
        "http://127.0.0.1/a/../b",
        "http://127.0.0.1/a?b",
        "http://127.0.0.1/a#b",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/a\r\nb",
        "http://127.0.0.1/é",
    ],
)
def test_invalid_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequestError):
        ThirdPartyMover().check(url)


def test_source_and_target_need_fitting_schemes() -> None:
    movers = make_movers([])
    assert isinstance(mover_for(movers, "http://127.0.0.1:1/a", "http://localhost:2/b"), ThirdPartyMover)
    with pytest.raises(InvalidRequestError, match="do not match"):
        mover_for(movers, "file:///a", "http://127.0.0.1/b")
