"""What a file's bytes said, as the journal keeps it: compressed JSON."""

from __future__ import annotations

import json
import zlib

from ctao_bdms.model import FileFacts

__all__ = ["facts_from_bytes", "facts_to_bytes"]

_LEVEL = 1  # headers repeat themselves: the fastest level makes a sixth of them already


def facts_to_bytes(facts: FileFacts) -> bytes:
    """Return `facts` as the journal stores them."""
    return zlib.compress(json.dumps(facts.to_wire(), separators=(",", ":")).encode(), _LEVEL)


def facts_from_bytes(body: bytes) -> FileFacts:
    """Return the facts that `facts_to_bytes` made `body` of."""
    return FileFacts.from_wire(json.loads(zlib.decompress(body)))
