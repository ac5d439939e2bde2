"""Single bits of genuine files flipped, and what no sum of 32-bit words can see."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ctao_bdms.integrity import Scanner
from ctao_bdms.model import FileFacts, Verdict
from ctao_bdms.testing.dl0 import Dl0Kind

if TYPE_CHECKING:
    from collections.abc import Callable

_WORD = 4


@pytest.fixture(scope="module")
def bitflips() -> Any:  # noqa: ANN401 - a script
    path = Path(__file__).parents[2] / "benchmarks" / "bitflips.py"
    spec = importlib.util.spec_from_file_location("bitflips", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("kind", list(Dl0Kind), ids=str)
def test_no_flipped_bit_passes(
    kind: Dl0Kind,
    bitflips: Any,  # noqa: ANN401
    record_property: Callable[[str, object], None],
) -> None:
    lines, passed = bitflips.table(kind, step=397, workers=1)
    record_property("differential bits", json.dumps(lines))
    assert passed == 0, "\n".join(lines)


def scanned(content: bytes) -> FileFacts:
    scanner = Scanner("x.fits.fz")
    scanner.feed(content)
    return scanner.finish()


def test_what_the_sums_cannot_see_the_digests_see(bitflips: Any) -> None:  # noqa: ANN401
    content = bitflips.genuine(Dl0Kind.TELESCOPE)
    facts = scanned(content)
    data = facts.hdus[-1].offset + facts.hdus[-1].header_bytes
    zero = next(place for place in range(data, len(content), _WORD) if content[place : place + _WORD] == bytes(_WORD))
    ones = content[:zero] + b"\xff" * _WORD + content[zero + _WORD :]
    first, second = content[data : data + _WORD], content[data + _WORD : data + 2 * _WORD]
    assert first != second
    swapped = content[:data] + second + first + content[data + 2 * _WORD :]
    # A word of zeros for one of ones, and the order of words: 32 bits at once or more, never a single one.
    for changed in (ones, swapped):
        again = scanned(changed)
        assert again.verdict is Verdict.GOOD
        assert again.sha256 != facts.sha256
        assert again.adler32 != facts.adler32
