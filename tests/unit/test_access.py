"""Finding products and fetching them."""

from __future__ import annotations

import datetime as dt
import zlib
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.access import Fetching, locate, parse_query, retrieve
from ctao_bdms.access.locate import ranked
from ctao_bdms.access.query_words import conditions
from ctao_bdms.archive import Bdms
from ctao_bdms.catalogue import Comparison, Condition, InMemoryCatalogue, MetadataQuery
from ctao_bdms.catalogue.rucio.filters import Filter, filters, plain_filters, portions
from ctao_bdms.errors import InvalidMetadataError, NotFoundError, RetrievalError, UsageError
from ctao_bdms.model import ArchivedFile, ArrayElement, Cone, DataLevel, Lfn, Night, Replica, ReplicaState, Rse
from ctao_bdms.replication import Policy
from ctao_bdms.testing.contract import ONSITE, block_of, registration

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BEGIN, END = "observation__coverage__time__t_min", "observation__coverage__time__t_max"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"level": "DL0"}, [("data__level", "eq", ("DL0",))]),
        ({"level": DataLevel.DL0}, [("data__level", "eq", ("DL0",))]),
        ({"telescope": "LSTN-02"}, [("instance__ae_id", "eq", (2,))]),
        ({"telescope": 2}, [("instance__ae_id", "eq", (2,))]),
        ({"telescope": [ArrayElement(1), "2"]}, [("instance__ae_id", "eq", (1, 2))]),
        ({"night": "2026-11-21"}, [("instance__observing_night", "eq", (dt.date(2026, 11, 21),))]),
        ({"night__gte": Night.parse("20261121")}, [("instance__observing_night", "gte", (dt.date(2026, 11, 21),))]),
        ({"obs_id": "7"}, [("instance__obs_id", "eq", (7,))]),
        ({"instance__chunk_id__lt": 3}, [("instance__chunk_id", "lt", (3,))]),
        ({"time": ("2026-11-21T22:00", None)}, [(END, "gte", (dt.datetime(2026, 11, 21, 22, tzinfo=dt.UTC),))]),
        ({"time": [None, "2026-11-21T22:00"]}, [(BEGIN, "lt", (dt.datetime(2026, 11, 21, 22, tzinfo=dt.UTC),))]),
        ({"site": "CTAO-North", "level": None}, [("instance__site_id", "eq", ("CTAO-North",))]),
    ],
)
def test_words_stand_for_conditions(
    words: dict[str, object], expected: list[tuple[str, str, tuple[object, ...]]]
) -> None:
    found = conditions(words)
    assert [(c.key, c.comparison.value, c.values) for c in found if isinstance(c, Condition)] == expected
    assert len(found) == len(expected)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ({"telescop": 1}, "did you mean 'telescope'"),
        ({"instance__obsid": 1}, "did you mean 'instance__obs_id'"),
        ({"telescope": "LST1"}, "LSTN-01"),
        ({"level": "DL9"}, "DL9"),
        ({"site": "Roque"}, "Roque"),
        ({"night": "tonight"}, "YYYY-MM-DD"),
        ({"obs_id": "many"}, "integer"),
        ({"time": "2026-11-21"}, "begin and end"),
        ({"obs_id__lt": [1, 2]}, "one value"),
        ({"obs_id": []}, "one value"),
        ({"qqq": 1}, "no such word"),
    ],
)
def test_a_wrong_word_is_told_with_the_nearest(words: dict[str, object], hint: str) -> None:
    with pytest.raises(InvalidMetadataError, match=hint):
        conditions(words)


def test_words_of_a_command_line() -> None:
    texts = ["level=DL0", "telescope=LSTN-01,LSTN-02", "obs_id>=3", "time=2026-11-21T22:00/", "instance__chunk_id!=1"]
    assert parse_query(texts) == {
        "level": "DL0",
        "telescope": ["LSTN-01", "LSTN-02"],
        "obs_id__gte": "3",
        "time": ("2026-11-21T22:00", None),
        "instance__chunk_id__ne": "1",
    }


@pytest.mark.parametrize("texts", [["DL0"], ["level="], ["=DL0"], ["level=DL0", "level=DL1"], ["time=2026"]])
def test_what_is_no_word_is_told(texts: list[str]) -> None:
    with pytest.raises(UsageError):
        parse_query(texts)


def test_questions_become_filters_of_rucio() -> None:
    telescopes = Condition("instance__ae_id", Comparison.EQ, (1, 2))
    begin = Condition(BEGIN, Comparison.GTE, ("2026-11-21T22:00",))
    query = MetadataQuery(scopes=("acada",), conditions=(telescopes, begin))
    text = "2026-11-21T22:00:00.000000"
    assert filters(query) == [{"instance__ae_id": [1, 2], f"{BEGIN}.gte": text}]
    later = Condition(BEGIN, Comparison.GTE, ("2026-11-21T23:00",))
    twice = MetadataQuery(scopes=("acada",), conditions=(begin, later, begin))
    assert filters(twice) == [{f"{BEGIN}.gte": "2026-11-21T23:00:00.000000"}]
    pattern = Condition("curation__release", Comparison.EQ, ("DR*",))
    with pytest.raises(InvalidMetadataError, match="pattern"):
        filters(MetadataQuery(scopes=("acada",), conditions=(pattern, pattern)))
    cones = (Cone(1, 2, 3), Cone(1, 2, 4))
    with pytest.raises(InvalidMetadataError, match="once"):
        filters(MetadataQuery(scopes=("acada",), conditions=cones))


def test_what_any_rucio_understands_lets_through_at_least_what_answers() -> None:
    """Texts, times and lists are read differently by Rucio's own filters: they are checked afterwards."""
    level = Condition("data__level", Comparison.EQ, ("DL0",))
    release = Condition("curation__release", Comparison.EQ, ("00123",))
    telescopes = Condition("instance__ae_id", Comparison.EQ, (1, 2))
    other = Condition("instance__obs_id", Comparison.NE, (7,))
    obs_id = Condition("instance__obs_id", Comparison.GTE, (2_000_000_001,))
    query = MetadataQuery(
        scopes=("acada",), conditions=(level, release, telescopes, other), any_of=((obs_id,), (Cone(0, 0, 1),))
    )
    dec = "observation__coverage__space__dec"
    first, second = plain_filters(query)
    assert first == {"data__level": "DL0", "instance__obs_id.gte": 2_000_000_001}
    assert set(second) == {"data__level", f"{dec}.gte", f"{dec}.lte"}


def test_long_questions_are_cut_into_requests_that_ask_the_same() -> None:
    many = list(range(10_000_000_000, 10_000_001_000))
    asked: list[Filter] = [{"a": many, "b": 1}, {"a": 7}]
    cut = portions(asked)
    assert max(len(repr(each)) for each in cut) <= 1500
    groups = [group for portion in cut for group in portion]
    assert sorted(v for g in groups if "b" in g for v in g["a"]) == many
    assert groups.count({"a": 7}) == 1


RSES = {
    ONSITE: Rse(name=ONSITE, prefix="/onsite", site="CTAO-North"),
    "PIC-DISK": Rse(name="PIC-DISK", prefix="/pic", centre="PIC"),
    "CSCS-DISK": Rse(name="CSCS-DISK", prefix="/cscs", centre="CSCS"),
}


def _file(**states: ReplicaState) -> ArchivedFile:
    names = {"onsite": ONSITE, "pic": "PIC-DISK", "cscs": "CSCS-DISK"}
    replicas = tuple(Replica(rse=names[at], state=state, pfn=f"file:///{at}/x") for at, state in states.items())
    return ArchivedFile(lfn=Lfn("/ctao/acada/x"), size_bytes=1, adler32="00620062", replicas=replicas)


def test_the_best_copy_comes_first_and_unusable_ones_never() -> None:
    good = ReplicaState.AVAILABLE
    file = _file(onsite=good, pic=good, cscs=good)
    assert [r.rse for r in ranked(file, RSES)] == ["CSCS-DISK", "PIC-DISK", ONSITE]
    assert [r.rse for r in ranked(file, RSES, "PIC")] == ["PIC-DISK", "CSCS-DISK", ONSITE]
    assert ranked(file, RSES, "CTAO-North")[0].rse == ONSITE
    worse = _file(onsite=good, pic=ReplicaState.BAD, cscs=ReplicaState.COPYING)
    assert [r.rse for r in ranked(worse, RSES)] == [ONSITE]


def test_what_is_slow_shut_or_lost_comes_later_even_where_one_is() -> None:
    good = ReplicaState.AVAILABLE
    file = _file(onsite=good, pic=good, cscs=good)

    def order(near: str = "", **changed: Rse) -> list[str]:
        return [r.rse for r in ranked(file, RSES | {rse.name: rse for rse in changed.values()}, near)]

    pic, cscs = RSES["PIC-DISK"], RSES["CSCS-DISK"]
    for away in (attrs.evolve(pic, lost="fire"), attrs.evolve(pic, is_readable=False)):
        assert order("PIC", pic=away) == order("PIC-DISK", pic=away) == ["CSCS-DISK", ONSITE, "PIC-DISK"]
    tape = attrs.evolve(pic, is_tape=True)
    assert order("PIC", pic=tape) == ["CSCS-DISK", ONSITE, "PIC-DISK"]
    assert order("PIC-DISK", pic=tape)[0] == "PIC-DISK", "who names the tape wants the tape"
    assert order(pic=tape, cscs=attrs.evolve(cscs, lost="fire")) == [ONSITE, "PIC-DISK", "CSCS-DISK"]


class Disk:
    """An archive in memory whose copies are real files."""

    def __init__(self, folder: Path, contents: Sequence[bytes]) -> None:
        self.folder = folder
        prefixes = {name: folder / name for name in RSES}
        self.rses = [
            Rse(name=rse.name, prefix=str(prefixes[rse.name]), site=rse.site, centre=rse.centre)
            for rse in RSES.values()
        ]
        self.archive = InMemoryCatalogue(self.rses)
        self.files = [
            registration("acada", number, size_bytes=len(content), adler32=f"{zlib.adler32(content):08x}")
            for number, content in enumerate(contents)
        ]
        block = block_of("acada")
        self.archive.ensure_directories([file.lfn for file in self.files])
        self.archive.open_block(block)
        self.archive.register(block, ONSITE, self.files)
        for expression in ("centre=PIC", "centre=CSCS"):
            self.archive.add_rule(block, rse_expression=expression)
        self.archive.transfer()
        for file, content in zip(self.files, contents, strict=True):
            for rse in self.rses:
                place = self.place(file.lfn, rse.name)
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)

    @property
    def lfns(self) -> list[Lfn]:
        return [file.lfn for file in self.files]

    def place(self, lfn: Lfn, rse: str) -> Path:
        return self.folder / rse / str(lfn)[1:]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path / "storage", [bytes([65 + number]) * 100_000 for number in range(5)])


def test_locate_shows_all_copies(disk: Disk) -> None:
    copies = locate(disk.archive, disk.archive.rses(), disk.lfns[:1], near="PIC")
    assert [copy.where for copy in copies] == ["PIC", "CSCS", "CTAO-North"]
    assert copies[0].pfn == f"file://localhost{disk.place(disk.lfns[0], 'PIC-DISK')}"
    with pytest.raises(NotFoundError, match="/ctao/acada/none"):
        locate(disk.archive, disk.archive.rses(), [Lfn("/ctao/acada/none")])


def test_locate_shows_what_is_lost_or_shut_last_and_says_so(disk: Disk) -> None:
    disk.archive.mark_lost("PIC-DISK", "fire")
    disk.archive.set_rse(attrs.evolve(disk.archive.rses()["CSCS-DISK"], is_readable=False))
    copies = locate(disk.archive, disk.archive.rses(), disk.lfns[:1], near="PIC")
    assert [(copy.where, copy.why) for copy in copies] == [
        ("CTAO-North", ""),
        ("PIC", "it is lost: fire"),
        ("CSCS", "it is shut for reading"),
    ]
    assert "it is lost: fire" in repr(copies)


def test_files_are_fetched_whole_and_only_once(disk: Disk, tmp_path: Path) -> None:
    moved: list[int] = []
    bdms = Bdms(disk.archive, policy=Policy.load())
    first = bdms.retrieve(disk.lfns, tmp_path / "to", on_bytes=moved.append)
    assert {fetched.status for fetched in first} == {Fetching.FETCHED}
    assert sum(moved) == 500_000
    for number, fetched in enumerate(first):
        assert fetched.path.read_bytes() == bytes([65 + number]) * 100_000
    second = bdms.retrieve(map(str, disk.lfns), tmp_path / "to")
    assert {fetched.status for fetched in second} == {Fetching.PRESENT}
    assert {entry.name for entry in (tmp_path / "to").iterdir()} == {lfn.name for lfn in disk.lfns}


@pytest.mark.parametrize("harm", ["flipped", "cut", "gone"])
def test_a_bad_copy_is_passed_over(disk: Disk, tmp_path: Path, harm: str) -> None:
    place = disk.place(disk.lfns[0], "PIC-DISK")
    content = place.read_bytes()
    if harm == "gone":
        place.unlink()
    else:
        place.write_bytes(b"x" + content[1:] if harm == "flipped" else content[:-1])
    (fetched,) = retrieve(disk.archive, disk.archive.rses(), disk.lfns[:1], tmp_path / "to", near="PIC")
    assert (fetched.status, fetched.rse) == (Fetching.FETCHED, "CSCS-DISK")
    assert fetched.path.read_bytes() == content


def test_where_no_copy_is_sound_nothing_is_left_and_every_reason_is_told(disk: Disk, tmp_path: Path) -> None:
    for rse in RSES:
        disk.place(disk.lfns[0], rse).write_bytes(b"rotten")
    fetched = retrieve(disk.archive, disk.archive.rses(), disk.lfns[:2], tmp_path / "to")
    assert [each.status for each in fetched] == [Fetching.FAILED, Fetching.FETCHED]
    (failed,) = fetched.failed
    assert isinstance(failed.error, RetrievalError)
    assert all(rse in str(failed.error) for rse in RSES)
    assert [entry.name for entry in (tmp_path / "to").iterdir()] == [disk.lfns[1].name]


def test_what_is_there_with_other_content_is_never_overwritten(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / disk.lfns[0].name).write_bytes(b"precious")
    (fetched,) = retrieve(disk.archive, disk.archive.rses(), disk.lfns[:1], tmp_path)
    assert fetched.status is Fetching.FAILED
    assert "move it away" in str(fetched.error)
    assert (tmp_path / disk.lfns[0].name).read_bytes() == b"precious"


def test_unknown_names_are_told_before_anything_is_fetched(disk: Disk, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="/ctao/acada/none"):
        retrieve(disk.archive, disk.archive.rses(), [*disk.lfns, Lfn("/ctao/acada/none")], tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_two_files_of_one_name_need_their_directories(disk: Disk, tmp_path: Path) -> None:
    other = attrs.evolve(disk.files[0], lfn=Lfn(f"/ctao/acada/other/{disk.lfns[0].name}"))
    disk.archive.ensure_directories([other.lfn])
    disk.archive.register(block_of("acada"), ONSITE, [other])
    same = [disk.lfns[0], other.lfn]
    with pytest.raises(UsageError, match="same name"):
        retrieve(disk.archive, disk.archive.rses(), same, tmp_path)
    (fetched,) = retrieve(disk.archive, disk.archive.rses(), same[:1], tmp_path, tree=True)
    assert fetched.path == tmp_path / str(same[0])[1:]


def test_copies_are_read_back(disk: Disk) -> None:
    disk.place(disk.lfns[1], "PIC-DISK").write_bytes(b"rotten")
    disk.place(disk.lfns[2], "CSCS-DISK").unlink()
    evidence = Bdms(disk.archive, policy=Policy.load()).verify(disk.lfns)
    assert len(evidence) == 15
    assert {(each.lfn, each.rse) for each in evidence if each.problem} == {
        (disk.lfns[1], "PIC-DISK"),
        (disk.lfns[2], "CSCS-DISK"),
    }
    assert all(len(each.sha256) == 64 for each in evidence if not each.problem)
