from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest

from ctao_bdms.integrity import scan
from ctao_bdms.integrity.formats.fletcher import Fletcher32
from ctao_bdms.integrity.formats.superblock import Superblock, read_superblock
from ctao_bdms.model import Defect, DefectKind, Flag, ProductMetadata, Verdict
from ctao_bdms.testing.products import write_dl1, write_dl2

if TYPE_CHECKING:
    from collections.abc import Callable

MUTATIONS = Path(__file__).with_name("hdf5_mutations.py")
IMAGES = "dl1/event/telescope/images/tel_001"


@pytest.fixture
def dl1(tmp_path: Path) -> Path:
    return write_dl1(tmp_path / "events.dl1.h5")


def kinds(path: Path) -> list[DefectKind]:
    return [defect.kind for defect in scan(path).defects]


def messages(path: Path) -> str:
    return "\n".join(defect.message for defect in scan(path).defects)


@pytest.mark.parametrize(
    ("write", "kind", "level"), [(write_dl1, "ctapipe DL1", "DL1"), (write_dl2, "ctapipe DL2", "DL2")]
)
def test_a_sound_file_is_good_and_says_what_it_is(
    write: Callable[..., Path], kind: str, level: str, tmp_path: Path
) -> None:
    facts = scan(write(tmp_path / "x.h5"))
    assert (facts.format, facts.kind, facts.verdict, facts.defects) == ("hdf5", kind, Verdict.GOOD, ())
    metadata, defects = ProductMetadata.from_keywords(facts.keywords)
    assert not defects
    assert metadata["data__level"] == level
    assert metadata["data__division"] == "Event"
    assert metadata["data__association"] == "Telescope"
    assert metadata["model__version"] == "v7.6.0"
    assert metadata["activity__software__name"] == "ctapipe"
    assert "instance__category" not in metadata  # "Other" says nothing
    assert "model__url" not in metadata


def test_what_has_no_checksum_is_not_called_good(tmp_path: Path) -> None:
    old = scan(write_dl1(tmp_path / "old.h5", is_old=True))
    bare = scan(write_dl1(tmp_path / "bare.h5", fletcher32=False))
    assert [facts.verdict for facts in (old, bare)] == [Verdict.UNCHECKED] * 2
    with h5py.File(write_dl1(tmp_path / "text.h5"), "a", libver="latest") as file:
        file.attrs["remark"] = "a text of any length lies in a heap"
    assert scan(tmp_path / "text.h5").verdict is Verdict.UNCHECKED


def test_the_newer_spelling_of_the_metadata_is_read(tmp_path: Path) -> None:
    path = write_dl1(
        tmp_path / "x.h5",
        attributes={
            "CTAO.instance.obs_id": 5,
            "CTAO.activity.software.url": "https://example.org",
            "CTAO.instance.region_id": "G1",
            "CTAO.disclaimer": "None",
            "CTAO.nonsense": 1,
        },
    )
    metadata, defects = ProductMetadata.from_keywords(scan(path).keywords)
    assert not defects
    assert metadata["instance__obs_id"] == 5
    assert metadata["activity__software__url"] == "https://example.org"
    assert metadata["instance__region_id"] == "G1"  # a key that has no FITS keyword
    assert "disclaimer" not in metadata


def test_an_attribute_of_the_wrong_type_is_a_defect(tmp_path: Path) -> None:
    path = write_dl1(tmp_path / "x.h5", attributes={"CTA PRODUCT ID": np.arange(3)})
    assert kinds(path) == [DefectKind.INVALID_METADATA]
    path = write_dl1(tmp_path / "y.h5", attributes={"CTA PRODUCT CREATION TIME": 3.5})
    facts = scan(path)
    assert facts.verdict is Verdict.GOOD
    _, defects = ProductMetadata.from_keywords(facts.keywords)
    assert [defect.kind for defect in defects] == [DefectKind.INVALID_METADATA]


def test_empty_and_text(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(b"")
    assert kinds(path) == [DefectKind.EMPTY]
    path.write_text("hello\n" * 1000)
    assert kinds(path) == [DefectKind.NOT_A_PRODUCT]


def test_a_flip_under_fletcher32_is_found_and_counted(dl1: Path) -> None:
    with h5py.File(dl1) as file:
        chunk = file[IMAGES].id.get_chunk_info(1)
    data = bytearray(dl1.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 4
    dl1.write_bytes(data)
    assert kinds(dl1) == [DefectKind.CORRUPT]
    assert f"1 of 3 chunks of /{IMAGES} are damaged" in messages(dl1)
    assert "Fletcher-32 does not agree" in messages(dl1)


def test_a_flip_without_a_sum_is_found_where_it_cannot_be_decoded(tmp_path: Path) -> None:
    path = write_dl1(tmp_path / "x.h5", fletcher32=False)
    with h5py.File(path) as file:
        chunk = file[IMAGES].id.get_chunk_info(1)
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 4
    path.write_bytes(data)
    assert kinds(path) == [DefectKind.CORRUPT]
    assert "cannot be decoded" in messages(path)


def test_a_flip_in_plain_data_passes_as_unchecked_and_not_as_good(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file["plain"] = np.arange(100)
        offset = file["plain"].id.get_offset()
    data = bytearray(path.read_bytes())
    data[offset + 8] ^= 1
    path.write_bytes(data)
    assert scan(path).verdict is Verdict.UNCHECKED


def test_a_sum_that_is_not_the_last_filter_is_checked_by_the_library(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_chunk((100,))
    made.set_fletcher32()
    made.set_deflate(1)
    with h5py.File(path, "w", libver="latest") as file:
        space = h5py.h5s.create_simple((1000,))
        dataset = h5py.h5d.create(file.id, b"a", h5py.h5t.NATIVE_INT64, space, made)
        dataset.write(h5py.h5s.ALL, h5py.h5s.ALL, np.arange(1000))
        chunk = dataset.get_chunk_info(4)
    assert scan(path).verdict is Verdict.GOOD
    data = bytearray(path.read_bytes())
    data[chunk.byte_offset + chunk.size // 2] ^= 1
    path.write_bytes(data)
    assert kinds(path) == [DefectKind.CORRUPT]


@pytest.mark.parametrize("place", range(0, 48, 3))
def test_a_flip_in_the_superblock_is_found(dl1: Path, place: int) -> None:
    data = bytearray(dl1.read_bytes())
    data[place] ^= 0xFF
    dl1.write_bytes(data)
    assert scan(dl1).verdict is Verdict.BAD


def test_trailing_bytes_are_flagged(dl1: Path) -> None:
    with dl1.open("ab") as file:
        file.write(b"more")
    facts = scan(dl1)
    assert (facts.verdict, facts.flags, facts.trailing_bytes) == (Verdict.UNCHECKED, (Flag.TRAILING_BYTES,), 4)


def test_rows_that_do_not_agree(dl1: Path) -> None:
    with h5py.File(dl1, "a", libver="latest") as file:
        file[IMAGES].resize((19,))
    assert kinds(dl1) == [DefectKind.STRUCTURE]
    assert "tel_001 has 19 images, but parameters of 20" in messages(dl1)
    with h5py.File(dl1, "a", libver="latest") as file:
        file[IMAGES].resize((20,))
        file["dl1/event/telescope/trigger"].resize((39,))
    assert "there are 40 images of 39 telescope triggers" in messages(dl1)


@pytest.mark.parametrize(
    "missing",
    [
        "configuration/instrument/subarray/layout",
        "dl1/event/subarray/trigger",
        "dl1/event/telescope/trigger",
        "dl1/event/telescope/images",
        "dl1/event/telescope/parameters",
        "dl1",
    ],
)
def test_a_missing_part_is_named(dl1: Path, missing: str) -> None:
    with h5py.File(dl1, "a", libver="latest") as file:
        del file[missing]
    assert set(kinds(dl1)) == {DefectKind.STRUCTURE}
    assert missing in messages(dl1)


def test_more_rows_of_dl2_than_events(tmp_path: Path) -> None:
    path = write_dl2(tmp_path / "x.h5")
    with h5py.File(path, "a", libver="latest") as file:
        file["dl2/event/subarray/energy/Forest"].resize((21,))
    assert "/dl2/event/subarray/energy/Forest has 21 rows, but there are 20 events" in messages(path)


def test_the_name_is_a_promise(tmp_path: Path) -> None:
    assert scan(write_dl1(tmp_path / "dl1_evt_tel_x.h5")).verdict is Verdict.GOOD
    assert "claims to hold DL2" in messages(write_dl1(tmp_path / "events.dl2.h5"))
    assert "claims to hold DL2" in messages(write_dl1(tmp_path / "dl2_evt_sub_x.h5"))
    simulated = write_dl1(tmp_path / "x.h5", attributes={"CTA PROCESS TYPE": "Simulation"})
    assert "must have a group /simulation" in messages(simulated)


def test_other_files_are_not_followed(dl1: Path, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = np.arange(10)
    with h5py.File(dl1, "a", libver="latest") as file:
        file["outside"] = h5py.ExternalLink("other.h5", "/a")
        virtual = h5py.VirtualLayout(shape=(10,), dtype="i8")
        virtual[:] = h5py.VirtualSource("other.h5", "a", shape=(10,))
        file.create_virtual_dataset("virtual", virtual)
        file.create_dataset("far", shape=(10,), dtype="i8", external=[("other.h5", 0, 80)])
        file["soft"] = h5py.SoftLink("/nowhere")
        file["again"] = file["dl1"]
        file["dl1/loop"] = file["/"]
    assert kinds(dl1) == [DefectKind.STRUCTURE] * 3
    for name in ("/outside", "/virtual", "/far"):
        assert name in messages(dl1)


def test_huge_claims_cost_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("huge", shape=(1 << 40, 1 << 10), dtype="f8", chunks=(1 << 14, 1 << 10), fletcher32=True)
        file.create_dataset("one", shape=(1 << 40,), dtype="f8", chunks=(1 << 20,), compression="gzip")[0] = 1
    assert scan(path).verdict is Verdict.UNCHECKED


@pytest.mark.parametrize("is_old", [False, True])
def test_cut_anywhere(tmp_path: Path, is_old: bool) -> None:
    data = write_dl1(tmp_path / "x.h5", is_old=is_old).read_bytes()
    for length in range(1, len(data), 97):
        path = tmp_path / "cut.h5"
        path.write_bytes(data[:length])
        with path.open("rb") as source:
            found = read_superblock(source, length)
        assert isinstance(found, str) or found.end > length  # before the library is asked
    path.write_bytes(data[: len(data) // 2])
    assert kinds(path) == [DefectKind.TRUNCATED]
    path.write_bytes(data[:-1])
    assert kinds(path) == [DefectKind.TRUNCATED]


@pytest.mark.parametrize("is_old", [False, True])
def test_a_user_block_moves_the_superblock(tmp_path: Path, is_old: bool) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w", userblock_size=1024, libver="earliest" if is_old else "latest") as file:
        file.create_dataset("a", data=np.arange(1000), chunks=(100,), fletcher32=True)
    with path.open("rb") as source:
        found = read_superblock(source, path.stat().st_size)
    assert isinstance(found, Superblock)
    assert found.offset == 1024
    facts = scan(path)
    assert facts.defects == ()
    assert facts.trailing_bytes == 0


def test_fletcher32_is_the_one_of_the_library(tmp_path: Path) -> None:
    chance = np.random.default_rng(1)
    for size in (1, 2, 3, 359, 360, 721, 65537, 300_001):
        for content in (chance.integers(0, 256, size), np.zeros(size), np.full(size, 255)):
            with h5py.File(tmp_path / "x.h5", "w") as file:
                file.create_dataset("a", data=content.astype("u1"), chunks=(size,), fletcher32=True)
                file.flush()
                _, stored = file["a"].id.read_direct_chunk((0,))
            total = Fletcher32()
            middle = size // 4 * 2
            total.update(stored[:middle])
            total.update(stored[middle:-4])
            assert total.agrees(stored[-4:])
            assert not total.agrees(bytes([stored[-4] ^ 1]) + stored[-3:])


def content(path: Path) -> dict[str, object]:
    """Return everything that a reader could see."""
    with h5py.File(path) as file:
        seen: dict[str, object] = {name: file.attrs[name] for name in file.attrs}
        file.visititems(lambda name, thing: seen.update({name: thing[()].tobytes() if hasattr(thing, "shape") else 0}))
    return seen


@pytest.mark.parametrize(("is_old", "count"), [(False, 250), (True, 150)])
def test_mutations_get_a_verdict_and_none_that_changes_the_content_is_good(
    tmp_path: Path, is_old: bool, count: int
) -> None:
    path = write_dl2(tmp_path / "x.h5", events=12, is_old=is_old)
    data, expected = path.read_bytes(), content(path)
    done = subprocess.run(
        [sys.executable, MUTATIONS, path, str(count), tmp_path], capture_output=True, text=True, check=True
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["seed"] for answer in answers] == list(range(count))
    # A crash of the library is a verdict too (`examine`); that the reader itself fails is not.
    assert {answer["status"] for answer in answers} <= {0, -6, -7, -8, -11, -24}
    assert sum(bool(answer.get("defects")) for answer in answers) > count / 3
    mutate = runpy.run_path(str(MUTATIONS))["mutate"]
    for answer in answers:
        if answer.get("checked"):
            path.write_bytes(mutate(data, answer["seed"]))
            assert repr(content(path)) == repr(expected)


def test_a_crash_of_the_library_is_a_defect(dl1: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from ctao_bdms.integrity.formats import hdf5

    for number, code in enumerate(("import os; os.abort()", "raise SystemExit('no room')")):
        (tmp_path / f"crash{number}.py").write_text(code)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
        monkeypatch.setattr(hdf5, "_MODULE", f"crash{number}")
        defect = hdf5.examine(str(dl1))
        assert isinstance(defect, Defect)
        assert (defect.kind, number) in {(DefectKind.STRUCTURE, 0), (DefectKind.UNEXAMINED, 1)}
        assert ("crashed (SIGABRT)", "no room")[number] in defect.message
    assert scan(dl1).verdict is Verdict.ERROR


def test_bytes_without_a_file_are_not_examined(dl1: Path) -> None:
    from ctao_bdms.integrity import Scanner

    scanner = Scanner("x.h5")
    scanner.feed(dl1.read_bytes())
    assert scanner.finish().verdict is Verdict.UNCHECKED
