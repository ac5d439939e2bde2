"""What a file's bytes said, as the journal keeps it: compressed JSON."""

from __future__ import annotations

import json
import zlib
from typing import Any

import attrs

from ctao_bdms.model import Defect, DefectKind, FileFacts, HduFacts, SumStatus

__all__ = ["facts_from_bytes", "facts_to_bytes"]

_LEVEL = 1  # headers repeat themselves: the fastest level makes a sixth of them already


def facts_to_bytes(facts: FileFacts) -> bytes:
    """Return `facts` as the journal stores them."""
    return zlib.compress(json.dumps(_to_wire(facts), separators=(",", ":")).encode(), _LEVEL)


def facts_from_bytes(body: bytes) -> FileFacts:
    """Return the facts that `facts_to_bytes` made `body` of."""
    return _from_wire(json.loads(zlib.decompress(body)))


def _to_wire(facts: FileFacts) -> dict[str, Any]:
    wire = attrs.asdict(facts, recurse=False)
    wire["digests"] = dict(facts.digests)
    wire["hdus"] = [{**attrs.asdict(hdu, recurse=False), "keywords": dict(hdu.keywords)} for hdu in facts.hdus]
    wire["defects"] = [[defect.kind.value, defect.message] for defect in facts.defects]
    return wire


def _from_wire(wire: dict[str, Any]) -> FileFacts:
    hdus = tuple(
        HduFacts(**{**hdu, "datasum": SumStatus(hdu["datasum"]), "checksum": SumStatus(hdu["checksum"])})
        for hdu in wire["hdus"]
    )
    defects = tuple(Defect(DefectKind(kind), message) for kind, message in wire["defects"])
    return FileFacts(**{**wire, "hdus": hdus, "defects": defects})
