"""The contract of catalogues: a test class to inherit from.

A test class that inherits from `CatalogueContract` and has the fixture ``catalogue`` runs all its tests. This project
does so for the archive in memory and for a real Rucio.

The fixture ``catalogue`` returns an adapter with the storage elements ``CTAO-NORTH-ONSITE`` (site CTAO-North),
``PIC-DISK`` (centre PIC) and ``CSCS-DISK`` (centre CSCS). The fixture ``elsewhere`` returns the same archive for an
account that may register files at ``PIC-DISK``. The fixture ``scope`` returns the name of an empty scope.
"""

from __future__ import annotations

import datetime as dt
import time
from functools import partial
from typing import TYPE_CHECKING

import attrs
import pytest

from ctao_bdms.catalogue import Catalogue, Comparison, Condition, MetadataQuery, SortKey
from ctao_bdms.errors import (
    BlockClosedError,
    ConflictError,
    ForbiddenError,
    InvalidMetadataError,
    NotFoundError,
    UnknownRseError,
    UnreachableError,
)
from ctao_bdms.model import (
    DEFAULT_ACTIVITY,
    Cone,
    Did,
    FirstRule,
    Lfn,
    Night,
    ProductMetadata,
    Registration,
    ReplicaState,
    RetentionClass,
    RuleState,
    Site,
    ValidAt,
    Value,
)
from ctao_bdms.naming import BlockName, ManifestName, blocks_pattern, directories_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["CatalogueContract", "block_of", "registration"]

ONSITE = "CTAO-NORTH-ONSITE"
NIGHT = Night(dt.date(2026, 11, 21))
#: The opening time of all blocks of this process: a constant, because it is part of their names.
_OPENED = dt.datetime.now(dt.UTC).replace(microsecond=0)


def registration(scope: str, number: int = 0, *, size_bytes: int = 2880, adler32: str = "0a1b2c3d") -> Registration:
    """Return a file to register; `number` determines the name, telescope and begin of its data."""
    begin = dt.datetime(2026, 11, 21, 22, tzinfo=dt.UTC) + dt.timedelta(minutes=number)
    metadata = {
        "data__level": "DL0",
        "instance__ae_id": 1 + number % 4,
        "instance__obs_id": 2_000_000_001,
        "instance__observing_night": NIGHT,
        "instance__site_id": "CTAO-North",
        "observation__coverage__time__t_min": begin,
        "observation__coverage__time__t_max": begin + dt.timedelta(seconds=30),
    }
    return Registration(
        lfn=Lfn(f"/ctao/{scope}/DL0/LSTN-0{1 + number % 4}/events/2026/11/21/file{number:04d}.fits.fz"),
        size_bytes=size_bytes,
        adler32=adler32,
        metadata=ProductMetadata(metadata),
    )


def block_of(scope: str, token: str = "00000001", retention: RetentionClass = RetentionClass.PERMANENT) -> Did:
    """Return the identifier of a block; equal arguments give the same one within a process."""
    return BlockName(
        vo="ctao",
        scope=scope,
        site=Site.NORTH,
        night=NIGHT,
        retention=retention,
        opened=_OPENED,
        token=token,
    ).did


def _fill(
    catalogue: Catalogue,
    scope: str,
    count: int = 3,
    token: str = "00000001",
    retention: RetentionClass = RetentionClass.PERMANENT,
) -> tuple[Did, list[Registration]]:
    """Register some files in a new block."""
    block, files = block_of(scope, token, retention), [registration(scope, number) for number in range(count)]
    catalogue.ensure_directories([file.lfn for file in files])
    catalogue.open_block(block)
    catalogue.register(block, ONSITE, files)
    return block, files


def _patiently(call: Callable[[], None]) -> None:
    """Make a call, and again while Rucio's evaluator still makes locks.

    The policy refuses to declare a copy bad until then, and Rucio refuses a rule on rows that the evaluator uses.
    """
    deadline_s = time.monotonic() + 60
    while True:
        try:
            call()
        except (ForbiddenError, UnreachableError):
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.2)
        else:
            return


def _with(catalogue: Catalogue, scope: str, extra: list[dict[str, Value]]) -> list[Lfn]:
    """Register a file with each of `extra` in its metadata, in one directory, with increasing sizes."""
    files = [
        attrs.evolve(
            registration(scope, number, size_bytes=2880 + number),
            lfn=Lfn(f"/ctao/{scope}/DL3/file{number:04d}.fits"),
            metadata=ProductMetadata({**registration(scope, number).metadata, **more}),
        )
        for number, more in enumerate(extra)
    ]
    block = block_of(scope)
    catalogue.ensure_directories([file.lfn for file in files])
    catalogue.open_block(block)
    catalogue.register(block, ONSITE, files)
    return [file.lfn for file in files]


def _pointings(catalogue: Catalogue, scope: str, places: list[tuple[float, float] | None]) -> list[Lfn]:
    """Register a file for each of these pointings (right ascension and declination in degrees)."""
    keys = ("observation__coverage__space__ra", "observation__coverage__space__dec")
    return _with(catalogue, scope, [dict(zip(keys, place, strict=True)) if place else {} for place in places])


def _found(catalogue: Catalogue, scope: str, *conditions: Condition) -> list[Lfn]:
    """Return the names of the matching products."""
    return [product.lfn for product in catalogue.find(MetadataQuery(scopes=(scope,), conditions=conditions))]


class CatalogueContract:
    """The tests of the contract; inherit from it."""

    def test_storage_elements_say_whose_they_are(self, catalogue: Catalogue) -> None:
        rses = catalogue.rses()
        assert rses[ONSITE].site == "CTAO-North"
        assert rses[ONSITE].is_onsite
        assert {rse.centre for rse in rses.values() if not rse.is_onsite} == {"PIC", "CSCS"}

    def test_first_rule_holds_what_is_registered_in_an_open_block(self, catalogue: Catalogue, scope: str) -> None:
        block, files = block_of(scope, "0000f12e"), [registration(scope, 900 + number) for number in range(3)]
        catalogue.ensure_directories([file.lfn for file in files])
        for _ in range(2):  # opening it again has no effect
            catalogue.open_block(block, FirstRule(rse_expression=ONSITE, activity="T0 Export", priority=4))
        for file in files:  # one after the other, like batches of an ingest
            catalogue.register(block, ONSITE, [file])
        deadline_s = time.monotonic() + 60  # Rucio's evaluator makes the locks asynchronously
        while (rule := catalogue.rules(scope, [block.name])[block.name][0]).locks["ok"] < 3:
            assert time.monotonic() < deadline_s, rule
            time.sleep(0.2)
        assert (rule.rse_expression, rule.expires, rule.state) == (ONSITE, None, RuleState.OK)
        assert (rule.activity, rule.priority) == ("T0 Export", 4)

    def test_block_is_not_opened_where_its_first_rule_cannot_be(self, catalogue: Catalogue, scope: str) -> None:
        block = block_of(scope, "0000f12f")
        with pytest.raises(NotFoundError):
            catalogue.open_block(block, FirstRule(rse_expression="NOWHERE"))
        assert not catalogue.blocks(scope, block.name)

    def test_unknown_files_are_not_there(self, catalogue: Catalogue, scope: str) -> None:
        assert not catalogue.files([registration(scope).lfn])

    def test_a_registered_file_is_there_whole(self, catalogue: Catalogue, scope: str) -> None:
        block, files = _fill(catalogue, scope)
        known = catalogue.files([file.lfn for file in files])
        assert set(known) == {file.lfn for file in files}
        first = known[files[0].lfn]
        assert (first.size_bytes, first.adler32) == (2880, "0a1b2c3d")
        replica = first.at(ONSITE)
        assert replica is not None
        assert replica.state is ReplicaState.AVAILABLE
        assert replica.pfn.endswith(f"{catalogue.rses()[ONSITE].prefix}{first.lfn}")
        assert {block, directories_of(first.lfn)[-1].did} <= first.datasets

    def test_registering_again_changes_nothing(self, catalogue: Catalogue, scope: str) -> None:
        block, files = _fill(catalogue, scope)
        before = catalogue.files([file.lfn for file in files])
        catalogue.ensure_directories([file.lfn for file in files])
        catalogue.open_block(block)
        catalogue.register(block, ONSITE, files)
        assert catalogue.files([file.lfn for file in files]) == before

    def test_other_content_is_a_conflict_and_changes_nothing(self, catalogue: Catalogue, scope: str) -> None:
        block, files = _fill(catalogue, scope)
        other = [registration(scope, 9), registration(scope, 0, adler32="deadbeef")]
        with pytest.raises(ConflictError):
            catalogue.register(block, ONSITE, other)
        assert catalogue.files([files[0].lfn])[files[0].lfn].adler32 == "0a1b2c3d"
        assert not catalogue.files([other[0].lfn]), "half of the batch was registered"

    def test_a_closed_block_stays_closed(self, catalogue: Catalogue, scope: str) -> None:
        block, _ = _fill(catalogue, scope)
        catalogue.close_block(block)
        catalogue.close_block(block)
        with pytest.raises(BlockClosedError):
            catalogue.register(block, ONSITE, [registration(scope, 7)])

    def test_a_closed_block_is_opened_only_for_files_that_no_manifest_lists(
        self, catalogue: Catalogue, scope: str
    ) -> None:
        block, files = _fill(catalogue, scope)
        manifest = attrs.evolve(files[0], lfn=Lfn(f"{block.name}.bagit.tar"))
        catalogue.close_block(block)
        catalogue.reopen_block(block)
        catalogue.reopen_block(block)
        catalogue.register(block, ONSITE, [manifest])
        catalogue.close_block(block)
        with pytest.raises(ForbiddenError):
            catalogue.reopen_block(block)
        with pytest.raises(BlockClosedError):
            catalogue.register(block, ONSITE, [registration(scope, 7)])

    def test_a_name_stands_for_all_files_below_it(self, catalogue: Catalogue, scope: str) -> None:
        block, files = _fill(catalogue, scope, count=6)
        lfns = [file.lfn for file in files]
        other = block_of(scope, "00000002")
        catalogue.open_block(other)
        for names, expected in (
            (lfns[:2], lfns[:2]),
            ([lfns[0].parent], [lfns[0], lfns[4]]),
            ([Lfn(f"/ctao/{scope}/DL0")], lfns),
            ([Lfn(f"/ctao/{scope}")], lfns),
            ([Lfn(block.name)], lfns),
            ([lfns[0], lfns[0].parent, Lfn(other.name)], [lfns[0], lfns[4]]),
            ([Lfn(other.name)], []),
            ([], []),
        ):
            found = catalogue.content(names)
            assert sorted(found) == sorted(expected), names
        file = catalogue.content(lfns[:1])[lfns[0]]
        assert (file.size_bytes, file.adler32) == (2880, "0a1b2c3d")
        assert file.replicas == catalogue.files(lfns[:1])[lfns[0]].replicas
        assert file.replicas[0].urls[0] == file.replicas[0].pfn

    def test_what_stands_for_nothing_is_named(self, catalogue: Catalogue, scope: str) -> None:
        _, files = _fill(catalogue, scope, count=2)
        for unknown in (f"/ctao/{scope}/DL0/none", f"{files[0].lfn}x", f"{files[0].lfn}/x", "/ctao/nobodys/x"):
            with pytest.raises(NotFoundError, match=unknown):
                catalogue.content([files[0].lfn, Lfn(unknown)])

    def test_a_copy_is_declared_bad_once_and_for_all(
        self, catalogue: Catalogue, elsewhere: Catalogue, scope: str
    ) -> None:
        block, files = _fill(catalogue, scope, count=2, retention=RetentionClass.SHORT_TERM)
        elsewhere.register(block, "PIC-DISK", files)
        for _ in range(2):
            _patiently(partial(catalogue.declare_bad, files[0].lfn, ONSITE, "other bytes"))
        known = catalogue.content([file.lfn for file in files])
        states = [{copy.rse: copy.state for copy in known[file.lfn].replicas}[ONSITE] for file in files]
        assert states == [ReplicaState.BAD, ReplicaState.AVAILABLE]

    def test_a_suspicious_copy_stays_as_it_is(self, catalogue: Catalogue, elsewhere: Catalogue, scope: str) -> None:
        block, files = _fill(catalogue, scope, count=2, retention=RetentionClass.SHORT_TERM)
        elsewhere.register(block, "PIC-DISK", files)
        catalogue.declare_suspicious(files[0].lfn, ONSITE, "it could not be read")
        known = catalogue.content([file.lfn for file in files])
        assert {copy.state for file in known.values() for copy in file.replicas} == {ReplicaState.AVAILABLE}

    def test_copies_that_do_not_exist_are_not_declared(self, catalogue: Catalogue, scope: str) -> None:
        _, files = _fill(catalogue, scope)
        unknown = registration(scope, 9).lfn
        with pytest.raises(NotFoundError, match=str(unknown)):
            catalogue.declare_bad(unknown, ONSITE, "other bytes")
        for lfn, rse in ((files[0].lfn, "PIC-DISK"), (unknown, ONSITE)):
            with pytest.raises(NotFoundError, match=str(lfn)):
                catalogue.declare_suspicious(lfn, rse, "it could not be read")

    def test_an_unknown_storage_element_is_named(self, catalogue: Catalogue, scope: str) -> None:
        block, _ = _fill(catalogue, scope)
        with pytest.raises(UnknownRseError, match="CTAO-NORTH-ONSITE"):
            catalogue.register(block, "NOWHERE", [registration(scope, 5)])

    def test_an_unknown_scope_is_an_error(self, catalogue: Catalogue) -> None:
        with pytest.raises(NotFoundError, match="nobodys"):
            catalogue.ensure_directories([registration("nobodys").lfn])
        with pytest.raises(NotFoundError, match="nobodys"):
            catalogue.missing_directories([registration("nobodys").lfn])

    def test_missing_directories_are_told_and_not_made(self, catalogue: Catalogue, scope: str) -> None:
        first, second = registration(scope, 0).lfn, registration(scope, 1).lfn
        catalogue.ensure_directories([first])
        there = {directory.did for directory in directories_of(first)}
        expected = [directory.did for directory in directories_of(second) if directory.did not in there]
        assert len(expected) == 5
        for _ in range(2):
            assert list(catalogue.missing_directories([first, second])) == expected

    def test_blocks_are_found_by_pattern(self, catalogue: Catalogue, scope: str) -> None:
        first, files = _fill(catalogue, scope, token="00000001")
        second = block_of(scope, "00000002")
        catalogue.open_block(second)
        catalogue.close_block(first)
        found = {b.did: b for b in catalogue.blocks(scope, blocks_pattern("ctao", scope, Site.NORTH, NIGHT))}
        assert set(found) == {first, second}
        assert (found[first].is_open, found[second].is_open) == (False, True)
        assert (found[first].n_files, found[first].size_bytes) == (len(files), 2880 * len(files))
        assert abs(dt.datetime.now(dt.UTC) - found[second].created) < dt.timedelta(minutes=5)
        assert not catalogue.blocks(scope, blocks_pattern("ctao", scope, Site.SOUTH))
        every, hour = blocks_pattern("ctao", scope), dt.timedelta(hours=1)
        since = found[first].created - hour
        assert [block.did for block in catalogue.blocks(scope, every, opened_since=since)] == [first, second]
        assert not catalogue.blocks(scope, every, opened_since=since + 2 * hour)

    def test_the_content_of_a_block_is_told_and_its_manifest_is_no_product(
        self, catalogue: Catalogue, scope: str
    ) -> None:
        block, files = _fill(catalogue, scope)
        manifest = Registration(
            lfn=ManifestName(block=BlockName.parse(block.name)).lfn,
            size_bytes=10240,
            adler32="0a1b2c3e",
            metadata=ProductMetadata({}),
        )
        for _ in range(2):
            catalogue.register(block, ONSITE, [manifest])
        held = {product.lfn: product for product in catalogue.products_in(block)}
        assert list(held) == sorted([*(file.lfn for file in files), manifest.lfn])
        assert held[files[0].lfn].metadata == files[0].metadata
        assert (held[manifest.lfn].size_bytes, held[manifest.lfn].adler32) == (10240, "0a1b2c3e")
        assert not held[manifest.lfn].metadata
        assert catalogue.files([manifest.lfn])[manifest.lfn].datasets == {block}
        for conditions in ((), (Condition("instance__ae_id", Comparison.NE, (99,)),)):
            found = catalogue.find(MetadataQuery(scopes=(scope,), conditions=conditions))
            assert {product.lfn for product in found} == {file.lfn for file in files}
        assert not catalogue.products_in(block_of(scope, "0000000f"))

    def test_the_rule_of_a_copy_that_is_there_is_fulfilled(self, catalogue: Catalogue, scope: str) -> None:
        block, files = _fill(catalogue, scope)
        catalogue.close_block(block)
        for _ in range(2):
            _patiently(partial(catalogue.add_rule, block, rse_expression=ONSITE))
        rules = catalogue.rules(scope, [block.name, "/ctao/none"])
        assert rules["/ctao/none"] == []
        assert [(rule.rse_expression, rule.state) for rule in rules[block.name]] == [(ONSITE, RuleState.OK)]
        assert rules[block.name][0].locks == {"ok": len(files), "replicating": 0, "stuck": 0}
        many = [block.name, *(block_of(scope, f"0000000{number}").name for number in range(2, 9))]
        assert [len(rules) for rules in catalogue.rules(scope, many).values()] == [1, *[0] * 7]

    def test_the_rules_of_many_blocks_are_found_whatever_the_clock_said_that_opened_them(
        self, catalogue: Catalogue, scope: str
    ) -> None:
        name = BlockName.parse(block_of(scope).name)
        for ahead in (dt.timedelta(hours=2), dt.timedelta(days=-300)):
            blocks = [attrs.evolve(name, opened=name.opened + ahead, token=f"0000000{n}").did for n in range(4)]
            for block in blocks:
                catalogue.open_block(block)
                catalogue.close_block(block)
                _patiently(partial(catalogue.add_rule, block, rse_expression=ONSITE))
            assert {len(rules) for rules in catalogue.rules(scope, [block.name for block in blocks]).values()} == {1}

    def test_a_rule_says_what_it_is_for_and_when_it_ends(self, catalogue: Catalogue, scope: str) -> None:
        block, _ = _fill(catalogue, scope, retention=RetentionClass.SHORT_TERM)
        catalogue.close_block(block)
        before = dt.datetime.now(dt.UTC)
        _patiently(
            partial(catalogue.add_rule, block, rse_expression=ONSITE, lifetime_s=86_400, activity="Express", priority=5)
        )
        (rule,) = catalogue.rules(scope, [block.name])[block.name]
        assert (rule.activity, rule.priority) == ("Express", 5)
        assert rule.expires is not None
        assert abs(rule.expires - before - dt.timedelta(days=1)) < dt.timedelta(minutes=5)
        plain, _ = _fill(catalogue, scope, token="00000002", retention=RetentionClass.SHORT_TERM)
        catalogue.close_block(plain)
        _patiently(partial(catalogue.add_rule, plain, rse_expression=ONSITE))
        (rule,) = catalogue.rules(scope, [plain.name])[plain.name]
        assert (rule.activity, rule.priority, rule.expires) == (DEFAULT_ACTIVITY, 3, None)

    def test_what_has_a_fulfilled_rule_of_late_is_told(self, catalogue: Catalogue, scope: str) -> None:
        before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=5)
        done, waiting = _fill(catalogue, scope, retention=RetentionClass.SHORT_TERM)[0], block_of(scope, "00000002")
        catalogue.open_block(waiting)
        for block in (done, waiting):
            catalogue.close_block(block)
        assert done not in catalogue.fulfilled_since(before)
        _patiently(partial(catalogue.add_rule, done, rse_expression=ONSITE))
        told = catalogue.fulfilled_since(before)
        assert done in told
        assert waiting not in told
        assert done not in catalogue.fulfilled_since(before + dt.timedelta(hours=1))
        assert catalogue.unfulfilled(scope) == frozenset()
        _patiently(partial(catalogue.add_rule, done, rse_expression="centre=PIC", source=ONSITE, lifetime_s=1))
        assert catalogue.unfulfilled(scope) == {done}
        assert catalogue.unfulfilled("root") == frozenset()

    def test_a_rule_for_nowhere_is_an_error(self, catalogue: Catalogue, scope: str) -> None:
        block, _ = _fill(catalogue, scope)
        catalogue.close_block(block)
        with pytest.raises(NotFoundError):
            catalogue.add_rule(block, rse_expression="centre=ATLANTIS")

    def test_a_rule_can_be_changed_and_ended(self, catalogue: Catalogue, scope: str) -> None:
        block, _ = _fill(catalogue, scope, retention=RetentionClass.SHORT_TERM)
        catalogue.close_block(block)
        _patiently(partial(catalogue.add_rule, block, rse_expression=ONSITE, lifetime_s=3600))
        (rule,) = catalogue.rules(scope, [block.name])[block.name]
        assert rule.expires is not None
        assert rule.account == next(iter(catalogue.blocks(scope, block.name))).account
        catalogue.retry_rule(rule.id)
        catalogue.prolong_rule(rule.id)
        assert catalogue.rule(rule.id).expires is None
        catalogue.redirect_rule(rule.id, "centre=PIC")
        assert catalogue.rule(rule.id).source == "centre=PIC"
        assert list(catalogue.attempts(catalogue.rule(rule.id), 3)) == []
        none = "f" * 32
        for call in (catalogue.rule, catalogue.retry_rule, catalogue.prolong_rule, catalogue.end_rule):
            with pytest.raises(NotFoundError):
                call(none)

    def test_copies_that_are_still_to_come_are_told(self, catalogue: Catalogue, scope: str) -> None:
        block, files = _fill(catalogue, scope)
        catalogue.close_block(block)
        _patiently(partial(catalogue.add_rule, block, rse_expression="centre=PIC", source=ONSITE))
        (rule,) = catalogue.rules(scope, [block.name])[block.name]
        waiting = catalogue.attempts(rule, 1)
        assert {attempt.lfn for attempt in waiting} == {file.lfn for file in files}
        assert {attempt.rse for attempt in waiting} == {"PIC-DISK"}

    def test_it_is_known_how_much_more_an_account_may_keep(self, catalogue: Catalogue, scope: str) -> None:
        block, _ = _fill(catalogue, scope)
        account = next(iter(catalogue.blocks(scope, block.name))).account
        assert catalogue.account() == account
        assert catalogue.room(account)["PIC-DISK"] > 1e15

    def test_it_is_known_how_much_an_account_keeps(self, catalogue: Catalogue, scope: str) -> None:
        # A large file, so that other files of the account that change in the meantime do not matter.
        block, file = block_of(scope), registration(scope, size_bytes=10**12)
        catalogue.ensure_directories([file.lfn])
        catalogue.open_block(block)
        catalogue.register(block, ONSITE, [file])
        account = next(iter(catalogue.blocks(scope, block.name))).account
        before = catalogue.kept(account).get(ONSITE, 0)
        catalogue.close_block(block)
        _patiently(partial(catalogue.add_rule, block, rse_expression=ONSITE))
        deadline = time.monotonic() + 200  # in a real Rucio, a daemon computes the usage
        while catalogue.kept(account).get(ONSITE, 0) < before + file.size_bytes / 2:
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def test_an_unknown_storage_element_cannot_be_lost(self, catalogue: Catalogue) -> None:
        with pytest.raises(UnknownRseError):
            catalogue.mark_lost("NOWHERE", "a fire")

    def test_products_are_found_by_what_they_are(self, catalogue: Catalogue, scope: str) -> None:
        _, files = _fill(catalogue, scope, count=8)
        begin = "observation__coverage__time__t_min"
        for conditions, numbers in (
            ((), range(8)),
            ((Condition("instance__ae_id", Comparison.EQ, (2,)),), (1, 5)),
            ((Condition("instance__ae_id", Comparison.EQ, (1, 2)),), (0, 4, 1, 5)),
            ((Condition("instance__ae_id", Comparison.NE, (1,)),), (1, 5, 2, 6, 3, 7)),
            ((Condition("instance__observing_night", Comparison.EQ, (NIGHT.date,)),), range(8)),
            ((Condition("instance__observing_night", Comparison.GT, (NIGHT.date,)),), ()),
            ((Condition(begin, Comparison.GTE, ("2026-11-21T22:06:00",)),), (6, 7)),
            (
                (
                    Condition(begin, Comparison.GT, ("2026-11-21T22:01:00",)),
                    Condition(begin, Comparison.LTE, ("2026-11-21T22:03:00",)),
                ),
                (2, 3),
            ),
            ((Condition("instance__obs_id", Comparison.LT, (2_000_000_001,)),), ()),
            ((Condition("instance__target_id", Comparison.EQ, ("Crab",)),), ()),
        ):
            found = list(catalogue.find(MetadataQuery(scopes=(scope,), conditions=conditions)))
            assert [p.lfn for p in found] == sorted(files[number].lfn for number in numbers), conditions
        product = next(iter(catalogue.find(MetadataQuery(scopes=(scope,)))))
        assert (product.size_bytes, product.adler32, product.metadata) == (2880, "0a1b2c3d", files[0].metadata)

    def test_what_a_product_does_not_say_differs_from_every_value(self, catalogue: Catalogue, scope: str) -> None:
        _, files = _fill(catalogue, scope, 4)
        lacking = Condition("instance__target_id", Comparison.NE, ("Crab", "Mrk421"))
        others = Condition("instance__ae_id", Comparison.NE, (1, 3))
        assert _found(catalogue, scope, lacking) == [file.lfn for file in files]
        assert _found(catalogue, scope, others) == [files[1].lfn, files[3].lfn]

    def test_several_conditions_on_one_key_all_hold(self, catalogue: Catalogue, scope: str) -> None:
        _, files = _fill(catalogue, scope, 8)

        def telescope(sign: Comparison, *values: int) -> Condition:
            return Condition("instance__ae_id", sign, values)

        lfns = sorted(file.lfn for file in files)
        two, three = ([lfn for lfn in lfns if f"LSTN-0{number}" in str(lfn)] for number in (2, 3))
        within = (telescope(Comparison.GTE, 1), telescope(Comparison.GTE, 2), telescope(Comparison.LTE, 3))
        assert _found(catalogue, scope, *within) == two + three
        assert _found(catalogue, scope, *within, telescope(Comparison.NE, 2), telescope(Comparison.NE, 4)) == three
        assert _found(catalogue, scope, telescope(Comparison.EQ, 1, 2), telescope(Comparison.EQ, 2, 3)) == two
        assert _found(catalogue, scope, telescope(Comparison.EQ, 1), telescope(Comparison.EQ, 2)) == []

    def test_of_alternatives_one_holds_and_none_comes_twice(self, catalogue: Catalogue, scope: str) -> None:
        _, files = _fill(catalogue, scope, 8)
        first = (Condition("instance__ae_id", Comparison.EQ, (1, 2)),)
        early = (Condition("observation__coverage__time__t_min", Comparison.LT, ("2026-11-21T22:03:00",)),)
        query = MetadataQuery(scopes=(scope,), any_of=(first, early))
        expected = sorted(files[number].lfn for number in (0, 1, 2, 4, 5))
        assert [product.lfn for product in catalogue.find(query)] == expected
        assert sum(catalogue.tally(query).values()) == 5
        both = MetadataQuery(scopes=(scope,), conditions=early, any_of=(first,))
        assert [product.lfn for product in catalogue.find(both)] == sorted(files[number].lfn for number in (0, 1))

    def test_a_text_may_be_a_pattern(self, catalogue: Catalogue, scope: str) -> None:
        _fill(catalogue, scope, 3)
        for pattern, count in (("CTAO-*", 3), ("*North", 3), ("*South", 0), ("CTAO_North", 0)):
            assert len(_found(catalogue, scope, Condition("instance__site_id", Comparison.EQ, (pattern,)))) == count

    def test_products_come_sorted_with_those_without_a_value_last(self, catalogue: Catalogue, scope: str) -> None:
        files = _pointings(catalogue, scope, [(1.0, 5.0), None, (2.0, 5.0), (0.0, -5.0), None, (0.5, 5.0)])
        ra, dec = "observation__coverage__space__ra", "observation__coverage__space__dec"
        for order, numbers in (
            ((SortKey(ra),), (3, 5, 0, 2, 1, 4)),
            ((SortKey(ra, descending=True),), (2, 0, 5, 3, 1, 4)),
            ((SortKey(dec, descending=True), SortKey(ra)), (5, 0, 2, 3, 1, 4)),
            ((SortKey(dec), SortKey("bytes", descending=True)), (3, 5, 2, 0, 4, 1)),
            ((SortKey("name", descending=True),), (5, 4, 3, 2, 1, 0)),
            ((SortKey("observation__coverage__time__t_min", descending=True),), (5, 4, 3, 2, 1, 0)),
            ((), range(6)),
        ):
            for limit in (None, 2):
                found = [p.lfn for p in catalogue.find(MetadataQuery(scopes=(scope,), order=order, limit=limit))]
                assert found == [files[number] for number in numbers][:limit], order

    def test_more_products_than_a_page_come_all_once_and_in_order(self, catalogue: Catalogue, scope: str) -> None:
        _, files = _fill(catalogue, scope, 530)
        lfns = [file.lfn for file in files]
        begin, telescope = "observation__coverage__time__t_min", "instance__ae_id"
        for order, expected in (
            ((), sorted(lfns)),
            ((SortKey(begin, descending=True),), lfns[::-1]),
            (
                (SortKey(telescope, descending=True),),
                [n for t in "4321" for n in sorted(lfns) if f"LSTN-0{t}" in str(n)],
            ),
            ((SortKey("instance__target_id"),), sorted(lfns)),
        ):
            query = MetadataQuery(scopes=(scope,), order=order)
            assert [product.lfn for product in catalogue.find(query)] == expected, order
            assert [p.lfn for p in catalogue.find(attrs.evolve(query, limit=500))] == expected[:500], order
        assert [product.lfn for product in catalogue.find(MetadataQuery(scopes=(scope, scope), limit=0))] == []

    def test_a_question_of_any_length_is_answered(self, catalogue: Catalogue, scope: str) -> None:
        _, files = _fill(catalogue, scope, 6)
        many = Condition("instance__obs_id", Comparison.EQ, tuple(range(2_000_000_001, 2_000_001_201)))
        groups = tuple((Condition("instance__ae_id", Comparison.EQ, (number,)), many) for number in (1, 2, 2))
        assert _found(catalogue, scope, many) == sorted(file.lfn for file in files)
        assert sum(catalogue.tally(MetadataQuery(scopes=(scope,), conditions=(many,))).values()) == 6
        query = MetadataQuery(scopes=(scope,), any_of=groups)
        assert [p.lfn for p in catalogue.find(query)] == sorted(files[number].lfn for number in (0, 4, 1, 5))
        assert sum(catalogue.tally(query).values()) == 4

    def test_products_are_counted_by_their_values(self, catalogue: Catalogue, scope: str) -> None:
        _fill(catalogue, scope, 6)
        query = MetadataQuery(scopes=(scope,), conditions=(Condition("instance__ae_id", Comparison.LT, (4,)),), limit=1)
        assert dict(catalogue.tally(query)) == {None: 5}
        assert dict(catalogue.tally(query, "instance__ae_id")) == {1: 2, 2: 2, 3: 1}
        assert dict(catalogue.tally(query, "instance__observing_night")) == {NIGHT.date: 5}
        assert dict(catalogue.tally(query, "instance__target_id")) == {None: 5}
        none = attrs.evolve(query, conditions=(Condition("instance__ae_id", Comparison.GT, (4,)),))
        assert sum(catalogue.tally(none).values()) == 0

    def test_pointings_are_found_along_great_circles(self, catalogue: Catalogue, scope: str) -> None:
        places = [(0.5, 0.0), (359.5, 0.0), (-0.9, 0.0), (2.0, 0.0), (10.0, 89.5), (190.0, 89.5), (83.63, 22.01), None]
        places += [(180.0, -90.0), (85.63, 22.01)]
        files = _pointings(catalogue, scope, places)
        for cone, numbers in (
            ((0.0, 0.0, 1.0), (0, 1, 2)),
            ((360.0, 0.0, 0.6), (0, 1)),
            ((100.0, 90.0, 0.5), (4, 5)),
            ((10.0, 89.5, 0.9), (4,)),
            ((10.0, 89.5, 1.0), (4, 5)),
            ((0.0, -90.0, 0.0), (8,)),
            ((83.63, 22.01, 1.85), (6,)),
            ((83.63, 22.01, 1.86), (6, 9)),
            ((83.63, 22.01, 0.0), (6,)),
            ((45.0, 0.0, 180.0), (0, 1, 2, 3, 4, 5, 6, 8, 9)),
            ((180.0, 0.0, 179.2), (2, 3, 4, 5, 6, 8, 9)),
        ):
            query = MetadataQuery(scopes=(scope,), conditions=(Cone(*cone),))
            assert [product.lfn for product in catalogue.find(query)] == [files[n] for n in numbers], cone
            assert sum(catalogue.tally(query).values()) == len(numbers), cone

    def test_what_is_valid_has_begun_and_not_ended(self, catalogue: Catalogue, scope: str) -> None:
        at = dt.datetime(2026, 11, 21, tzinfo=dt.UTC)
        day = dt.timedelta(days=1)
        bounds = [(None, None), (at - day, None), (at, at + day), (at - day, at), (at + day, None), (None, at)]
        keys = ("curation__valid_from", "curation__valid_to")
        files = _with(catalogue, scope, [{k: v for k, v in zip(keys, each, strict=True) if v} for each in bounds])
        found = catalogue.find(MetadataQuery(scopes=(scope,), conditions=(ValidAt(at),)))
        assert [product.lfn for product in found] == [files[number] for number in (0, 1, 2)]

    def test_no_more_products_than_asked_for(self, catalogue: Catalogue, scope: str) -> None:
        _fill(catalogue, scope, count=5)
        assert len(list(catalogue.find(MetadataQuery(scopes=(scope,), limit=2)))) == 2

    def test_a_wrong_key_is_refused(self) -> None:
        with pytest.raises(InvalidMetadataError, match="instance__obs_id"):
            Condition("instance__obsid", Comparison.EQ, (1,))
