from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from astropy import units as u
from astropy.table import MaskedColumn, Table
from astropy.time import Time

from ctao_bdms.integrity import Scanner, scan
from ctao_bdms.model import DefectKind, FileFacts, ProductMetadata, Verdict
from ctao_bdms.testing.products import write_ecsv

if TYPE_CHECKING:
    from pathlib import Path

HEADER = b"# %ECSV 1.0\n# ---\n# datatype:\n# - {name: a, datatype: int64}\n# - {name: b, datatype: string}\n"


def facts_of(content: bytes, step: int = 1 << 20) -> FileFacts:
    scanner = Scanner("x.ecsv")
    for start in range(0, len(content), step):
        scanner.feed(content[start : start + step])
    return scanner.finish()


def kinds(content: bytes) -> list[DefectKind]:
    return [defect.kind for defect in facts_of(content).defects]


def test_a_sound_table_and_its_metadata(tmp_path: Path) -> None:
    meta = {
        "CTA PRODUCT DATA LEVELS": "DL1",
        "CTAO.instance.obs_id": 5,
        "CTAO": {"data": {"type": "Pointing"}},
        "DATADIV": "Service",
        "history": ["a", "b"],
    }
    facts = scan(write_ecsv(tmp_path / "x.ecsv", meta=meta))
    assert (facts.format, facts.kind, facts.verdict, facts.defects) == ("ecsv", "ECSV table", Verdict.UNCHECKED, ())
    metadata, defects = ProductMetadata.from_keywords(facts.keywords)
    assert not defects
    assert dict(metadata) == {
        "data__level": "DL1",
        "data__division": "Service",
        "data__type": "Pointing",
        "instance__obs_id": 5,
    }


@pytest.mark.parametrize("delimiter", [" ", ","])
def test_whatever_astropy_writes_is_read(delimiter: str) -> None:
    table = Table({"a": [1, 2, 3], "b": [1.5, np.nan, 3], "s": ["x", "a b, c", 'q"r\n# z\n'], "t": [True, False, True]})
    table["masked"] = MaskedColumn([1, 2, 3], mask=[1, 0, 0])
    table["empty"] = ["", "", ""]
    table["array"] = np.ones((3, 2))
    table["time"] = Time([1, 2, 3], format="unix")
    table["length"] = [1, 2, 3] * u.m
    table["thing"] = np.array([{"a": 1}, {"b": 2}, {"c": 3}], dtype=object)
    text = io.StringIO()
    table.write(text, format="ascii.ecsv", delimiter=delimiter)
    content = text.getvalue().encode()
    facts = facts_of(content)
    assert facts.defects == ()
    assert facts == facts_of(content, 1) == facts_of(content, 7)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", DefectKind.EMPTY),
        (b"text\n", DefectKind.NOT_A_PRODUCT),
        (b"text", DefectKind.NOT_A_PRODUCT),
        (b"\xff\xfe\n", DefectKind.NOT_A_PRODUCT),
        (b"# %ECSV 1.0\n", DefectKind.TRUNCATED),
        (HEADER, DefectKind.TRUNCATED),
        (HEADER + b"a b\n1 x\n2", DefectKind.TRUNCATED),
        (HEADER + b'a b\n1 "x\n2 y\n', DefectKind.TRUNCATED),
        (HEADER + b"a b\n1\n", DefectKind.STRUCTURE),
        (HEADER + b"a b\n1 x y\n", DefectKind.STRUCTURE),
        (HEADER + b'a b\n1 "x"y\n', DefectKind.STRUCTURE),
        (HEADER + b"a c\n1 x\n", DefectKind.STRUCTURE),
        (HEADER + b"a b\nx x\n", DefectKind.CORRUPT),
        (HEADER + b"a b\n1 \xff\n", DefectKind.CORRUPT),
        (HEADER.replace(b"int64", b"int65") + b"a b\n", DefectKind.STRUCTURE),
        (HEADER.replace(b"name: b", b"name: a") + b"a a\n", DefectKind.STRUCTURE),
        (HEADER + b"# delimiter: ';'\na;b\n", DefectKind.STRUCTURE),
        (b"# %ECSV 1.0\n# ---\n# " + b"[" * 5000 + b"\na\n", DefectKind.STRUCTURE),
        (b"# %ECSV 1.0\n# ---\n# &a [*a]\na\n", DefectKind.STRUCTURE),
        (b"# %ECSV 1.0\n# ---\n# {? [1] : 2}\na\n", DefectKind.STRUCTURE),
        (b"# %ECSV 1.0\n# ---\n# a: 2026-99-99\na\n", DefectKind.STRUCTURE),
        (b"# %ECSV 1.0\n" + b"# x\n" * 400_000, DefectKind.STRUCTURE),
        (HEADER + b"a b\n1 " + b"x" * (1 << 24) + b"x", DefectKind.STRUCTURE),
        (HEADER + b'a b\n1 "' + b"\n" * 300_000, DefectKind.STRUCTURE),
    ],
)
def test_what_is_wrong(content: bytes, kind: DefectKind) -> None:
    assert kinds(content) == [kind]


def test_a_header_cannot_run_or_explode() -> None:
    bombs = b"".join(b"# x%d: &x%d {<<: [%s]}\n" % (n, n, b",".join([b"*x%d" % (n - 1)] * 9)) for n in range(1, 30))
    assert kinds(HEADER + b"# x0: &x0 {a: 1}\n" + bombs + b"a b\n1 x\n") == [DefectKind.STRUCTURE]
    assert kinds(HEADER + bombs.replace(b"<<", b"more") + b"a b\n1 x\n") == [DefectKind.STRUCTURE]  # no x0
    assert kinds(HEADER + b"# run: !!python/object/apply:os.system [exit]\na b\n1 x\n") == []


def test_mutations_get_a_verdict(tmp_path: Path) -> None:
    data = write_ecsv(tmp_path / "x.ecsv", meta={"DATALEVL": "DL1"}).read_bytes()
    chance = random.Random(1)
    verdicts = set()
    for _ in range(700):
        changed = bytearray(data)
        for _ in range(chance.randrange(1, 6)):
            changed[chance.randrange(len(data))] = chance.choice([*b'\n",: #[{&*!-', chance.randrange(256)])
        del changed[chance.randrange(len(data) // 2, 2 * len(data)) :]
        verdicts.add(facts_of(bytes(changed)).verdict)
    assert verdicts == {Verdict.UNCHECKED, Verdict.BAD}


def test_cut_anywhere_but_between_lines(tmp_path: Path) -> None:
    data = write_ecsv(tmp_path / "x.ecsv").read_bytes()
    rows = data.index(b"\n", data.index(b"\nnight") + 1) + 1
    for length in range(1, len(data)):
        expected = length >= rows and data[length - 1 : length] == b"\n"
        assert (kinds(data[:length]) == []) == expected
