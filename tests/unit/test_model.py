"""Values of the model: what they accept, refuse and say."""

from __future__ import annotations

import datetime as dt
import pickle

import pytest

from ctao_bdms.errors import InvalidMetadataError, InvalidNameError
from ctao_bdms.model import (
    METADATA,
    ArrayElement,
    DataLevel,
    DefectKind,
    FileFacts,
    HduFacts,
    Lfn,
    Night,
    ObservationId,
    Particle,
    Product,
    ProductMetadata,
    ProductType,
    Release,
    Site,
    Subarray,
    SumStatus,
    ValueType,
    Verdict,
    metadata_key,
)


def test_levels_have_an_order() -> None:
    assert sorted([DataLevel.DL3, DataLevel.R0, DataLevel.DL0]) == [DataLevel.R0, DataLevel.DL0, DataLevel.DL3]
    assert str(DataLevel.SCIOPS) == "SciOps"


@pytest.mark.parametrize(
    ("number", "name", "site"),
    [
        (1, "LSTN-01", Site.NORTH),
        (19, "MSTN-15", Site.NORTH),
        (101, "LSTS-01", Site.SOUTH),
        (20, "RLDN-01", Site.NORTH),
        (28, "WSTN-03", Site.NORTH),
        (31, "LISN-01", Site.NORTH),
        (104, "LSTS-04", Site.SOUTH),
        (118, "MSTS-14", Site.SOUTH),
        (168, "SSTS-50", Site.SOUTH),
        (169, "CEIS-01", Site.SOUTH),
        (178, "ILLS-04", Site.SOUTH),
        (183, "DUSS-01", Site.SOUTH),
    ],
)
def test_elements_have_numbers_names_and_sites(number: int, name: str, site: Site) -> None:
    element = ArrayElement(number)
    assert (element.name, element.site, ArrayElement.parse(name)) == (name, site, element)
    assert element.is_telescope == (name[1:3] == "ST" and name[0] in "LMS")
    assert repr(element) == f"ArrayElement({name})"


def test_a_wrong_name_of_an_element_suggests_the_nearest() -> None:
    with pytest.raises(InvalidNameError, match="did you mean CEIN-01"):
        ArrayElement.parse("CEIN-1")


def test_a_product_of_an_element_that_only_a_simulation_has_is_called_by_its_number() -> None:
    product = Product(
        lfn=Lfn("/ctao/dpps/x"), size_bytes=1, adler32="00000001", metadata=ProductMetadata({"instance__ae_id": 43})
    )
    assert product.telescope == "43"


def test_subarrays_have_names_and_elements() -> None:
    assert [element.name for element in Subarray(3).elements] == [f"MSTN-{i:02d}" for i in range(1, 6)]
    assert (Subarray(4).name, Subarray(4).elements, repr(Subarray(4))) == ("", (), "Subarray(4)")
    with pytest.raises(ValueError):
        Subarray(-1)


@pytest.mark.parametrize(
    ("text", "creator"), [("2000000016", 2), ("0000000003000000001", 3), ("4000000001", 4), ("7", 0)]
)
def test_blocks_are_numbered_by_their_creator(text: str, creator: int) -> None:
    block = ObservationId.parse(text)
    assert (block.creator, int(block)) == (creator, int(text))
    assert ObservationId.parse(str(block)) == block
    assert len(str(block)) == 10


@pytest.mark.parametrize(("text", "position"), [("", None), ("20000x", 5), ("-1", 0), ("٣", 0), ("9000000001", None)])
def test_what_is_no_block(text: str, position: int | None) -> None:
    with pytest.raises(InvalidNameError) as caught:
        ObservationId.parse(text)
    assert caught.value.position == position


def test_product_types_are_read_written_and_ordered() -> None:
    texts = ["DL3/Event/Subarray/Observation", "DL1/Event/Telescope/AirShower", "DL1/Event/Array/AirShower"]
    kinds = [ProductType.parse(text) for text in texts]
    assert [str(kind) for kind in kinds] == texts
    assert [str(kind) for kind in sorted(kinds)] == texts[::-1]


@pytest.mark.parametrize(
    ("text", "position", "hint"),
    [
        ("DL1/Event/Telescope", None, "level/division"),
        ("DL7/Event/Telescope/AirShower", 0, "DataLevel"),
        ("DL1/Event/Telescop/AirShower", 10, "did you mean 'Telescope'"),
        ("DL1/Event/Telescope/Airshower", 20, "did you mean 'AirShower'"),
        ("DL1/Binned/Telescope/AirShower", 4, "begin at DL4"),
    ],
)
def test_what_is_no_product_type_is_pointed_at(text: str, position: int | None, hint: str) -> None:
    with pytest.raises(InvalidNameError, match=hint) as caught:
        ProductType.parse(text)
    assert caught.value.position == position


def test_releases_are_ordered_as_people_count() -> None:
    texts = ["CalibPipe/DR1", "DataPipe/Observation/DR2", "DataPipe/Observation/DR10", "DataPipe/Observation/DR10.1"]
    assert [str(release) for release in sorted(map(Release, reversed(texts)))] == texts
    for wrong, position in (("", 0), ("A//B", 2), ("A/..", 2), ("A/b c", 2)):
        with pytest.raises(InvalidNameError) as caught:
            Release(wrong)
        assert caught.value.position == position


@pytest.mark.parametrize("number", [22, 11, -13, 2212, 1000020040, 1000260560])
def test_particles_have_numbers_and_names(number: int) -> None:
    assert Particle.parse(Particle(number).name).pdg_id == number


@pytest.mark.parametrize("name", ["H1", "He", "he4", "Xx4", "nu(e)", "", "He2222"])
def test_what_is_no_particle(name: str) -> None:
    with pytest.raises(InvalidNameError):
        Particle.parse(name)


def test_particles_without_a_name_for_files_are_refused() -> None:
    with pytest.raises(ValueError, match="PDG number 12"):
        Particle(12)


@pytest.mark.parametrize("number", [0, 32, 100, 184])
def test_other_numbers_are_no_elements(number: int) -> None:
    with pytest.raises(ValueError, match=str(number)):
        ArrayElement(number)


@pytest.mark.parametrize(
    ("instant", "site", "night"),
    [
        ("2026-11-21T12:00:00+00:00", Site.NORTH, "2026-11-21"),  # winter: the Canaries keep UTC
        ("2026-11-21T11:59:59+00:00", Site.NORTH, "2026-11-20"),
        ("2026-07-01T11:00:00+00:00", Site.NORTH, "2026-07-01"),  # summer: UTC+1
        ("2026-07-01T10:59:59+00:00", Site.NORTH, "2026-06-30"),
        ("2026-11-22T14:59:59+00:00", Site.SOUTH, "2026-11-21"),  # Chile in summer: UTC-3
        ("2026-11-22T15:00:00+00:00", Site.SOUTH, "2026-11-22"),
        ("2026-11-22T03:00:00+00:00", Site.NORTH, "2026-11-21"),  # after midnight
    ],
)
def test_a_night_goes_from_local_noon_to_local_noon(instant: str, site: Site, night: str) -> None:
    moment = dt.datetime.fromisoformat(instant)
    found = Night.of(moment, site)
    assert str(found) == night
    assert found.start(site) <= moment < found.end(site)


def test_a_naive_instant_belongs_to_no_night() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Night.of(dt.datetime(2026, 11, 21), Site.NORTH)  # noqa: DTZ001 - that is the point


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("ctao/acada/x", 0),
        ("/ctao/acada//x", 12),
        ("/ctao/acada/./x", 12),
        ("/ctao/acada/../x", 12),
        ("/ctao/acada/x/", 13),
        ("/ctao/acada/x\n", 13),
        ("/ctao/acada/a b", 13),
        ("/ctao/acada/ñ", 12),
        ("/ctao/acada/a#b", 13),
        ("/ctao", None),
        ("/ctao/acada/" + "x" * 239, 250),
        ("", 0),
    ],
)
def test_a_name_with_two_spellings_is_refused_where_it_goes_wrong(text: str, position: int | None) -> None:
    with pytest.raises(InvalidNameError) as caught:
        Lfn(text)
    assert caught.value.position == position
    assert caught.value.text == text


def test_the_longest_name_and_the_plus_are_allowed() -> None:
    assert len(str(Lfn("/ctao/dpps/" + "x" * 239))) == 250
    assert Lfn("/ctao/dpps/dl2_a+b.h5").name == "dl2_a+b.h5"


def test_the_table_has_one_row_a_keyword() -> None:
    keywords = [keyword for row in METADATA.values() for keyword in row.keywords]
    assert len(keywords) == len(set(keywords))
    assert all(key == row.key for key, row in METADATA.items())


@pytest.mark.parametrize(
    ("key", "value", "parsed"),
    [
        ("instance__obs_id", 3, 3),
        ("instance__obs_id", "-3", -3),
        ("observation__coverage__space__ra", 3, 3.0),
        ("observation__coverage__space__ra", "3.5", 3.5),
        ("instance__observing_night", "2026-11-21", dt.date(2026, 11, 21)),
        ("instance__observing_night", Night.parse("20261121"), dt.date(2026, 11, 21)),
        ("creation_time", "2026-11-21T22:00:00", dt.datetime(2026, 11, 21, 22, tzinfo=dt.UTC)),
        ("creation_time", "2026-11-21T22:00:00+01:00", dt.datetime(2026, 11, 21, 21, tzinfo=dt.UTC)),
        ("data__level", "DL0", "DL0"),
    ],
)
def test_values_take_the_type_of_their_key(key: str, value: object, parsed: object) -> None:
    row = metadata_key(key)
    assert row.parse(value) == parsed
    assert row.parse(row.to_wire(row.parse(value))) == parsed


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("instance__obs_id", True),
        ("instance__obs_id", 2.0),
        ("instance__obs_id", "2.0"),
        ("instance__obs_id", 2**63),
        ("instance__obs_id", "٣"),
        ("data__level", 1),
        ("creation_time", "yesterday"),
        ("creation_time", 5),
        ("instance__observing_night", dt.datetime(2026, 11, 21, tzinfo=dt.UTC)),
        ("observation__coverage__space__ra", "east"),
        ("observation__coverage__space__ra", None),
        ("observation__coverage__space__ra", float("nan")),
        ("observation__coverage__space__ra", "inf"),
    ],
)
def test_values_of_another_type_are_refused(key: str, value: object) -> None:
    with pytest.raises(InvalidMetadataError, match=key):
        metadata_key(key).parse(value)


def test_truth_values_are_words() -> None:
    row = next((row for row in METADATA.values() if row.type is ValueType.BOOL), None)
    assert row is None or (row.parse("true"), row.parse(False)) == (True, False)


def test_a_wrong_key_names_the_nearest() -> None:
    with pytest.raises(InvalidMetadataError, match="did you mean 'instance__obs_id'"):
        metadata_key("instance__obsid")


def test_keywords_become_metadata_and_all_defects_are_collected() -> None:
    metadata, defects = ProductMetadata.from_keywords(
        {"DATALEVL": "DL0", "OBS_ID": "many", "AE_ID": 1, "DATE-BEG": "never", "NOT_OURS": 1}
    )
    assert dict(metadata) == {"data__level": "DL0", "instance__ae_id": 1}
    assert [defect.kind for defect in defects] == [DefectKind.INVALID_METADATA] * 2
    missing = metadata.missing(DataLevel.DL0)
    assert {defect.kind for defect in missing} == {DefectKind.MISSING_METADATA}
    assert any("OBSNIGHT" in defect.message for defect in missing)
    assert not any("data__level" in defect.message for defect in missing)


def test_the_present_spelling_of_a_keyword_wins() -> None:
    metadata, _ = ProductMetadata.from_keywords({"ANAMODE": "old", "ACTCONF": "new"})
    assert metadata["activity__configuration_id"] == "new"


def _facts(datasum: SumStatus) -> FileFacts:
    hdu = HduFacts(
        index=0,
        name="PRIMARY",
        offset=0,
        header_bytes=2880,
        data_bytes=0,
        datasum=datasum,
        checksum=SumStatus.OK,
        keywords={"A": 1},
    )
    return FileFacts(
        path="x",
        size_bytes=2880,
        modified_ns=0,
        digests={"adler32": "00000001"},
        checked=datasum is SumStatus.OK,
        keywords={"OBS_ID": 1},
        hdus=(hdu,),
    )


def test_absent_is_not_valid() -> None:
    assert _facts(SumStatus.OK).verdict is Verdict.GOOD
    assert _facts(SumStatus.ABSENT).verdict is Verdict.UNCHECKED


def test_facts_travel_between_processes() -> None:
    facts = _facts(SumStatus.OK)
    assert pickle.loads(pickle.dumps(facts)) == facts
