from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import zlib

import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from ctao_bdms.integrity import Scanner
from ctao_bdms.integrity.cards import parse_header
from ctao_bdms.integrity.checksums import Sum32
from ctao_bdms.model import FileFacts, Night, Verdict
from ctao_bdms.testing.dl0 import Dl0Kind, Dl0Spec, write_content

NAMES = st.sampled_from(["", "x.fits", "x.fits.fz", "x.nc"])


@pytest.fixture(scope="module", params=list(Dl0Kind), ids=str)
def content(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("dl0") / "x.fits.fz"
    spec = Dl0Spec(
        kind=request.param,
        ae_id=1,
        night=Night(dt.date(2026, 11, 21)),
        start=dt.datetime(2026, 11, 21, 22, tzinfo=dt.UTC),
        obs_id=2_000_000_001,
        sb_id=2_000_000_001,
        events=2,
        pixels=20,
        samples=4,
    )
    write_content(spec, path)
    return path.read_bytes()


def scanned(content: bytes, cuts: list[int], name: str = "x.fits.fz") -> FileFacts:
    scanner = Scanner(name)
    places = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    reused = bytearray(len(content))
    for begin, end in itertools.pairwise(places):
        # As `scan` does: one buffer that is overwritten as soon as it has been taken.
        reused[: end - begin] = content[begin:end]
        scanner.feed(memoryview(reused)[: end - begin])
        reused[: end - begin] = b"\xff" * (end - begin)
    return scanner.finish()


@given(cuts=st.lists(st.integers(min_value=0)))
def test_pieces_do_not_matter(content: bytes, cuts: list[int]) -> None:
    assert scanned(content, cuts) == scanned(content, [])


@pytest.mark.parametrize("size", [1, 7, 79, 80, 2879, 2880, 2881])
def test_pieces_of_one_size_do_not_matter(content: bytes, size: int) -> None:
    assert scanned(content, list(range(0, len(content), size))) == scanned(content, [])


def test_no_flipped_bit_passes(content: bytes) -> None:
    assert scanned(content, []).verdict is Verdict.GOOD
    headers = [
        place for hdu in scanned(content, []).hdus for place in range(hdu.offset, hdu.offset + hdu.header_bytes, 13)
    ]
    for number, position in enumerate([*headers, *range(0, len(content), 127)]):
        flipped = bytearray(content)
        flipped[position] ^= 1 << number % 8
        scanner = Scanner("x.fits.fz", algorithms=())
        scanner.feed(flipped)
        assert scanner.finish().verdict is Verdict.BAD, (position, number % 8)


@given(position=st.integers(min_value=0), junk=st.binary(min_size=1, max_size=200), length=st.integers(0, 200))
def test_no_replaced_piece_passes(content: bytes, position: int, junk: bytes, length: int) -> None:
    start = position % len(content)
    changed = content[:start] + junk + content[start + length :]
    facts = scanned(changed, [])
    # A sum of 32-bit words cannot tell their order, nor a word of zeros from one of ones.
    if sorted(words(changed)) != sorted(words(content)):
        assert facts.verdict is Verdict.BAD


def words(content: bytes) -> list[bytes]:
    return [content[i : i + 4].replace(b"\xff" * 4, b"\0" * 4) for i in range(0, len(content), 4)]


@given(content=st.binary(max_size=9000), name=NAMES)
def test_any_bytes_have_a_verdict(content: bytes, name: str) -> None:
    facts = scanned(content, [], name)
    assert facts.verdict is not Verdict.ERROR
    assert facts.adler32 == f"{zlib.adler32(content):08x}"
    assert facts.sha256 == hashlib.sha256(content).hexdigest()
    assert facts.verdict is not Verdict.GOOD


CARDS = st.lists(
    st.one_of(
        st.builds(
            lambda n, v: f"{n:<8}= {v:>20}",
            st.sampled_from(
                [
                    "BITPIX",
                    "NAXIS",
                    "NAXIS1",
                    "NAXIS2",
                    "PCOUNT",
                    "GCOUNT",
                    "DATASUM",
                    "CHECKSUM",
                    "EXTNAME",
                    "GROUPS",
                    "ZNAXIS2",
                    "PBFHEAD",
                ]
            ),
            st.one_of(
                st.sampled_from(
                    ["8", "-32", "0", "1", "T", "'x'", "", "'", "9" * 60, "1e999", "DL0v1.Trigger.DataStream"]
                ),
                st.integers(-5, 5000).map(str),
            ),
        ),
        st.text(st.characters(max_codepoint=255), max_size=80),
    ),
    max_size=20,
)


@given(headers=st.lists(CARDS, max_size=3), tail=st.binary(max_size=3000), name=NAMES)
def test_any_header_has_a_verdict(headers: list[list[str]], tail: bytes, name: str) -> None:
    content = b""
    for number, cards in enumerate(headers):
        first = "XTENSION= 'IMAGE   '" if number else "SIMPLE  =                    T"
        lines = [first, *cards, "END"]
        block = "".join(line[:80].ljust(80) for line in lines).encode("latin-1")
        content += block + b" " * (-len(block) % 2880)
    facts = scanned(content + tail, [5, 77, 3000], name)
    assert facts.verdict in {Verdict.BAD, Verdict.UNCHECKED}
    assert scanned(content + tail, [], name) == facts


@given(pieces=st.lists(st.binary(max_size=50)))
def test_the_sum_is_that_of_the_words(pieces: list[bytes]) -> None:
    total = Sum32()
    for piece in pieces:
        total.update(memoryview(piece))
    whole = b"".join(pieces)
    plain = sum(int.from_bytes(whole[i : i + 4].ljust(4, b"\0"), "big") for i in range(0, len(whole), 4))
    assert total.value % 0xFFFFFFFF == plain % 0xFFFFFFFF
    assert (total.value == 0) == (plain == 0)
    assert total.value <= 0xFFFFFFFF


TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)
VALUES = st.one_of(
    TEXTS, st.booleans(), st.integers(-(10**18), 10**18), st.floats(allow_nan=False, allow_infinity=False)
)


@given(value=VALUES)
def test_values_are_read_as_astropy_reads_them(value: str | int | float | bool) -> None:
    image = fits.Card("KEYWORD", value).image
    assert len(image) % 80 == 0
    # astropy 8.0 reads "'/" as "'": a text must be the one that was written, without blanks at its end.
    expected = value.rstrip(" ") if isinstance(value, str) else fits.Header.fromstring(image)["KEYWORD"]
    assert parse_header(image.encode("ascii") + b"END".ljust(80)) == {"KEYWORD": expected}


@given(text=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=70))
def test_any_value_field_can_be_read(text: str) -> None:
    header = f"KEYWORD = {text}".ljust(80).encode("ascii") + b"END".ljust(80)
    assert set(parse_header(header)) <= {"KEYWORD"}
