"""Names: each parser has its composer, and the two agree on everything."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import PurePosixPath

import attrs
from hypothesis import assume, given
from hypothesis import strategies as st

from ctao_bdms.errors import InvalidNameError
from ctao_bdms.model import (
    DataAssociation,
    DataDivision,
    DataLevel,
    DataType,
    Lfn,
    Night,
    Particle,
    ProductMetadata,
    ProductType,
    Release,
    RetentionClass,
    Site,
)
from ctao_bdms.naming import (
    AcadaName,
    AcadaPath,
    BlockName,
    DppsName,
    DppsPath,
    LstName,
    SimulationNode,
    UserPath,
    directories_of,
    explain_name,
    lfn_of_path,
    lfn_of_pfn,
    path_of_lfn,
    pfn_path,
    scope_of,
    user_scope,
    username_of,
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
    for parse in (AcadaName.parse, BlockName.parse, DppsName.parse, LstName.parse, Lfn, Release):
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
        scope = lfn.parts[1]
        assert "+" in scope or scope in {"root", "user"} or scope.startswith("user.")
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
    st.sampled_from(["", "PIC", "INFN-Frascati"]),
)
def test_names_of_blocks_go_there_and_back(
    site: Site, date: dt.date, retention: RetentionClass, opened: dt.datetime, token: str, origin: str
) -> None:
    name = BlockName(
        vo="ctao",
        scope="acada",
        site=site,
        night=Night(date),
        retention=retention,
        opened=opened,
        token=token,
        origin=origin,
    )
    assert BlockName.parse(str(name)) == name
    assert name.series.block(opened, token) == name
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


@given(acada_names().filter(lambda name: bool(name.sb and name.obs and name.has_time)))
def test_names_of_release_1_go_there_and_back(name: AcadaName) -> None:
    first = attrs.evolve(
        name, owner="TEL", source="SDH_3001", run="", type="", subtype="", counter="CHUNK", count="9",
        extension=".fits.fz", is_first=True,
    )  # fmt: skip
    assert AcadaName.parse(str(first)) == first


TENTHS = st.integers(-3600, 3600).map(lambda tenths: tenths / 10)
KINDS = st.builds(
    lambda level, division, association, type_: ProductType(
        level,
        DataDivision.EVENT if level <= DataLevel.DL3 and division in {"Model", "Binned"} else division,
        association,
        type_,
    ),
    st.sampled_from(DataLevel),
    st.sampled_from(DataDivision),
    st.sampled_from(DataAssociation),
    st.sampled_from(DataType),
)
NODES = st.one_of(
    st.builds(SimulationNode, st.integers(0, 200).map(lambda n: n / 10), TENTHS, TENTHS),
    st.builds(SimulationNode, st.integers(0, 200).map(lambda n: n / 10), st.none(), st.none(), TENTHS, TENTHS),
)
MAYBE = st.one_of(st.none(), st.integers(0, 20_000))


@st.composite
def dpps_names(draw: st.DrawFn) -> DppsName:
    obs_id = draw(st.one_of(st.none(), st.integers(0, 5 * 10**9)))
    ae_id = draw(MAYBE)
    node = draw(st.one_of(st.none(), NODES))
    words = draw(st.sets(st.sampled_from(["images", "parameters", "geometry", "energy", "gammaness"])))
    return DppsName(
        kind=draw(KINDS),
        obs_id=obs_id,
        site=draw(st.sampled_from(Site)) if obs_id is None else None,
        night=draw(st.one_of(st.none(), st.dates().map(Night))) if obs_id is None else None,
        ae_class="" if ae_id is None else draw(st.sampled_from(["tel", "ace"])),
        ae_id=ae_id,
        chunk_id=draw(MAYBE),
        source=draw(st.sampled_from(["", "SDH001", "SWAT000"])),
        sublevels=tuple(word for word in ("images", "parameters", "geometry", "energy", "gammaness") if word in words),
        subarray_id=draw(MAYBE),
        particle=draw(st.one_of(st.none(), st.sampled_from([22, 11, -11, 2212, 1000020040, 1000260560]).map(Particle)))
        if node
        else None,
        node=node,
        extension=draw(st.sampled_from([".h5", ".fits.gz", ".simtel.zst", ".ecsv"])),
    )


@given(dpps_names())
def test_names_of_processing_go_there_and_back(name: DppsName) -> None:
    assert DppsName.parse(str(name)) == name
    if name.subarray_id is None or name.node is not None:  # else the subarray is not that of a simulation
        assert DppsName.of(ProductMetadata(name.metadata), name.extension) == name


@given(
    dpps_names(),
    st.dates(),
    st.booleans(),
    st.sampled_from(["DataPipe/Observation/DR1", "SimPipe/Prod8", "CTAO/DL3-DR1"]),
    st.sampled_from(Site),
    st.sampled_from([(), ("ShortTerm",), ("ShortTerm", "DPPS")]),
)
def test_paths_of_processing_go_there_and_back(
    name: DppsName, date: dt.date, has_night: bool, release: str, site: Site, area: tuple[str, ...]
) -> None:
    kind = name.kind
    splits = kind.division is not DataDivision.SERVICE or kind.level is DataLevel.DL1
    night = name.night or (Night(date) if has_night and name.obs_id is not None else None)
    path = DppsPath(
        vo="ctao",
        scope="dpps",
        area=area if "Pipe" in release else (),
        release=Release(release),
        site=name.site or site,
        night=night if splits else None,
        node=name.node,
        name=name,
    )
    assume(len(f"{path.directory}/{name}") <= Lfn.MAX_LENGTH)
    assert DppsPath.parse(path.lfn) == path


USERS = st.one_of(
    PART,
    st.from_regex(r"[A-Za-z0-9._+-]{15,60}", fullmatch=True),
    st.from_regex(r"[a-z.]{6}[a-z2-7]{13}-", fullmatch=True),
)


@given(USERS, USERS)
def test_users_have_scopes_of_their_own(one: str, other: str) -> None:
    scope = user_scope(one)
    assert len(scope) <= 25
    assert "+" not in scope
    assert (scope == user_scope(other)) == (one == other)
    assert username_of(scope) in {one, None}
    if len(one) <= 20 and "+" not in one and not one.endswith("-"):
        assert username_of(scope) == one
    name = f"/ctao/user/{one[0]}/{one}/x"
    assume(one not in {".", ".."} and one[0] != ".")
    assert scope_of(name) == scope
    assert str(UserPath.parse(Lfn(name)).lfn) == name


@given(LFNS)
def test_only_the_area_of_a_user_is_in_the_scope_of_a_user(text: str) -> None:
    try:
        scope = scope_of(text)
    except InvalidNameError:
        return
    parts = Lfn(text).parts
    assert (scope.startswith("user.") or scope == "root") == (parts[1] == "user")


@given(st.one_of(st.text(max_size=80), LFNS, acada_names().map(str), dpps_names().map(str)))
def test_any_text_is_explained_or_pointed_at(text: str) -> None:
    try:
        assert explain_name(text).text == text or text.endswith(explain_name(text).text)
    except InvalidNameError as error:
        assert error.text == text  # noqa: PT017 - either outcome is right
        assert error.position is None or 0 <= error.position <= len(text)  # noqa: PT017
