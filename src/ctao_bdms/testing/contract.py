"""What every catalogue must do: a battery of tests to inherit from.

A test class that inherits from `CatalogueContract` and gives the fixture ``catalogue`` runs the whole battery on it.
This project does so for the archive in memory and for a real Rucio.

The fixture gives an adapter with the storage elements ``CTAO-NORTH-ONSITE`` (site CTAO-North), ``PIC-DISK`` (centre
PIC) and ``CSCS-DISK`` (centre CSCS); the fixture ``scope`` names a scope that is empty.
"""

from __future__ import annotations

import datetime as dt

import pytest

from ctao_bdms.catalogue import Catalogue, Comparison, Condition, Query
from ctao_bdms.errors import BlockClosedError, ConflictError, InvalidMetadataError, NotFoundError, UnknownRseError
from ctao_bdms.model import (
    DEFAULT_ACTIVITY,
    Did,
    Lfn,
    Night,
    ProductMetadata,
    Registration,
    ReplicaState,
    RetentionClass,
    RuleState,
    Site,
)
from ctao_bdms.naming import BlockName, blocks_pattern, directories_of

__all__ = ["CatalogueContract", "block_of", "registration"]

ONSITE = "CTAO-NORTH-ONSITE"
NIGHT = Night(dt.date(2026, 11, 21))


def registration(scope: str, number: int = 0, *, size_bytes: int = 2880, adler32: str = "0a1b2c3d") -> Registration:
    """Return a file, ready to be registered; `number` makes the name, telescope and begin of its data."""
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


def block_of(scope: str, token: str = "00000001") -> Did:
    """Return the identifier of a block."""
    return BlockName(
        vo="ctao",
        scope=scope,
        site=Site.NORTH,
        night=NIGHT,
        retention=RetentionClass.PERMANENT,
        opened=dt.datetime.now(dt.UTC).replace(microsecond=0),
        token=token,
    ).did


def _fill(catalogue: Catalogue, scope: str, count: int = 3, token: str = "00000001") -> tuple[Did, list[Registration]]:
    """Register some files in a new block."""
    block, files = block_of(scope, token), [registration(scope, number) for number in range(count)]
    catalogue.ensure_directories([file.lfn for file in files])
    catalogue.open_block(block)
    catalogue.register(block, ONSITE, files)
    return block, files


class CatalogueContract:
    """The battery; inherit from it."""

    def test_storage_elements_say_whose_they_are(self, catalogue: Catalogue) -> None:
        rses = catalogue.rses()
        assert rses[ONSITE].site == "CTAO-North"
        assert rses[ONSITE].is_onsite
        assert {rse.centre for rse in rses.values() if not rse.is_onsite} == {"PIC", "CSCS"}

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

    def test_the_rule_of_a_copy_that_is_there_is_fulfilled(self, catalogue: Catalogue, scope: str) -> None:
        block, files = _fill(catalogue, scope)
        catalogue.close_block(block)
        for _ in range(2):
            catalogue.add_rule(block, rse_expression=ONSITE)
        rules = catalogue.rules(scope, [block.name, "/ctao/none"])
        assert rules["/ctao/none"] == []
        assert [(rule.rse_expression, rule.state) for rule in rules[block.name]] == [(ONSITE, RuleState.OK)]
        assert rules[block.name][0].locks == {"ok": len(files), "replicating": 0, "stuck": 0}
        many = [block.name, *(block_of(scope, f"0000000{number}").name for number in range(2, 9))]
        assert [len(rules) for rules in catalogue.rules(scope, many).values()] == [1, *[0] * 7]

    def test_a_rule_says_what_it_is_for_and_when_it_ends(self, catalogue: Catalogue, scope: str) -> None:
        block, _ = _fill(catalogue, scope)
        catalogue.close_block(block)
        before = dt.datetime.now(dt.UTC)
        catalogue.add_rule(block, rse_expression=ONSITE, lifetime_s=86_400, activity="Express", priority=5)
        (rule,) = catalogue.rules(scope, [block.name])[block.name]
        assert (rule.activity, rule.priority) == ("Express", 5)
        assert rule.expires is not None
        assert abs(rule.expires - before - dt.timedelta(days=1)) < dt.timedelta(minutes=5)
        plain, _ = _fill(catalogue, scope, token="00000002")
        catalogue.close_block(plain)
        catalogue.add_rule(plain, rse_expression=ONSITE)
        (rule,) = catalogue.rules(scope, [plain.name])[plain.name]
        assert (rule.activity, rule.priority, rule.expires) == (DEFAULT_ACTIVITY, 3, None)

    def test_what_has_a_fulfilled_rule_of_late_is_told(self, catalogue: Catalogue, scope: str) -> None:
        before = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=5)
        done, waiting = _fill(catalogue, scope, token="00000001")[0], block_of(scope, "00000002")
        catalogue.open_block(waiting)
        for block in (done, waiting):
            catalogue.close_block(block)
        assert done not in catalogue.fulfilled_since(before)
        catalogue.add_rule(done, rse_expression=ONSITE)
        told = catalogue.fulfilled_since(before)
        assert done in told
        assert waiting not in told
        assert done not in catalogue.fulfilled_since(before + dt.timedelta(hours=1))

    def test_a_rule_for_nowhere_is_an_error(self, catalogue: Catalogue, scope: str) -> None:
        block, _ = _fill(catalogue, scope)
        catalogue.close_block(block)
        with pytest.raises(NotFoundError):
            catalogue.add_rule(block, rse_expression="centre=ATLANTIS")

    def test_a_rule_can_be_changed_and_ended(self, catalogue: Catalogue, scope: str) -> None:
        block, _ = _fill(catalogue, scope)
        catalogue.close_block(block)
        catalogue.add_rule(block, rse_expression=ONSITE, lifetime_s=3600)
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
        catalogue.add_rule(block, rse_expression="centre=PIC", source=ONSITE)
        (rule,) = catalogue.rules(scope, [block.name])[block.name]
        waiting = catalogue.attempts(rule, 1)
        assert {attempt.lfn for attempt in waiting} == {file.lfn for file in files}
        assert {attempt.rse for attempt in waiting} == {"PIC-DISK"}

    def test_it_is_known_how_much_more_an_account_may_keep(self, catalogue: Catalogue, scope: str) -> None:
        block, _ = _fill(catalogue, scope)
        account = next(iter(catalogue.blocks(scope, block.name))).account
        assert catalogue.room(account)["PIC-DISK"] > 1e15

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
            found = list(catalogue.find(Query(scopes=(scope,), conditions=conditions)))
            assert [p.lfn for p in found] == sorted(files[number].lfn for number in numbers), conditions
        product = next(iter(catalogue.find(Query(scopes=(scope,)))))
        assert (product.size_bytes, product.adler32, product.metadata) == (2880, "0a1b2c3d", files[0].metadata)

    def test_no_more_products_than_asked_for(self, catalogue: Catalogue, scope: str) -> None:
        _fill(catalogue, scope, count=5)
        assert len(list(catalogue.find(Query(scopes=(scope,), limit=2)))) == 2

    def test_a_wrong_key_is_refused(self) -> None:
        with pytest.raises(InvalidMetadataError, match="instance__obs_id"):
            Condition("instance__obsid", Comparison.EQ, (1,))
