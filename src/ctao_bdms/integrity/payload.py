"""Read the metadata of an older DL0 file from its table ``DataStream``.

The row is a message of ``protozfits``, compressed. The library reads files only, so it gets the beginning of the file,
kept during the pass, as a file in memory.
"""

from __future__ import annotations

import importlib
import logging
import os
from typing import TYPE_CHECKING, Any

from ctao_bdms.integrity.cards import CARD_BYTES
from ctao_bdms.integrity.structure import kind_of
from ctao_bdms.model import SumStatus

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctao_bdms.model import HduFacts, Keyword

__all__ = ["MAX_HEAD_BYTES", "payload_keywords"]

_log = logging.getLogger(__name__)

#: Number of bytes to keep from the beginning of a file; ``DataStream`` comes first and is small.
MAX_HEAD_BYTES = 256 * 1024

_FIELDS = {"obs_id": "OBS_ID", "sb_id": "SB_ID", "tel_id": "AE_ID", "subarray_id": "SUB_ID"}


def payload_keywords(head: bytes | bytearray, hdus: Sequence[HduFacts]) -> Mapping[str, Keyword]:
    """Return the metadata in the row of ``DataStream``, by the keywords of the data model.

    Empty if ``protozfits`` is not installed, or the table is not in `head` with both checksums verified.

    Parameters
    ----------
    head
        The first bytes of the file.
    hdus
        Its HDUs.
    """
    kind = kind_of(hdus)
    if kind is None or len(hdus) < 2:
        return {}
    table = hdus[1]
    end = table.offset + table.header_bytes + table.data_bytes
    is_sound = {table.datasum, table.checksum} == {SumStatus.OK}
    if table.name.upper() != "DATASTREAM" or not is_sound or end > len(head):
        return {}
    try:
        message = _first_row(
            _without_blank_cards(bytes(head[:end]), table), table.name, kind.name.removeprefix("DL0v1 ")
        )
    except ImportError as error:
        _log.info("cannot read the payload of DL0 files: %s", error)
        return {}
    except (RuntimeError, ValueError, OSError, MemoryError) as error:
        _log.warning("cannot read the row of DataStream: %s", error)
        return {}
    values = {field.name: value for field, value in message.ListFields()}
    return {keyword: values[name] for name, keyword in _FIELDS.items() if name in values}


def _without_blank_cards(content: bytes, table: HduFacts) -> bytes:
    """Remove blank cards from the header, because the library takes them for its end."""
    data = table.offset + table.header_bytes
    header = content[table.offset : data]
    cards = (header[start : start + CARD_BYTES] for start in range(0, len(header), CARD_BYTES))
    kept = b"".join(card for card in cards if card.strip())
    return content[: table.offset] + kept.ljust(-(-len(kept) // 2880) * 2880) + content[data:]


def _first_row(content: bytes, name: str, stream: str) -> Any:  # noqa: ANN401 - classes made at run time
    """Return the message in the first row of ``DataStream``, a table of this name in the file."""
    library = importlib.import_module("protozfits")
    message = importlib.import_module(f"protozfits.DL0v1_{stream}_pb2").DataStream()
    undecodable = importlib.import_module("google.protobuf.message").DecodeError
    descriptor = os.memfd_create("bdms-datastream", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, content)
        row = library.ProtobufIFits(f"/proc/self/fd/{descriptor}", name).read_serialized_message(1)
        message.ParseFromString(row)
    except undecodable as error:
        raise ValueError(str(error)) from error
    finally:
        os.close(descriptor)
    return message
