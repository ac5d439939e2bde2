"""What producers say of their files, read from real files and compared with real scans."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctao_bdms.ingest.sidecar import Statement, _parse, compare_statement, read_statement
from ctao_bdms.integrity import scan
from ctao_bdms.model import DefectKind

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = b"Wikipedia"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()
ADLER32 = f"{zlib.adler32(CONTENT):08x}"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "data.fits.fz"
    path.write_bytes(CONTENT)
    return path


def said(data: Path, trigger: str | None = None, **sidecars: str) -> Statement:
    """Read what is said by a trigger of that content, and by files of digests."""
    beside = data.with_name(data.name + ".trigger")
    if trigger is not None:
        beside.write_text(trigger, encoding="utf-8")
    for algorithm, text in sidecars.items():
        data.with_name(f"{data.name}.{algorithm}").write_text(text, encoding="utf-8")
    return read_statement(data, beside if trigger is not None else None)


def wrong(data: Path, statement: Statement) -> list[str]:
    """Return the messages of what is wrong, which are all of one kind."""
    defects = compare_statement(statement, scan(data, statement.algorithms))
    assert {defect.kind for defect in defects} <= {DefectKind.SIDECAR}
    return [defect.message for defect in defects]


def test_what_coreutils_write_is_read(data: Path) -> None:
    for algorithm in ("md5", "sha1", "sha256", "sha512"):
        output = subprocess.run([f"{algorithm}sum", data], capture_output=True, check=True).stdout
        data.with_name(f"{data.name}.{algorithm}").write_bytes(output)
    statement = read_statement(data)
    assert set(statement.digests) == {"md5", "sha1", "sha256", "sha512"}
    assert wrong(data, statement) == []
    data.write_bytes(b"other")
    assert len(wrong(data, statement)) == 4


@pytest.mark.parametrize(
    "text",
    [
        SHA256,
        f"{SHA256.upper()}\n",
        f"{SHA256} *data.fits.fz\n",
        f"\n{'0' * 64}  other.fits.fz\r\n{SHA256}  ./here/data.fits.fz\r\n",
    ],
)
def test_forms_of_a_file_of_digests(data: Path, text: str) -> None:
    assert said(data, sha256=text) == Statement(digests={"sha256": SHA256})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rubbish", "no digest of 64"),
        (MD5, "no digest of 64"),
        (f"{SHA256}  other.fits.fz\n", "but not data.fits.fz"),
        ("a" * 70_000, "70000 bytes"),
        ("\n \n", "no digest"),
        ("# only a comment\n", "no digest"),
        ("", "it is empty"),
        (f"MD5 (data.fits.fz) = {MD5}\n", "no digest of 64"),
        (f"SHA512 (data.fits.fz) = {SHA256}\n", "no digest of 64"),
        (f"SHA256 (other.fits.fz) = {SHA256}\n", "but not data.fits.fz"),
    ],
)
def test_a_file_of_digests_that_says_nothing_is_a_defect(data: Path, text: str, reason: str) -> None:
    (message,) = wrong(data, said(data, sha256=text))
    assert "data.fits.fz.sha256 cannot be understood" in message
    assert reason in message


@pytest.mark.parametrize("text", ["", "done", "2026-11-21T22:15:00\n", "deadbeef cafe\nnot a digest\n", "[1]", "\x00"])
def test_a_trigger_with_other_content_says_nothing(data: Path, text: str) -> None:
    assert said(data, text) == Statement()


def test_a_trigger_can_be_a_file_of_digests(data: Path) -> None:
    statement = said(data, f"{ADLER32}  data.fits.fz\n{MD5}  data.fits.fz\n")
    assert statement.digests == {"adler32": ADLER32, "md5": MD5}
    assert statement.algorithms == ("adler32", "sha256", "md5")
    assert wrong(data, statement) == []


def test_a_trigger_can_be_an_object(data: Path) -> None:
    good = said(data, json.dumps({"size_bytes": 9, "digests": {"sha256": SHA256.upper()}, "observer": "x"}))
    assert wrong(data, good) == []
    assert wrong(data, attrs.evolve(good, size_bytes=10)) == ["the producer says 10 bytes, but the file has 9"]
    assert "but the file has" in wrong(data, attrs.evolve(good, digests={"sha256": "0" * 64}))[0]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        '{"a":' * 13_000,
        '{"size_bytes": "9"}',
        '{"size_bytes": true}',
        '{"size_bytes": -1}',
        '{"digests": []}',
        '{"digests": {"crc32": "00000000"}}',
        '{"digests": {"md5": "00"}}',
        '{"digests": {"md5": 5}}',
    ],
)
def test_an_object_that_is_wrong_is_a_defect(data: Path, text: str) -> None:
    assert "cannot be understood" in wrong(data, said(data, text))[0]


def test_statements_that_contradict_each_other(data: Path) -> None:
    assert "is said beside it" in wrong(data, said(data, json.dumps({"digests": {"md5": "0" * 32}}), md5=MD5))[0]


def test_trigger_that_is_a_link_or_special_states_nothing(data: Path) -> None:
    trigger = data.with_name(data.name + ".trigger")
    trigger.symlink_to(data.name)
    assert read_statement(data, trigger) == Statement()
    trigger.unlink()
    os.mkfifo(trigger)
    assert read_statement(data, trigger) == Statement()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "not a regular file"),
        (os.mkdir, "not a regular file"),
        (lambda place: Path(place).symlink_to("gone"), "a link to a file that does not exist"),
        (lambda place: Path(place).symlink_to(place), "cannot be read"),
        (lambda place: Path(place).symlink_to("/dev/zero"), "not a regular file"),
    ],
    ids=["fifo", "folder", "dangling", "loop", "device"],
)
def test_sidecar_that_is_no_file_is_a_defect(data: Path, make: Callable[[str], None], reason: str) -> None:
    make(f"{data}.sha256")
    (message,) = wrong(data, read_statement(data))
    assert "data.fits.fz.sha256" in message
    assert reason in message


@pytest.mark.parametrize(
    "text",
    [
        f"{SHA256}  data.fits.fz\n",
        f"SHA256 (data.fits.fz) = {SHA256}\n",
        f"\ufeff{SHA256} *./night/data.fits.fz\r\n",
        f"# made by hand\n\n{SHA256.upper()}\n",
    ],
    ids=["coreutils", "tag", "byte order mark", "comment"],
)
def test_sidecar_as_others_write_it(data: Path, text: str) -> None:
    statement = said(data, sha256=text)
    assert statement == Statement(digests={"sha256": SHA256})
    assert compare_statement(statement, scan(data)) == ()


def test_adler32_as_printed_without_leading_zeros(data: Path) -> None:
    data.write_bytes(b"\x01")
    assert scan(data).adler32 == "00020002"
    statement = said(data, adler32="20002  data.fits.fz\n")
    assert statement == Statement(digests={"adler32": "00020002"})
    assert "adler32" in wrong(data, said(data, adler32="0  data.fits.fz\n"))[0]


def test_a_digest_that_was_not_made_is_not_passed_over(data: Path) -> None:
    assert "did not make" in compare_statement(Statement(digests={"md5": MD5}), scan(data))[0].message


def test_nothing_is_said_of_a_file_that_could_not_be_read(data: Path) -> None:
    assert compare_statement(Statement(size_bytes=1), scan(data / "nothing")) == ()


@given(st.text(), st.sampled_from(["", "md5", "sha256"]))
def test_no_text_does_more_than_be_refused(text: str, algorithm: str) -> None:
    size_bytes: int | None = None
    digests: dict[str, str] = {}
    with contextlib.suppress(ValueError):
        size_bytes, digests = _parse(text, "name", algorithm)
    assert size_bytes is None or size_bytes >= 0
    assert all(int(digest, 16) >= 0 for digest in digests.values())
