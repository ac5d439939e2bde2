"""Any bytes have a verdict; what a header claims costs neither memory nor time."""

from __future__ import annotations

import random
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctao_bdms.integrity import Scanner
from ctao_bdms.model import FileFacts, Verdict
from tests.differential.files import good_file
from tests.differential.mutations import mutated
from tests.differential.writing import BLOCK, CARD, card, hdu

#: What a scan may hold beside the headers of the file: 8 MiB of headers, and what is read from them.
_MOST_BYTES = 64 * 1024 * 1024
_PIECE = 1 << 20

_NUMBERS = st.one_of(
    st.integers(-3, 5), st.integers(), st.sampled_from([10**9, 10**30, -(10**30), 2**31, 2**63, 2**64])
)
_WORDS = (
    "BITPIX",
    "NAXIS",
    "NAXIS1",
    "NAXIS2",
    "PCOUNT",
    "GCOUNT",
    "THEAP",
    "GROUPS",
    "DATASUM",
    "CHECKSUM",
    "EXTNAME",
)
_CARDS = st.lists(
    st.one_of(
        st.builds(lambda word, number: f"{word:<8}= {number}", st.sampled_from(_WORDS), _NUMBERS),
        st.builds(lambda word, value: f"{word:<8}={value}", st.sampled_from(_WORDS), st.text(max_size=71)),
        st.builds(lambda value: f"CONTINUE  {value}", st.text(max_size=70)),
        st.text(st.characters(max_codepoint=255), max_size=CARD),
    ),
    max_size=40,
)


def scanned(content: bytes, piece: int = _PIECE) -> FileFacts:
    scanner = Scanner("x.fits", algorithms=())
    for start in range(0, len(content), piece):
        scanner.feed(content[start : start + piece])
    return scanner.finish()


@given(lines=_CARDS, tail=st.binary(max_size=2 * BLOCK), piece=st.integers(1, 3 * BLOCK))
def test_any_cards_have_a_verdict_however_they_come(lines: list[str], tail: bytes, piece: int) -> None:
    header = "".join(line[:CARD].ljust(CARD) for line in [card("SIMPLE", True), *lines])
    content = header.encode("latin-1", "replace") + tail
    facts = scanned(content)
    assert facts.verdict in {Verdict.BAD, Verdict.UNCHECKED}
    assert scanned(content, piece) == facts


@given(seed=st.integers(0, 10**9), piece=st.sampled_from([1, 3, 79, 80, 641, 2879, 2880, 2881, 5760, 104_729]))
def test_pieces_of_any_size_say_the_same_of_random_files(seed: int, piece: int) -> None:
    chance = random.Random(seed)
    _, content = mutated(chance, good_file(chance)[1])
    assert scanned(content[:20_000], piece) == scanned(content[:20_000])


def _claiming(**values: object) -> bytes:
    cards = {"SIMPLE": True, "BITPIX": 8, "NAXIS": 1, "NAXIS1": 5, **values}
    return hdu([card(word, value) for word, value in cards.items()], b"12345")


_CLAIMS = {
    "a very long axis": _claiming(NAXIS1=10**30),
    "many axes": _claiming(NAXIS=10**9),
    "999 long axes": hdu(
        [card("SIMPLE", True), card("BITPIX", 64), card("NAXIS", 999)]
        + [card(f"NAXIS{number}", "9" * 20).replace("'", " ") for number in range(1, 1000)],
        b"12345",
    ),
    "many parameters": _claiming(GROUPS=True, PCOUNT=10**30, GCOUNT=1),
    "groups below zero": _claiming(GROUPS=True, PCOUNT=0, GCOUNT=-1),
    "parameters below zero": _claiming(GROUPS=True, PCOUNT=-5, GCOUNT=1),
    "no bits": _claiming(BITPIX=0),
    "a number of 70 digits": _claiming(NAXIS1=int("9" * 69)),
}


@pytest.mark.parametrize("what", _CLAIMS)
def test_what_a_header_claims_costs_nothing(what: str) -> None:
    content = _CLAIMS[what]
    tracemalloc.start()
    try:
        facts = scanned(content)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert facts.verdict is Verdict.BAD
    assert peak < 4 * 1024 * 1024 + 8 * len(content)


@pytest.mark.parametrize("filling", [b" ", b"\0", b"KEY00001= 'x'".ljust(CARD)], ids=["blanks", "zeros", "cards"])
def test_headers_without_end_are_given_up(filling: bytes) -> None:
    block = (filling * BLOCK)[:BLOCK]
    scanner = Scanner("x.fits", algorithms=())
    scanner.feed(card("SIMPLE", True).encode("ascii") + block[CARD:])
    tracemalloc.start()
    try:
        for _ in range(64):
            scanner.feed(block * 364)  # about 1 MiB
        facts = scanner.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [defect.kind.value for defect in facts.defects] == ["corrupt"]
    assert peak < _MOST_BYTES


def test_many_small_parts_are_bounded_in_memory() -> None:
    part = hdu([card("XTENSION", "IMAGE"), card("BITPIX", 8), card("NAXIS", 0), card("PCOUNT", 0), card("GCOUNT", 1)])
    scanner = Scanner("x.fits", algorithms=())
    scanner.feed(_claiming())
    tracemalloc.start()
    try:
        for _ in range(16):
            scanner.feed(part * 364)
        facts = scanner.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # All headers of one file together have a bound too: what follows it is not walked any more.
    assert len(facts.hdus) <= 8 * 1024 * 1024 // BLOCK + 1
    assert [defect.kind.value for defect in facts.defects] == ["corrupt"]
    assert peak < _MOST_BYTES


def test_work_grows_with_the_file_not_with_its_claim() -> None:
    """The walk takes every byte once: as many bytes are summed up as there are, whatever was claimed."""
    claimed = _claiming(NAXIS1=10**30)
    facts = scanned(claimed + bytes(10 * BLOCK))
    assert facts.size_bytes == len(claimed) + 10 * BLOCK
    assert [defect.kind.value for defect in facts.defects] == ["corrupt"]
    assert facts.hdus == ()
