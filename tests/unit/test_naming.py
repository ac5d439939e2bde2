"""How names are made and read."""

from __future__ import annotations

import datetime as dt
from pathlib import PurePosixPath

import pytest

from ctao_bdms.errors import InvalidNameError, OutsideRootError
from ctao_bdms.model import Did, Lfn, Night, RetentionClass, Site
from ctao_bdms.naming import (
    AcadaName,
    AcadaPath,
    BlockName,
    LstName,
    Stream,
    UserPath,
    blocks_pattern,
    directories_of,
    lfn_of_path,
    lfn_of_pfn,
    path_of_lfn,
    path_of_pfn,
    pfn_path,
    scope_of,
    user_scope,
    username_of,
)

EVENTS = "TEL001_SDH0001_20261121T221500_SBID0000000002000000001_OBSID0000000002000000002_TEL_SHOWER_CHUNK003.fits.fz"


@pytest.mark.parametrize(
    ("text", "stream"),
    [
        (EVENTS, Stream.TELESCOPE_EVENTS),
        ("TEL001_SDH0001_20261121T221500_SBID2000000001_OBSID2000000002_CHUNK000.fits.fz", Stream.TELESCOPE_EVENTS),
        ("TEL001_SDH0001_20261121T221500_SBID2_OBSID2_TEL_CAL_CHUNK000.fits.fz", Stream.TELESCOPE_EVENTS),
        ("SUB001_SWAT000_20261121T221500_SBID2_OBSID2_SUBARRAY_CHUNK000.fits.fz", Stream.SUBARRAY_EVENTS),
        ("SUB001_SWAT000_20261121T221500_SBID2_OBSID2_TEL_CHUNK000.fits.fz", Stream.TELESCOPE_TRIGGERS),
        ("SUB001_SWAT000_20261121T221500_SBID2_OBSID2_MON_CHUNK000.fits.fz", Stream.MONITORING),
        ("AUX001_LASER001_20261121T221500_FILE000.fits", Stream.OTHER),
        ("ACE020_CEILO_20261121_FILE1.nc", Stream.OTHER),
        ("TEL001_EVB_20261121_DRS4CORR_FILE000.fits", Stream.OTHER),
        ("TEL001_EVB_20261121T000000_RUNID17_FILE0.fits", Stream.OTHER),
        ("TEL012_SDH001_20251015T181232_SBID0012023902_OBSID1000012345_SUB_SHOWER.fits.fz", Stream.OTHER),
        ("AUX021_CAMERA01_20231011T030105_SBID0000000000000012345_OBSID0000000000000006789_FILE001.fits", Stream.OTHER),
        ("Tel001_SDH_3001_20231003T204445_sbid2000000008_obid2000000016_9.fits.fz", Stream.TELESCOPE_EVENTS),
    ],
)
def test_names_of_the_acquisition_come_back_exactly(text: str, stream: Stream) -> None:
    name = AcadaName.parse(text)
    assert str(name) == text
    assert name.stream is stream


def test_the_parts_of_a_name() -> None:
    name = AcadaName.parse(EVENTS)
    assert (name.owner, name.owner_id, name.source) == ("TEL", 1, "SDH0001")
    assert (name.sb_id, name.obs_id, name.chunk_id) == (2_000_000_001, 2_000_000_002, 3)
    assert name.start == dt.datetime(2026, 11, 21, 22, 15, tzinfo=dt.UTC)
    assert AcadaName.parse("AUX001_LASER001_20261121_FILE000.fits").chunk_id is None
    first = AcadaName.parse("Tel001_SDH_3001_20231003T204445_sbid2000000008_obid0000000002000000016_9.fits.fz")
    assert (first.owner, first.owner_id, first.source, first.chunk_id) == ("TEL", 1, "SDH_3001", 9)
    assert (first.sb_id, first.obs_id) == (2_000_000_008, 2_000_000_016)


def test_the_names_of_the_first_telescope() -> None:
    name = LstName.parse("LST-1.1.Run02005.0000.fits.fz")
    assert (name.ae_id, name.stream, name.run_id, name.chunk_id) == (1, "1", 2005, 0)
    assert str(name) == "LST-1.1.Run02005.0000.fits.fz"


@pytest.mark.parametrize(
    ("text", "position", "hint"),
    [
        ("TEL01_SDH0001_20261121T221500.fits.fz", 0, "three digits"),
        ("TEL001_sdh0001_20261121T221500.fits.fz", 6, "source"),
        ("TEL001_SDH0001_2026112T221500.fits.fz", 14, "date"),
        ("TEL001_SDH0001_20261321T221500.fits.fz", 15, "no date"),
        ("TEL001_SDH0001_20261121T221500_SBIDx.fits.fz", 35, "extension"),
        ("TEL001_SDH0001_20261121T221500_CHUNK000.fits.gz", 39, "extension"),
        (EVENTS + "x", len(EVENTS) - len(".fits.fz"), "extension"),
        ("TEL001_SDH0001_20261121T221500_CHUNK00٣.fits.fz", 38, "extension"),
        ("TEL001_SDH0001_20261121T241500.fits.fz", 15, "no date"),
        ("Tel001_SDH3001_20231003T204445_sbid2_obid2_9.fits.fz", 6, "SDH_3001"),
        ("Tel001_SDH_3001_20231003T204445_sbid2_obsid2_9.fits.fz", 37, "_obid"),
        ("Tel001_SDH_3001_20231303T204445_sbid2_obid2_9.fits.fz", 16, "no date"),
        ("notes.txt", 0, "SUB, TEL, AUX or ACE"),
        ("", 0, "SUB, TEL, AUX or ACE"),
    ],
)
def test_an_almost_right_name_is_told_where_it_goes_wrong(text: str, position: int, hint: str) -> None:
    with pytest.raises(InvalidNameError, match=hint) as caught:
        AcadaName.parse(text)
    assert caught.value.position == position


@pytest.mark.parametrize(
    "folder",
    [
        "/ctao/acada/DL0/LSTN-01/ctao-n-acada/acada-adh/events/2026/11/21",
        "/ctao/acada/DL0/LSTN-01/ctao-north/event/2026/11/21",
        "/ctao/acada/DL0/ARRAY/ctao-acada-n/acada-adh/triggers/2026/02/28",
        "/ctao/acada/DL0/TEL001/ctao-n-acada/acada-adh/Monitoring/2026/11/21",
    ],
)
def test_paths_of_the_acquisition_come_back_exactly(folder: str) -> None:
    lfn = Lfn(f"{folder}/{EVENTS}")
    assert AcadaPath.parse(lfn).lfn == lfn


@pytest.mark.parametrize(
    ("folder", "wrong"),
    [
        ("/ctao/acada/DL1/LSTN-01/u/events/2026/11/21", "DL1"),
        ("/ctao/acada/DL0/LST-1/u/events/2026/11/21", "LST-1"),
        ("/ctao/acada/DL0/LSTN-05/u/events/2026/11/21", "LSTN-05"),
        ("/ctao/acada/DL0/TEL099/u/events/2026/11/21", "TEL099"),
        ("/ctao/acada/DL0/LSTN-01/u/adh/events/2026/11/21", "adh"),
        ("/ctao/acada/DL0/LSTN-01/u/photos/2026/11/21", "photos"),
        ("/ctao/acada/DL0/LSTN-01/u/events/2026/11/31", "2026"),
        ("/ctao/acada/DL0/LSTN-01/u/events/2026/1/21", "2026"),
    ],
)
def test_a_wrong_component_is_pointed_at(folder: str, wrong: str) -> None:
    lfn = Lfn(f"{folder}/{EVENTS}")
    with pytest.raises(InvalidNameError) as caught:
        AcadaPath.parse(lfn)
    assert caught.value.position == str(lfn).index(f"/{wrong}") + 1


def test_a_wrong_name_in_a_right_path_is_pointed_at() -> None:
    lfn = Lfn("/ctao/acada/DL0/LSTN-01/u/events/2026/11/21/TEL001_sdh.fits.fz")
    with pytest.raises(InvalidNameError) as caught:
        AcadaPath.parse(lfn)
    assert caught.value.position == str(lfn).index("_sdh")


def test_a_path_of_another_depth_is_none() -> None:
    with pytest.raises(InvalidNameError, match="a DL0 path is"):
        AcadaPath.parse(Lfn(f"/ctao/acada/DL0/{EVENTS}"))


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("/ctao", "root"),
        ("/ctao/acada", "acada"),
        ("/ctao/acada/DL0/x", "acada"),
        ("/ctao/user", "root"),
        ("/ctao/user/a", "root"),
        ("/ctao/user/a/aeinstein", "user.aeinstein"),
        ("/ctao/user/a/aeinstein/x/y", "user.aeinstein"),
        ("/ctao/user/a/a234567890123456789b/x", "user.a234567890123456789b"),
        ("/ctao/user/m/maximilian.mustermann-schmidt/x", "user.maximie3nwfr57strvd-"),
        ("/ctao/1234567890123456789012345/x", "1234567890123456789012345"),
    ],
)
def test_scopes(name: str, scope: str) -> None:
    assert scope_of(name) == scope


@pytest.mark.parametrize("name", ["", "/", "ctao", "/ctao/", "/ctao/user/b/aeinstein/x", "/ctao/../x", "/ct ao"])
def test_what_has_no_scope(name: str) -> None:
    with pytest.raises(InvalidNameError):
        scope_of(name)


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("/ctao/user/b/aeinstein/x", 11),
        ("/ctao/12345678901234567890123456/x", 31),
        ("/ctao/a+b/x", 7),
        ("/ctao/user.aeinstein/x", 6),
        ("/ctao/root/x", 6),
    ],
)
def test_what_cannot_be_a_scope_is_pointed_at(name: str, position: int) -> None:
    with pytest.raises(InvalidNameError) as caught:
        scope_of(name)
    assert caught.value.position == position


def test_the_file_of_a_user() -> None:
    lfn = Lfn("/ctao/user/a/aeinstein/irf/notes.txt")
    assert UserPath.parse(lfn).lfn == lfn
    for wrong in ("/ctao/user/b/aeinstein/x", "/ctao/user/a/aeinstein", "/ctao/acada/a/aeinstein/x"):
        with pytest.raises(InvalidNameError):
            UserPath.parse(Lfn(wrong))
    assert username_of("acada") is None
    assert username_of(user_scope("a-name-that-is-far-too-long")) is None


def test_the_tree_above_a_file() -> None:
    above = directories_of(Lfn("/ctao/acada/DL0/LSTN-01/x"))
    assert [str(d.did) for d in above] == [
        "root:/ctao",
        "acada:/ctao/acada",
        "acada:/ctao/acada/DL0",
        "acada:/ctao/acada/DL0/LSTN-01",
    ]
    assert [d.holds_files for d in above] == [False, False, False, True]
    assert [d.parent for d in above] == [None, *(d.did for d in above[:-1])]


def test_places_go_both_ways() -> None:
    lfn = Lfn("/ctao/acada/x")
    for prefix in ("/data", "/data/"):
        assert pfn_path(str(lfn), prefix) == "/data/ctao/acada/x"
        assert lfn_of_pfn("/data/ctao/acada/x", prefix) == lfn
    root = PurePosixPath("/data")
    assert lfn_of_path(path_of_lfn(lfn, root), root) == lfn


@pytest.mark.parametrize("path", ["/database/ctao/x", "/data", "/data/../x", "/data/ctao/acada//x"])
def test_what_is_not_under_the_prefix(path: str) -> None:
    with pytest.raises(InvalidNameError):
        lfn_of_pfn(path, "/data")


def test_a_path_outside_the_root() -> None:
    with pytest.raises(OutsideRootError, match="outside the storage root"):
        lfn_of_path(PurePosixPath("/elsewhere/x"), PurePosixPath("/data"))


def test_file_urls() -> None:
    assert str(path_of_pfn("file://localhost/a/b%20c")) == "/a/b c"
    assert str(path_of_pfn("file:///a")) == "/a"
    for url in ("root://localhost//a", "file://elsewhere/a", "/a"):
        with pytest.raises(InvalidNameError):
            path_of_pfn(url)


def test_names_of_blocks_come_back_exactly() -> None:
    name = BlockName(
        vo="ctao",
        scope="acada",
        site=Site.NORTH,
        night=Night.parse("2026-11-21"),
        retention=RetentionClass.SHORT_TERM,
        opened=dt.datetime(2026, 11, 22, 3, 15, 9, tzinfo=dt.UTC),
        token="1a2b3c4d",
    )
    text = "/ctao/acada/blocks/CTAO-North/2026/11/21/short-term-20261122T031509-1a2b3c4d"
    assert str(name) == text
    assert BlockName.parse(text) == name
    assert name.did == Did("acada", text)


@pytest.mark.parametrize(
    "text",
    [
        "/ctao/acada/blocks/CTAO-North/2026/11/21/permanent-20261122T031509-1a2b3c4",
        "/ctao/acada/blocks/CTAO-North/2026/13/21/permanent-20261122T031509-1a2b3c4d",
        "/ctao/acada/blocks/Paranal/2026/11/21/permanent-20261122T031509-1a2b3c4d",
        "/ctao/acada/blocks/CTAO-North/2026/11/21/forever-20261122T031509-1a2b3c4d",
        "/ctao/acada/DL0/x",
    ],
)
def test_what_is_no_block(text: str) -> None:
    with pytest.raises(InvalidNameError):
        BlockName.parse(text)


def test_patterns_of_blocks() -> None:
    assert blocks_pattern("ctao", "acada") == "/ctao/acada/blocks/*"
    assert blocks_pattern("ctao", "acada", Site.SOUTH) == "/ctao/acada/blocks/CTAO-South/*"
