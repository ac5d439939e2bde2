"""Damage files in one defined way each, to test that an ingest detects it."""

from __future__ import annotations

import datetime as dt
import random
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.errors import InvalidNameError, UsageError
from ctao_bdms.integrity import scan
from ctao_bdms.integrity.cards import CARD_BYTES
from ctao_bdms.integrity.checksums import Sum32
from ctao_bdms.model import METADATA, Night
from ctao_bdms.naming import AcadaName, Stream
from ctao_bdms.testing.dl0 import Dl0Kind, Dl0Spec, write_content

if TYPE_CHECKING:
    import os

    from ctao_bdms.model import HduFacts

__all__ = ["Damage", "damage"]

_KINDS = {
    Stream.TELESCOPE_EVENTS: Dl0Kind.TELESCOPE,
    Stream.SUBARRAY_EVENTS: Dl0Kind.SUBARRAY,
    Stream.TELESCOPE_TRIGGERS: Dl0Kind.TRIGGER,
}
_STAMPED = {"DATE", "DATE-END", "ORIGIN"}  # written by protozfits itself in every table
_MODEL_CARDS = {keyword for row in METADATA.values() for keyword in row.keywords} - _STAMPED


class Damage(StrEnum):
    """The kinds of damage."""

    #: One bit of the data is flipped.
    BIT_FLIP = "bit flip"
    #: The file ends within the data.
    TRUNCATED = "truncated"
    #: The file ends exactly before its last HDU: all checksums of the rest agree.
    CUT_AT_BORDER = "cut at a border"
    #: The content is sound, but that of another observation.
    WRONG_NAME = "wrong name"
    #: The header cards of the data model are removed; the checksums agree.
    MISSING_HEADERS = "missing headers"
    #: The file is empty.
    EMPTY = "empty"
    #: The content is text.
    GARBAGE = "garbage"
    #: Bytes follow the last HDU.
    TRAILING_BYTES = "trailing bytes"


def damage(path: str | os.PathLike[str], kind: Damage, seed: int = 0) -> None:
    """Damage a sound DL0 file in place.

    Parameters
    ----------
    kind
        The kind of damage.
    seed
        Selects the position, if there is a choice.

    Raises
    ------
    UsageError
        If it is not a sound FITS file (or, for `Damage.WRONG_NAME`, has no DL0 name), so that the damage would differ
        from the requested one.
    """
    file = Path(path)
    facts = scan(file)
    if not facts.hdus or facts.defects:
        msg = f"{file} is not a sound FITS file: {'; '.join(map(str, facts.defects)) or 'it has no HDUs'}"
        raise UsageError(msg)
    chance = random.Random(f"{kind} {seed}")
    largest = max(facts.hdus, key=lambda hdu: hdu.data_bytes)
    data = largest.offset + largest.header_bytes
    with file.open("r+b") as stream:
        if kind is Damage.BIT_FLIP:
            position = data + chance.randrange(largest.data_bytes)
            stream.seek(position)
            (byte,) = stream.read(1)
            stream.seek(position)
            stream.write(bytes([byte ^ 1 << chance.randrange(8)]))
        elif kind is Damage.TRUNCATED:
            stream.truncate(data + chance.randrange(1, largest.data_bytes))
        elif kind is Damage.CUT_AT_BORDER:
            stream.truncate(facts.hdus[-1].offset)
        elif kind is Damage.EMPTY:
            stream.truncate(0)
        elif kind is Damage.GARBAGE:
            stream.truncate(0)
            stream.write(b"The quick brown fox jumps over the lazy dog.\n" * chance.randrange(10, 1000))
        elif kind is Damage.TRAILING_BYTES:
            stream.seek(0, 2)
            stream.write(chance.randbytes(chance.randrange(1, 6000)))
    if kind is Damage.MISSING_HEADERS:
        for hdu in facts.hdus:
            _blank_cards(file, hdu)
    elif kind is Damage.WRONG_NAME:
        write_content(_other_observation(file, seed), file)


def _other_observation(file: Path, seed: int) -> Dl0Spec:
    """Return the spec of a file of the next observation block with the same name otherwise."""
    msg = f"{file.name} is not the name of a DL0 event file, so it cannot get the content of another one"
    try:
        name = AcadaName.parse(file.name)
    except InvalidNameError as error:
        raise UsageError(msg) from error
    if name.stream not in _KINDS or name.obs_id is None or name.sb_id is None:
        raise UsageError(msg)
    right = Dl0Spec(
        kind=_KINDS[name.stream],
        ae_id=name.owner_id,
        night=Night((name.start - dt.timedelta(hours=12)).date()),
        start=name.start,
        obs_id=name.obs_id,
        sb_id=name.sb_id,
        chunk=name.chunk_id or 0,
        seed=seed,
    )
    return attrs.evolve(right, obs_id=right.obs_id + 1)


def _blank_cards(file: Path, hdu: HduFacts) -> None:
    """Replace the cards of the data model in one header by blank ones, and update its CHECKSUM."""
    with file.open("r+b") as stream:
        stream.seek(hdu.offset)
        header = stream.read(hdu.header_bytes)
        cards = [header[start : start + CARD_BYTES] for start in range(0, len(header), CARD_BYTES)]
        for number, card in enumerate(cards):
            keyword = card[:8].decode("latin-1").rstrip()
            if keyword in _MODEL_CARDS:
                cards[number] = b" " * CARD_BYTES
            elif keyword == "CHECKSUM":
                cards[number] = _checksum_card(b"0" * 16)
        total = Sum32()
        total.update(memoryview(b"".join(cards)))
        total.update(memoryview(stream.read(hdu.data_bytes)))
        blanked = b"".join(cards).replace(_checksum_card(b"0" * 16), _checksum_card(_encoded(total.value ^ 0xFFFFFFFF)))
        stream.seek(hdu.offset)
        stream.write(blanked)


def _checksum_card(text: bytes) -> bytes:
    return (b"CHECKSUM= '" + text + b"'").ljust(CARD_BYTES)


def _encoded(value: int) -> bytes:
    """Return 16 letters and digits that add `value` to the checksum (FITS Standard 4.0, appendix J.2)."""
    columns = []
    for byte in value.to_bytes(4, "big"):
        letters = [48 + byte // 4 + byte % 4, *[48 + byte // 4] * 3]
        while not all(chr(letter).isalnum() for letter in letters):
            for pair in (0, 2):
                if not (chr(letters[pair]).isalnum() and chr(letters[pair + 1]).isalnum()):
                    letters[pair] += 1
                    letters[pair + 1] -= 1
        columns.append(letters)
    text = bytes(columns[byte][place] for place in range(4) for byte in range(4))
    return text[-1:] + text[:-1]
