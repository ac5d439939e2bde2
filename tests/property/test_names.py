"""Names: each parser has its composer, and the two agree on everything."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import PurePosixPath

from hypothesis import assume, given
from hypothesis import strategies as st

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import Lfn, Night, RetentionClass, Site
from ctao_bdms.naming import (
    AcadaName,
    AcadaPath,
    BlockName,
    directories_of,
    lfn_of_path,
    lfn_of_pfn,
    path_of_lfn,
    pfn_path,
    scope_of,
)

PART = st.from_regex(r"[A-Za-z0-9._+-]{1,20}", fullmatch=True).filter(lambda part: part not in {".", ".."})
LFNS = st.lists(PART, min_size=2, max_size=8).map(lambda parts: "/" + "/".join(parts)).filter(lambda t: len(t) <= 250)
DIGITS = st.integers(0, 10**18).flatmap(lambda n: st.sampled_from([str(n), f"{n:010d}", f"{n:019d}"]))
STAMPS = st.datetimes().map(lambda instant: instant.replace(microsecond=0, tzinfo=dt.UTC))
WORD = st.sampled_from(["", "SUBARRAY", "TEL", "MON", "DRS4CORR", "X1"])


@st.composite
def acada_names(draw: st.DrawFn) -> AcadaName:
    word = draw(WORD)
    counter = draw(st.sampled_from(["", "CHUNK", "FILE"]))
    has_time = draw(st.booleans())
    start = draw(STAMPS)
    return AcadaName(
        owner=draw(st.sampled_from(["SUB", "TEL", "AUX", "ACE"])),
        owner_id=draw(st.integers(0, 999)),
        source=draw(st.from_regex(r"[A-Z]{1,8}[0-9]{0,4}", fullmatch=True)),
        start=start if has_time else start.replace(hour=0, minute=0, second=0),
        has_time=has_time,
        sb=draw(st.one_of(st.just(""), DIGITS)),
        obs=draw(st.one_of(st.just(""), DIGITS)),
        run=draw(st.one_of(st.just(""), DIGITS)),
        type=word,
        subtype=draw(st.sampled_from(["", "SHOWER", "CAL", "MUON"])) if word else "",
        counter=counter,
        count=draw(DIGITS) if counter else "",
        extension=draw(st.sampled_from([".fits.fz", ".fits", ".nc"])),
    )


@given(acada_names())
def test_names_of_the_acquisition_go_there_and_back(name: AcadaName) -> None:
    assert AcadaName.parse(str(name)) == name


@given(st.text(max_size=120))
def test_any_text_is_a_name_that_comes_back_or_is_refused(text: str) -> None:
    for parse in (AcadaName.parse, BlockName.parse, Lfn):
        try:
            parsed = parse(text)
        except InvalidNameError:
            continue
        assert str(parsed) == text


@given(LFNS, st.integers(0, 300), st.characters())
def test_one_other_character_is_the_same_name_never(text: str, place: int, character: str) -> None:
    place %= len(text)
    other = text[:place] + character + text[place + 1 :]
    assume(other != text)
    try:
        assert Lfn(other) != Lfn(text)
    except InvalidNameError as error:
        assert error.position is None or 0 <= error.position <= len(other)  # noqa: PT017 - either outcome is right


@given(LFNS, LFNS, st.sampled_from(["/", "/data", "/data/on site/"]))
def test_places_are_below_their_prefix_and_distinct(one: str, other: str, prefix: str) -> None:
    place = pfn_path(one, prefix)
    assert place.startswith(prefix.rstrip("/") + "/")
    assert ".." not in PurePosixPath(place).parts
    assert lfn_of_pfn(place, prefix) == Lfn(one)
    assert (place == pfn_path(other, prefix)) == (one == other)
    root = PurePosixPath("/data")
    assert lfn_of_path(path_of_lfn(Lfn(one), root), root) == Lfn(one)


@given(LFNS)
def test_every_directory_is_in_one_scope_and_hangs_on_its_parent(text: str) -> None:
    lfn = Lfn(text)
    try:
        above = directories_of(lfn)
        scope_of(text)
    except InvalidNameError:
        assert lfn.parts[1] == "user"
        return
    assert above[0].did.scope == "root"
    assert [directory.holds_files for directory in above] == [False] * (len(above) - 1) + [True]
    for directory, below in itertools.pairwise(above):
        assert below.parent == directory.did
        assert below.did.name.startswith(directory.did.name + "/")


@given(
    st.sampled_from([Site.NORTH, Site.SOUTH]),
    st.dates(),
    st.sampled_from(RetentionClass),
    STAMPS,
    st.from_regex(r"[0-9a-f]{8}", fullmatch=True),
)
def test_names_of_blocks_go_there_and_back(
    site: Site, date: dt.date, retention: RetentionClass, opened: dt.datetime, token: str
) -> None:
    name = BlockName(
        vo="ctao", scope="acada", site=site, night=Night(date), retention=retention, opened=opened, token=token
    )
    assert BlockName.parse(str(name)) == name
    assert len(str(name)) <= Lfn.MAX_LENGTH


@given(acada_names(), st.dates(), st.booleans())
def test_paths_of_the_acquisition_go_there_and_back(name: AcadaName, date: dt.date, has_handler: bool) -> None:
    path = AcadaPath(
        vo="ctao",
        scope="acada",
        element="LSTN-01",
        user="u",
        handler="acada-adh" if has_handler else "",
        kind="events",
        night=Night(date),
        name=name,
    )
    try:
        lfn = path.lfn
    except InvalidNameError as error:
        assert "more than 250" in error.reason  # noqa: PT017 - either outcome is right
        return
    assert AcadaPath.parse(lfn) == path
