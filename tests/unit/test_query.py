"""What is asked in words, and what the answer can do."""

from __future__ import annotations

import builtins
import datetime as dt
import pickle
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import pytest
from astropy import units as u
from astropy.time import Time

from ctao_bdms.access import Products, Range, parse_query
from ctao_bdms.access.query import newest
from ctao_bdms.access.query_words import alternatives, conditions, orders
from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import Condition, InMemoryCatalogue, MetadataQuery
from ctao_bdms.errors import InvalidMetadataError, MissingExtraError, UsageError
from ctao_bdms.model import Cone, Lfn, Product, ProductMetadata, Rse
from ctao_bdms.replication import Policy
from ctao_bdms.testing.contract import ONSITE, block_of, registration

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ctao_bdms.model import ArchivedFile, Value

NOW = dt.datetime(2027, 1, 1, tzinfo=dt.UTC)
RSES = [
    Rse(name=ONSITE, prefix="/onsite", site="CTAO-North"),
    Rse(name="PIC-DISK", prefix="/pic", centre="PIC"),
    Rse(name="PIC-TAPE", prefix="/pic-tape", centre="PIC"),
    Rse(name="CSCS-DISK", prefix="/cscs", centre="CSCS"),
]


class Counting(InMemoryCatalogue):
    """An archive in memory that says how it was asked."""

    def __init__(self) -> None:
        super().__init__(RSES, scopes=("acada", "dpps"), now=lambda: NOW)
        self.read = 0
        self.asked: list[int] = []

    def find(self, query: MetadataQuery) -> Iterator[Product]:
        for product in super().find(query):
            self.read += 1
            yield product

    def files(self, lfns: Iterable[Lfn]) -> Mapping[Lfn, ArchivedFile]:
        wanted = list(lfns)
        self.asked.append(len(wanted))
        return super().files(wanted)


def _filled(*extra: dict[str, Value], scope: str = "acada", token: str = "00000001") -> Bdms:
    return _add(Bdms(Counting(), policy=Policy.load(), now=lambda: NOW), *extra, scope=scope, token=token)


def _add(bdms: Bdms, *extra: dict[str, Value], scope: str = "acada", token: str = "00000001") -> Bdms:
    files = [
        attrs.evolve(
            registration(scope, number),
            lfn=Lfn(f"/ctao/{scope}/DL3/{token}/file{number}"),
            metadata=ProductMetadata({**registration(scope, number).metadata, **more}),
        )
        for number, more in enumerate(extra)
    ]
    bdms.catalogue.ensure_directories([file.lfn for file in files])
    bdms.catalogue.open_block(block_of(scope, token))
    bdms.catalogue.register(block_of(scope, token), ONSITE, files)
    return bdms


def _names(found: Iterable[Product]) -> str:
    return " ".join(product.lfn.name.removeprefix("file") for product in found)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"obs_id": Range(5, 7)}, [[("instance__obs_id", "gte", (5,)), ("instance__obs_id", "lte", (7,))]]),
        ({"obs_id": Range(None, "7")}, [[("instance__obs_id", "lte", (7,))]]),
        ({"telescope": Range("LSTN-01", None)}, [[("instance__ae_id", "gte", (1,))]]),
        (
            {"obs_id": [Range(5, None), 1, 2], "level": "DL0"},
            [
                [("instance__obs_id", "eq", (1, 2)), ("data__level", "eq", ("DL0",))],
                [("instance__obs_id", "gte", (5,)), ("data__level", "eq", ("DL0",))],
            ],
        ),
        ({"obs_id__ne": [1, 2]}, [[("instance__obs_id", "ne", (1, 2))]]),
        ({"category": "B"}, [[("instance__category", "eq", ("B",))]]),
        ({"kind": "AirShower"}, [[("data__type", "eq", ("AirShower",))]]),
        ({"kind": "Zoo"}, [[("data__type", "eq", ("Zoo",))]]),
        ({"target": "Crab*"}, [[("instance__target_id", "eq", ("Crab*",))]]),
    ],
)  # fmt: skip
def test_words_stand_for_groups_of_conditions(words: dict[str, object], expected: list[Any]) -> None:
    found = [[c for c in group if isinstance(c, Condition)] for group in alternatives(words)]
    assert [[(c.key, c.comparison.value, c.values) for c in group] for group in found] == expected


def test_a_place_of_the_sky_is_a_cone() -> None:
    assert conditions({"near": (83.63, 22.01, 2)}) == (Cone(83.63, 22.01, 2.0),)
    assert conditions({"near": ["83.63", "22.01", "2"]}) == (Cone(83.63, 22.01, 2.0),)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ({"level": "DLO"}, "did you mean 'DL0'"),
        ({"level": "dl3"}, "did you mean 'DL3'"),
        ({"category": "D"}, "known are A, B, C"),
        ({"kind": "AirShowr"}, "did you mean 'AirShower'"),
        ({"site": "CTAO-Nord"}, "did you mean 'CTAO-North'"),
        ({"targt": "Crab"}, "did you mean 'target'"),
        ({"near": (1, 2)}, "as in"),
        ({"near": "83.63"}, "as in"),
        ({"near": (1, 91, 2)}, "-90 to 90"),
        ({"near": (1, 2, float("nan"))}, "0 to 180"),
        ({"obs_id__gte": Range(1, 2)}, "no comparison"),
        ({"obs_id": [Range(1, 2), 3]}, "several questions"),
        ({"copies__lt": 2}, "whole question"),
        ({"latest": True}, "whole question"),
        ({"release": ["latest", "DR1"]}, "whole question"),
    ],
)
def test_what_cannot_be_asked_is_told_with_the_nearest(words: dict[str, object], hint: str) -> None:
    with pytest.raises(InvalidMetadataError, match=hint):
        conditions(words)
    with pytest.raises(InvalidMetadataError, match="at least one"):
        Range(None, None)


def test_there_is_a_bound_to_alternatives() -> None:
    ranges = [Range(number, number) for number in range(11)]
    with pytest.raises(InvalidMetadataError, match="121 alternatives"):
        alternatives({"obs_id": ranges, "sb_id": ranges})


def test_what_sorts_is_a_word_or_a_key() -> None:
    begin = "observation__coverage__time__t_min"
    found = orders(["start_time", "-size", "lfn", f"-{begin}"])
    assert [(each.key, each.descending) for each in found] == [(begin, 0), ("bytes", 1), ("name", 0), (begin, 1)]
    with pytest.raises(InvalidMetadataError, match="did you mean 'start_time'"):
        orders("start_tim")


def test_ranges_alternatives_and_places_of_a_command_line() -> None:
    assert parse_query(["obs_id=2000..2100", "night=..2026-11-21", "near=83.63,22.01,2", "latest=true"]) == {
        "obs_id": Range("2000", "2100"),
        "night": Range(None, "2026-11-21"),
        "near": ["83.63", "22.01", "2"],
        "latest": True,
    }
    assert parse_query(["level!=DL0", "level!=DL1,DL2", "time=2026-11-21.."]) == {
        "level__ne": ["DL0", "DL1", "DL2"],
        "time": ("2026-11-21", None),
    }
    assert parse_query(["level=DL0", "or", "level=DL1", "obs_id=1,5.."]) == {
        "any_of": [{"level": "DL0"}, {"level": "DL1", "obs_id": ["1", Range("5", None)]}]
    }
    for texts in (["or", "level=DL0"], ["level=DL0", "or"], ["or"], ["a=1", "or", "or", "b=2"], ["latest=yes"]):
        with pytest.raises(UsageError):
            parse_query(texts)


def test_of_alternatives_one_must_hold_besides_the_words() -> None:
    bdms = _filled({"data__level": "DL1"}, {"data__level": "DL2"}, {"data__level": "DL1"}, {"data__level": "DL3"})
    any_of = [{"level": "DL1"}, {"level": "DL3"}]
    assert _names(bdms.query(any_of=any_of)) == "0 2 3"
    assert _names(bdms.query(any_of=any_of, telescope=[1, 4])) == "0 3"
    assert _names(bdms.query(**parse_query(["level=DL1", "or", "level=DL2", "telescope=1"]))) == "0 2"
    assert bdms.count(any_of=any_of) == 3
    assert bdms.count(any_of=any_of, telescope=Range(2, 3)) == 1
    with pytest.raises(InvalidMetadataError, match="whole question"):
        bdms.query(any_of=[{"copies": 1}])


def test_results_are_sorted_and_limited_across_scopes() -> None:
    bdms = _add(_filled({}, {}, scope="acada"), {}, {}, scope="dpps", token="00000002")
    begins = [str(product.start) for product in bdms.query(sort="-start_time", limit=3)]
    assert begins == sorted(begins, reverse=True)
    assert [product.lfn.parts[1] for product in bdms.query(sort="-start_time", limit=3)] == ["acada", "dpps", "acada"]
    assert bdms.count() == 4
    assert bdms.count(scope="dpps") == 2
    with pytest.raises(InvalidMetadataError, match="-1"):
        bdms.query(limit=-1)


def test_nothing_is_read_before_it_is_looked_at_and_nothing_more_than_that() -> None:
    bdms = _filled(*[{}] * 30)
    archive = bdms.catalogue
    assert isinstance(archive, Counting)
    found = bdms.query()
    assert archive.read == 0
    assert bool(found)
    assert archive.read == 1
    next(iter(found))
    assert archive.read == 2
    assert bdms.count() == 30
    assert archive.read == 2
    assert len(list(found)) == len(found) == 30
    assert archive.read == 32, "what was read once is kept"
    assert found[3] is list(found)[3]
    assert pickle.loads(pickle.dumps(bdms.query(limit=3))) == Products(found[:3])
    assert not Products()


def test_copies_are_counted_at_distinct_centres_in_pages() -> None:
    bdms = _filled(*[{}] * 3)
    _add(bdms, *[{}] * 3, token="00000002")
    archive = bdms.catalogue
    assert isinstance(archive, Counting)
    first, second = block_of("acada"), block_of("acada", "00000002")
    for block, name in ((first, "PIC-DISK"), (first, "PIC-TAPE"), (second, "PIC-DISK"), (second, "CSCS-DISK")):
        archive.add_rule(block, rse_expression=name)
    assert bdms.count(copies=0) == 6
    archive.transfer()
    assert {product.lfn.parts[3] for product in bdms.query(copies__lt=2)} == {"00000001"}
    assert bdms.count(copies__gte=2) == bdms.count(copies="1") == bdms.count(copies=1) == 3
    archive.set_rse(attrs.evolve(archive.rses()["PIC-DISK"], is_readable=False))
    assert bdms.count(copies=1) == 6, "the first block can be read from tape, the second at CSCS"
    archive.mark_lost("CSCS-DISK", "fire")
    assert {product.lfn.parts[3] for product in bdms.query(copies=0)} == {"00000002"}
    archive.set_rse(attrs.evolve(archive.rses()["CSCS-DISK"], is_readable=True))
    assert bdms.count(copies=0) == 3, "what is lost does not count, even if nobody has shut it"
    archive.mark_lost("CSCS-DISK", "")
    archive.mark_lost("PIC-DISK", "")
    archive.asked.clear()
    assert len(list(bdms.query(copies__ne=2, limit=2))) == 2
    assert archive.asked == [6]
    for words in ({"copies__near": 1}, {"copies": "two"}, {"copies": True}, {"copies__lt": -1}):
        with pytest.raises(InvalidMetadataError, match="copies__lt=2"):
            bdms.query(**words)


def test_the_latest_release_is_the_newest_that_is_valid() -> None:
    day = dt.timedelta(days=1)
    release, ends, begins = "curation__release", "curation__valid_to", "curation__valid_from"
    bdms = _filled(
        {release: "DataPipe/Obs/DR2"},
        {release: "DataPipe/Obs/DR10"},
        {release: "DataPipe/Obs/DR10", ends: NOW},
        {release: "DataPipe/Obs/DR11", begins: NOW + day},
        {release: "DataPipe/Obs/DR12", ends: NOW - day},
        {release: "CalibPipe/DR1"},
        {},
        {release: "not a release/"},
    )
    assert _names(bdms.query(latest=True)) == _names(bdms.query(release="latest")) == "1 5 7"
    assert bdms.count(latest=True) == 3
    assert _names(bdms.query(latest=True, telescope=1)) == "0", "the newest of those that answer"
    assert _names(bdms.query(latest=False, limit=2)) == "0 1"
    assert _names(bdms.query(latest=True, obs_id=7)) == ""
    assert bdms.count(latest=True, obs_id=7) == 0
    with pytest.raises(InvalidMetadataError, match="True nor False"):
        bdms.query(latest="yes")
    assert newest([]) == ()


def test_a_result_is_a_table_with_times_and_units() -> None:
    products = _filled({}, {"observation__coverage__space__ra": 1.5}).query()
    table = products.table
    assert isinstance(table["start"], Time)
    assert table["start"].isot.tolist() == ["2026-11-21T22:00:00.000", "2026-11-21T22:01:00.000"]
    assert table["bytes"].unit == u.byte
    assert table["bytes"].quantity.to_value(u.kilobyte).tolist() == [2.88, 2.88]
    assert table["lfn"].tolist() == ["/ctao/acada/DL3/00000001/file0", "/ctao/acada/DL3/00000001/file1"]
    frame = products.pandas
    assert list(frame.columns) == [heading for heading, _ in Products.columns]
    assert str(frame["start"].dt.tz) == "UTC"
    assert frame["bytes"].sum() == 5760


def test_what_is_not_known_is_masked() -> None:
    known = next(iter(_filled({}).query()))
    bare = attrs.evolve(known, metadata=ProductMetadata({"data__level": "DL1"}))
    table = Products([bare, known]).table
    assert np.asarray(table["start"].mask).tolist() == [True, False]
    assert table["obs_id"].mask.tolist() == [True, False]
    assert Products([bare]).table["obs_id"].tolist() == [""]
    assert len(Products().table) == 0
    assert Products().table.colnames == [heading for heading, _ in Products.columns]
    assert Products([bare, known]).pandas["obs_id"].isna().tolist() == [True, False]


def test_without_pandas_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    imported = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        if name == "pandas":
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r"pip install 'ctao-bdms\[pandas\]'"):
        _ = Products().pandas


def test_a_notebook_shows_a_bounded_number_of_escaped_rows() -> None:
    marked: dict[str, Value] = {"data__level": "<b>"}
    found = _filled(*[marked] * 25).query()
    shown = found._repr_html_()
    assert shown.count("<tr>") == 22
    assert "... and 5 more" in shown
    assert "&lt;b&gt;" in shown
    assert "<b>" not in shown
    assert repr(found).endswith("... and 5 more")
    assert "more" not in Products(found[:20])._repr_html_()
