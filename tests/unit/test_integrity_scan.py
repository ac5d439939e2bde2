from __future__ import annotations

import ctypes
import errno
import gzip
import hashlib
import os
import pickle
import platform
import socket
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ctao_bdms.errors import UsageError
from ctao_bdms.integrity import Findings, Scanner, scan, scanner
from ctao_bdms.integrity.source import CHUNK_BYTES
from ctao_bdms.model import DefectKind, FileFacts, SumStatus, Verdict
from ctao_bdms.testing.dl0 import night_specs, write_dl0

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def dl0(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("night")
    specs = night_specs(3, telescopes=1, megabytes=0.4)
    return {str(spec.kind): write_dl0(spec, root).path.read_bytes() for spec in specs}


def kinds(facts: FileFacts) -> list[DefectKind]:
    return [defect.kind for defect in facts.defects]


@pytest.mark.parametrize("kind", ["Telescope", "Subarray", "Trigger"])
def test_a_sound_dl0_file_is_good_and_its_digests_are_those_of_the_standard_library(
    dl0: dict[str, bytes], kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.fits.fz"
    path.write_bytes(dl0[kind])
    facts = scan(path)
    assert facts.verdict is Verdict.GOOD
    assert facts.path == str(path)
    assert facts.size_bytes == len(dl0[kind])
    assert facts.modified_ns == path.stat().st_mtime_ns
    assert facts.adler32 == f"{zlib.adler32(dl0[kind]):08x}"
    assert facts.sha256 == hashlib.sha256(dl0[kind]).hexdigest()
    assert facts.hdus[0].name == "PRIMARY"
    assert facts.hdus[1].keywords["PBFHEAD"] == f"DL0v1.{kind}.DataStream"
    assert pickle.loads(pickle.dumps(facts)) == facts


@pytest.mark.parametrize("extra", [-1, 0, 1])
@pytest.mark.parametrize("chunks", [0, 1, 4, 9])
def test_digests_at_every_border_of_the_reading(chunks: int, extra: int, tmp_path: Path) -> None:
    # Above four chunks, sha256 runs in a thread beside.
    size = max(1, chunks * CHUNK_BYTES + extra)
    content = os.urandom(size)
    path = tmp_path / "x.simtel.zst"
    path.write_bytes(content)
    told: list[int] = []
    facts = scan(path, on_bytes=told.append)
    assert (facts.size_bytes, sum(told)) == (size, size)
    assert facts.adler32 == f"{zlib.adler32(content):08x}"
    assert facts.sha256 == hashlib.sha256(content).hexdigest()
    assert facts.verdict is Verdict.UNCHECKED
    assert facts.defects == ()


@pytest.mark.parametrize("size", [0, 1000, 5 * CHUNK_BYTES])
@pytest.mark.parametrize(
    "algorithms", [(), ("adler32",), ("md5",), ("sha512", "adler32", "blake2b", "sha512"), ("sha3_256", "sha256")]
)
def test_the_digests_are_those_that_were_asked_for_and_adler32(
    algorithms: tuple[str, ...], size: int, tmp_path: Path
) -> None:
    content = os.urandom(size)
    path = tmp_path / "x.bin"
    path.write_bytes(content)
    others = {name: hashlib.new(name, content).hexdigest() for name in algorithms if name != "adler32"}
    assert dict(scan(path, algorithms).digests) == {"adler32": f"{zlib.adler32(content):08x}", **others}


def test_a_digest_that_does_not_exist_is_refused_before_the_file_is_touched() -> None:
    with pytest.raises(UsageError, match="unknown digest 'md6'"):
        scan("/no/such/file", ("md6",))


@pytest.mark.parametrize("kind", ["Telescope", "Subarray", "Trigger"])
def test_a_cut_at_any_border_between_parts_is_a_defect(dl0: dict[str, bytes], kind: str) -> None:
    content = dl0[kind]
    whole = scanned(content)
    for hdu in whole.hdus[1:]:
        facts = scanned(content[: hdu.offset])
        assert set(kinds(facts)) == {DefectKind.STRUCTURE}, hdu.name


def test_a_cut_anywhere_else_says_truncated(dl0: dict[str, bytes]) -> None:
    content = dl0["Subarray"]
    borders = {hdu.offset for hdu in scanned(content).hdus}
    for length in set(range(9, len(content), 331)) - borders:
        found = kinds(scanned(content[:length]))
        # A few bytes behind a border do not tell yet that a header begins there.
        few = min(length - border for border in borders if border <= length) < 9
        assert found == ([DefectKind.TRAILING_BYTES, DefectKind.STRUCTURE] if few else [DefectKind.TRUNCATED]), length


@pytest.mark.parametrize("part", ["DataStream", "CameraConfiguration", "Events"])
def test_a_telescope_file_without_one_of_its_tables(dl0: dict[str, bytes], part: str) -> None:
    content = dl0["Telescope"]
    hdu = next(hdu for hdu in scanned(content).hdus if hdu.name == part)
    facts = scanned(content[: hdu.offset] + content[hdu.offset + hdu.header_bytes + hdu.data_bytes :])
    assert kinds(facts) == [DefectKind.STRUCTURE]
    assert part in facts.defects[0].message


def test_tables_of_another_data_model_are_no_dl0_file(dl0: dict[str, bytes]) -> None:
    content = dl0["Telescope"].replace(b"DL0v1.", b"R1v1__")
    name = "TEL001_SDH0001_20261121T220006_SBID2000000009_OBSID2000000009_TEL_SHOWER_CHUNK001.fits.fz"
    assert kinds(scanned(content, name)) == [*[DefectKind.CORRUPT] * 3, DefectKind.STRUCTURE]
    assert kinds(scanned(content)) == [DefectKind.CORRUPT] * 3


def test_a_datastream_without_a_row_identifies_nothing(dl0: dict[str, bytes]) -> None:
    old = b"ZNAXIS2 =                    1"
    facts = scanned(dl0["Trigger"].replace(old, old[:-1] + b"0", 1))
    assert kinds(facts) == [DefectKind.CORRUPT, DefectKind.STRUCTURE]


@pytest.mark.parametrize("card", [b"CHECKSUM", b"DATASUM "])
def test_a_dl0_part_without_a_sum_is_unchecked_not_good(dl0: dict[str, bytes], card: bytes) -> None:
    content = dl0["Subarray"]
    second = content.index(card, 2880)
    facts = scanned(content[:second] + b"COMMENT " + content[second + 8 :])
    assert DefectKind.UNCHECKED in kinds(facts)
    assert facts.verdict is Verdict.BAD
    assert any(card.decode().strip() in defect.message for defect in facts.defects)


def test_corruption_names_part_and_card(dl0: dict[str, bytes]) -> None:
    content = bytearray(dl0["Telescope"])
    events = scanned(bytes(content)).hdus[3]
    content[events.offset + events.header_bytes + 1000] ^= 4
    facts = scanned(bytes(content))
    assert kinds(facts) == [DefectKind.CORRUPT]
    assert "HDU 3 (Events)" in facts.defects[0].message
    assert "DATASUM" in facts.defects[0].message
    assert "CHECKSUM" in facts.defects[0].message
    assert [hdu.datasum for hdu in facts.hdus] == [SumStatus.OK] * 3 + [SumStatus.BAD]


def test_a_wrong_datasum_under_a_checksum_made_for_it_is_corrupt(dl0: dict[str, bytes]) -> None:
    # Two equal changes of opposite sign, one in DATASUM and one in a comment: the sum of all does not move.
    content = bytearray(dl0["Subarray"])
    digit = content.index(b"DATASUM ", 2880) + 11
    digit += next(i for i in range(10) if chr(content[digit + i]) in "012345678")
    content[digit] += 1
    content[digit + 20] -= 1
    facts = scanned(bytes(content))
    assert kinds(facts) == [DefectKind.CORRUPT]
    assert (facts.hdus[1].datasum, facts.hdus[1].checksum) == (SumStatus.BAD, SumStatus.OK)


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 2880, b"END".ljust(2880), b"XTENSIOM".ljust(2880), os.urandom(4000)])
def test_trailing_bytes_are_counted(dl0: dict[str, bytes], tail: bytes) -> None:
    facts = scanned(dl0["Subarray"] + tail)
    assert kinds(facts) == [DefectKind.TRAILING_BYTES]
    assert facts.trailing_bytes == len(tail)


@pytest.mark.parametrize("name", ["x.fits.fz", "x.fits"])
def test_what_is_no_fits_file_under_its_name(dl0: dict[str, bytes], name: str) -> None:
    for content in (b"S", b"some text\n" * 500, b"\0" * 6000, gzip.compress(dl0["Subarray"])):
        assert kinds(scanned(content, name)) == [DefectKind.NOT_A_PRODUCT]
    assert kinds(scanned(b"", name)) == [DefectKind.EMPTY]


def test_another_name_promises_nothing() -> None:
    facts = scanned(b"netcdf", "x.simtel")
    assert (facts.verdict, facts.defects, facts.hdus) == (Verdict.UNCHECKED, (), ())
    assert kinds(scanned(b"", "x.simtel")) == [DefectKind.EMPTY]


def test_headers_cannot_fill_the_memory() -> None:
    endless = b"SIMPLE  =                    T".ljust(2880) + b" " * (9 * 1024 * 1024)
    facts = scanned(endless, "x.fits")
    assert kinds(facts) == [DefectKind.CORRUPT]
    assert facts.size_bytes == len(endless)


@pytest.mark.parametrize(
    "cards",
    [
        [],
        ["BITPIX  =                    7", "NAXIS   =                    0"],
        ["BITPIX  =                    8", "NAXIS   =                   -1"],
        ["BITPIX  =                    8", "NAXIS   =                 1000"],
        ["BITPIX  =                    8", "NAXIS   =                    1"],
        ["BITPIX  =                    8", "NAXIS   =                    1", "NAXIS1  = 'many'"],
        ["BITPIX  =                    8", "NAXIS   =                    T"],
    ],
)
def test_a_header_that_does_not_say_its_size(cards: list[str]) -> None:
    header = "".join(card.ljust(80) for card in ["SIMPLE  =                    T", *cards, "END"]).ljust(2880)
    facts = scanned(header.encode(), "x.fits")
    assert kinds(facts) == [DefectKind.CORRUPT]
    assert "HDU 0 (PRIMARY)" in facts.defects[0].message


def test_a_name_in_a_header_cannot_move_the_cursor(dl0: dict[str, bytes]) -> None:
    content = dl0["Subarray"].replace(b"'DataStream'", b"'Data\x1b[2Jam'")
    messages = "".join(defect.message for defect in scanned(content).defects)
    assert "\x1b" not in messages
    assert "x1b" in messages


def append(path: Path, content: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(content)


def replace_by(path: Path, content: bytes) -> None:
    other = path.with_name("other")
    other.write_bytes(content)
    other.replace(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: append(path, b"more"),
        lambda path: os.truncate(path, 100),
        lambda path: os.utime(path, ns=(1, 1)),
        lambda path: replace_by(path, path.read_bytes()),
        lambda path: path.unlink(),
    ],
    ids=["grows", "shrinks", "touched", "replaced", "removed"],
)
def test_a_file_that_changes_while_it_is_read(
    dl0: dict[str, bytes], change: Callable[[Path], object], tmp_path: Path
) -> None:
    path = tmp_path / "x.fits.fz"
    path.write_bytes(dl0["Telescope"])
    pending = [change]
    facts = scan(path, on_bytes=lambda _: pending.pop()(path) if pending else None)
    assert kinds(facts) == [DefectKind.CHANGING]
    assert facts.verdict is Verdict.ERROR
    assert dict(facts.digests) == {}


def test_a_file_that_never_stops_growing_is_not_read_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "x.nc"
    path.write_bytes(b"0" * CHUNK_BYTES)

    facts = scan(path, on_bytes=lambda _: append(path, b"0" * CHUNK_BYTES))
    assert kinds(facts) == [DefectKind.CHANGING]
    assert path.stat().st_size <= 4 * CHUNK_BYTES


def test_what_is_not_a_file(tmp_path: Path) -> None:
    fifo, listening = tmp_path / "fifo.fits.fz", tmp_path / "socket.fits.fz"
    os.mkfifo(fifo)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(listening))
        for path, what in (
            (fifo, "FIFO"),
            (listening, "socket"),
            (tmp_path, "directory"),
            (Path("/dev/null"), "device"),
        ):
            facts = scan(path)
            assert kinds(facts) == [DefectKind.NOT_A_FILE]
            assert what in facts.defects[0].message
            assert (facts.verdict, dict(facts.digests)) == (Verdict.ERROR, {})


def test_what_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    for path in (tmp_path / "x.fits.fz", tmp_path / "file" / "x.fits", tmp_path / "dangling", "null\0.fits", "\udfff"):
        facts = scan(path)
        assert kinds(facts) == [DefectKind.MISSING]
        assert facts.verdict is Verdict.ERROR


def test_what_cannot_be_read_is_an_error_and_never_a_digest(tmp_path: Path) -> None:
    # Each of these fails for root too; the first opens well and answers the first read with an I/O error.
    loop = tmp_path / "loop.fits.fz"
    loop.symlink_to(loop.name)
    for path in ("/proc/self/mem", loop, tmp_path / ("x" * 300)):
        facts = scan(path)
        assert kinds(facts) == [DefectKind.UNREADABLE]
        assert (facts.verdict, dict(facts.digests)) == (Verdict.ERROR, {})


def forbid_readv() -> None:
    """Have the kernel answer every further readv of this thread with an I/O error (seccomp); there is no way back."""
    number = {"x86_64": 19, "aarch64": 65}[platform.machine()]
    # Load the number of the system call; if it is readv, fail with EIO; else allow.
    rules = ((0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | errno.EIO), (0x06, 0, 0, 0x7FFF0000))
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
    program = struct.pack("@HP", len(rules), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    no_new_privileges, set_seccomp, by_filter = 38, 22, 2
    for arguments in ((no_new_privileges, 1, 0, 0, 0), (set_seccomp, by_filter, program, 0, 0)):
        if prctl(*arguments):
            raise OSError(ctypes.get_errno(), "prctl")


@pytest.mark.parametrize("pieces", [1, 2, 6])
def test_an_input_output_error_in_the_middle_is_an_error_and_never_a_digest(pieces: int, tmp_path: Path) -> None:
    path = tmp_path / "x.fits.fz"
    path.write_bytes(os.urandom(10 * CHUNK_BYTES))
    seen: list[int] = []

    def fail_later(count: int) -> None:
        seen.append(count)
        if len(seen) == pieces:
            forbid_readv()

    with ThreadPoolExecutor(1) as thread:  # which ends, and its filter with it
        facts = thread.submit(scan, path, on_bytes=fail_later).result()
    assert len(seen) == pieces
    assert kinds(facts) == [DefectKind.UNREADABLE]
    assert f"at byte {pieces * CHUNK_BYTES}: {os.strerror(errno.EIO)}" in facts.defects[0].message
    assert (facts.verdict, facts.size_bytes, dict(facts.digests)) == (Verdict.ERROR, 0, {})


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.fits.fz"
    path.write_bytes(b"secret")
    path.chmod(0)
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # nobody cannot walk here, but can stand here
    user = os.geteuid()
    os.seteuid(user or 65534)
    try:
        facts = scan(path.name)
    finally:
        os.seteuid(user)
    assert [str(defect) for defect in facts.defects] == [
        f"unreadable: {path.name} cannot be opened: {os.strerror(errno.EACCES)}"
    ]
    assert (facts.verdict, dict(facts.digests)) == (Verdict.ERROR, {})


def test_a_file_that_changes_while_the_library_of_its_format_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow:
        name, suffixes, promise = "slow", (".slow",), ""

        def begin(self, name: str) -> Slow:
            return self

        def feed(self, piece: memoryview) -> None:
            pass

        def finish(self, path: str | None) -> Findings:
            assert path is not None
            append(Path(path), b"more")
            return Findings(checked=True)

    path = tmp_path / "x.slow"
    path.write_bytes(b"content")
    monkeypatch.setattr(scanner, "format_of", lambda name: Slow())
    assert kinds(scan(path)) == [DefectKind.CHANGING]


def test_a_symbolic_link_is_followed(dl0: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "x.fits.fz").write_bytes(dl0["Trigger"])
    (tmp_path / "link.fits.fz").symlink_to("x.fits.fz")
    assert scan(tmp_path / "link.fits.fz").verdict is Verdict.GOOD


def scanned(content: bytes, name: str = "x.fits.fz") -> FileFacts:
    scanner = Scanner(name)
    scanner.feed(content)
    return scanner.finish()
