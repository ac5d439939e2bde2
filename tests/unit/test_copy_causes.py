"""Messages of FTS3, XRootD and Rucio, and the causes that users are told."""

from __future__ import annotations

import datetime as dt
from typing import Any

import attrs
import pytest

from ctao_bdms.catalogue import InMemoryCatalogue
from ctao_bdms.model import Attempt, Rse, Rule, RuleState, Site
from ctao_bdms.naming import blocks_pattern
from ctao_bdms.replication import CopyCause, Policy, Replication
from ctao_bdms.replication.copy_causes import CAUSES, cause_of_text
from ctao_bdms.replication.placement import centres_for
from ctao_bdms.testing.contract import NIGHT, ONSITE, block_of, registration

NOW = dt.datetime(2026, 11, 22, 6, tzinfo=dt.UTC)
PATTERN = blocks_pattern("ctao", "acada")

#: Texts as the real services write them.
TEXTS = [
    # FTS 3.13.3, recorded
    ("SOURCE [2] Result HTTP 404 : File not found  after 1 attempts", CopyCause.SOURCE_MISSING),
    (
        "TRANSFER [5] SOURCE CHECKSUM MISMATCH Source and user-defined ADLER32 do not match (1a982599 != deadbeef)",
        CopyCause.SOURCE_CHANGED,
    ),
    ("DESTINATION [17] Destination file exists and overwrite is not enabled", CopyCause.EXISTS),
    (
        "TRANSFER [112] DESTINATION OVERWRITE   Result Could not connect to server after 1 attempts",
        CopyCause.DESTINATION_DOWN,
    ),
    # the same as Rucio keeps it with the rule
    ("RequestErrMsg.TRANSFER_FAILED:SOURCE [2] No such file or directory", CopyCause.SOURCE_MISSING),
    ("RequestErrMsg.TRANSFER_FAILED:SOURCE [13] Permission denied", CopyCause.SOURCE_FORBIDDEN),
    (
        "RequestErrMsg.TRANSFER_FAILED:DESTINATION [13] DESTINATION MAKE_PARENT Permission denied",
        CopyCause.DESTINATION_FORBIDDEN,
    ),
    ("RequestErrMsg.TRANSFER_FAILED:DESTINATION [30] Read-only file system", CopyCause.DESTINATION_FORBIDDEN),
    ("RequestErrMsg.TRANSFER_FAILED:DESTINATION [28] No space left on device", CopyCause.DESTINATION_FULL),
    ("RequestErrMsg.TRANSFER_FAILED:DESTINATION [122] Disk quota exceeded", CopyCause.DESTINATION_FULL),
    (
        "RequestErrMsg.TRANSFER_FAILED:SOURCE [22] Source and user-defined file size mismatch 5 <> 2880",
        CopyCause.SOURCE_CHANGED,
    ),
    (
        "TRANSFER [5] DESTINATION CHECKSUM MISMATCH Destination and user-defined ADLER32 do not match (1 != 2)",
        CopyCause.ARRIVED_CHANGED,
    ),
    (
        "TRANSFER [5] TRANSFER CHECKSUM MISMATCH Source and destination ADLER32 do not match (1 != 2)",
        CopyCause.ARRIVED_CHANGED,
    ),
    ("DESTINATION [5] Source and destination file size mismatch 100 <> 99", CopyCause.ARRIVED_CHANGED),
    ("SOURCE [5] Input/output error", CopyCause.SOURCE_MISSING),
    ("SOURCE [111] Connection refused", CopyCause.SOURCE_DOWN),
    ("TRANSFER [110] Connection timed out", CopyCause.NETWORK),
    ("RequestErrMsg.SUBMISSION_FAILED:RequestState.SUBMISSION_FAILED", CopyCause.TRANSFERS_DOWN),
    ("RequestErrMsg.TRANSFER_FAILED:Transfer job on FTS is lost", CopyCause.TRANSFERS_DOWN),
    ("RequestErrMsg.NO_SOURCES:RequestState.NO_SOURCES", CopyCause.NO_SOURCE),
    ("RequestErrMsg.MISMATCH_SCHEME:RequestState.MISMATCH_SCHEME", CopyCause.NO_ROUTE),
    ("MissingSourceReplica", CopyCause.NO_SOURCE),
    # Rucio's exceptions
    ("There is not enough quota left to fulfil the operation.\nDetails: None", CopyCause.QUOTA),
    ("Quota of Referenced RSE is exceeded.", CopyCause.QUOTA),
    ("There are not enough target RSEs to fulfil the request at this time.", CopyCause.NO_TARGET),
    ("RSE excluded; not available for writing.", CopyCause.NO_TARGET),
    # XRootD's, through HTTP and root
    ("DESTINATION [13] failure: Remote side failed with status code 403", CopyCause.DESTINATION_FORBIDDEN),
    ("SOURCE [3011] Unable to open file; No such file or directory", CopyCause.SOURCE_MISSING),
    ("DESTINATION [28] HTTP 507 : Insufficient Storage", CopyCause.DESTINATION_FULL),
]


def at_now(archive: InMemoryCatalogue) -> Replication:
    """Return the replication of an archive at `NOW`, by the observatory's own policy."""
    return Replication(archive, Policy.load(), lambda: NOW)


@pytest.mark.parametrize(("text", "cause"), TEXTS, ids=lambda value: str(value)[:50])
def test_message_has_a_cause(text: str, cause: CopyCause) -> None:
    row = cause_of_text(text)
    assert row is not None
    assert row.cause is cause


def test_every_cause_has_a_sentence_and_help() -> None:
    assert {row.cause for row in CAUSES} == {cause for _, cause in TEXTS}
    words = dict.fromkeys(("source", "rse", "rule", "lfn", "account", "block"), "X")
    for row in CAUSES:
        assert row.sentence.format(**words).endswith((".", ";"))
        assert row.help.format(**words)


def test_unknown_message_has_no_cause() -> None:
    assert cause_of_text("the moon is full") is None
    assert cause_of_text("") is None


class Archive(InMemoryCatalogue):
    """An archive that reports the messages of transfers."""

    def __init__(self) -> None:
        rses = [Rse(name=ONSITE, prefix="/onsite", site="CTAO-North")]
        rses += [Rse(name=f"{name}-DISK", prefix=f"/{name}", centre=name) for name in ("PIC", "CSCS")]
        super().__init__(rses, now=lambda: NOW)
        self.said: dict[str, Any] = {}
        self.left = float("inf")

    def change(self, expression: str, **terms: Any) -> None:  # noqa: ANN401
        """Change the rule of an expression."""
        block = block_of("acada")
        for rule in self.rules(block.scope, [block.name])[block.name]:
            if rule.rse_expression == expression:
                self.set_rule(attrs.evolve(rule, **terms))

    def attempts(self, rule: Rule, looked_at: int) -> list[Attempt]:
        return [attrs.evolve(attempt, **self.said) for attempt in super().attempts(rule, looked_at)]

    def room(self, account: str = "") -> dict[str, float]:
        return dict.fromkeys(self.rses(), self.left)


FIRST, SECOND = (f"centre={name}" for name in centres_for(Site.NORTH, NIGHT, {"PIC": 1.0, "CSCS": 1.0}))
DISK = f"{FIRST.removeprefix('centre=')}-DISK"


@pytest.fixture
def archive() -> Archive:
    archive, block = Archive(), block_of("acada")
    files = [registration("acada", number) for number in range(4)]
    archive.ensure_directories([file.lfn for file in files])
    archive.open_block(block)
    archive.register(block, ONSITE, files)
    archive.close_block(block)
    at_now(archive).reconcile("acada", PATTERN)
    return archive


def _causes(archive: Archive, minutes: int = 0) -> list[tuple[str, CopyCause]]:
    found = Replication(archive, Policy.load(), lambda: NOW + dt.timedelta(minutes=minutes)).explain("acada", PATTERN)
    return [(each.rse_expression, each.cause) for each in found]


def test_waiting_transfer_is_no_problem(archive: Archive) -> None:
    assert _causes(archive) == [(FIRST, CopyCause.UNDER_WAY), (SECOND, CopyCause.EARLIER)]
    found = at_now(archive).explain("acada", PATTERN)
    assert not any(each.needs_somebody for each in found)
    assert "waits for" in found[1].sentence
    archive.transfer()
    assert _causes(archive) == [(SECOND, CopyCause.DUE)]
    at_now(archive).reconcile("acada", PATTERN)
    archive.transfer()
    assert _causes(archive) == []


def test_transfers_that_no_daemon_submits_are_reported(archive: Archive) -> None:
    archive.said = {"state": "queued", "since": NOW}
    assert _causes(archive, minutes=5)[0][1] is CopyCause.UNDER_WAY
    assert _causes(archive, minutes=11)[0][1] is CopyCause.TRANSFERS_DOWN
    archive.said = {"state": "submitted", "since": NOW}
    assert _causes(archive, minutes=60)[0][1] is CopyCause.UNDER_WAY


@pytest.mark.parametrize(
    ("state", "error", "said", "cause"),
    [
        ("stuck", "SOURCE [2] No such file or directory", "", CopyCause.SOURCE_MISSING),
        ("replicating", "", "DESTINATION [28] No space left on device", CopyCause.DESTINATION_FULL),
        ("stuck", "", "", CopyCause.UNKNOWN),
        ("stuck", "the moon {is} full", "", CopyCause.UNKNOWN),
        ("suspended", "DESTINATION [28] No space left on device", "", CopyCause.SUSPENDED),
        ("waiting for approval", "", "", CopyCause.APPROVAL),
    ],
)
def test_unfulfilled_rule_has_a_cause(archive: Archive, state: str, error: str, said: str, cause: CopyCause) -> None:
    archive.change(FIRST, state=RuleState(state), error=error)
    archive.said = {"said": said, "source": ONSITE, "is_stuck": state == "stuck"}
    first = at_now(archive).explain("acada", PATTERN)[0]
    assert (first.cause, first.said) == (cause, error or said)
    assert first.needs_somebody
    for text in (first.sentence, first.help):
        assert "{" not in text.replace("{is}", "")
    assert len(first.attempts) == 4
    if cause is CopyCause.SOURCE_MISSING:
        assert first.sentence.startswith(f"{ONSITE} should hold /ctao/acada/DL0/")
        assert first.help.endswith(f"bdms rules retry {first.rule_id}")
    assert list(at_now(archive).explain(rule_id=first.rule_id)) == [first]


def test_unavailable_centre_is_the_cause(archive: Archive) -> None:
    archive.change(FIRST, state=RuleState.STUCK, error="DESTINATION [111] Connection refused")
    rse = attrs.evolve(archive.rses()[DISK], is_readable=False, is_writable=False, changed=NOW)
    archive.set_rse(rse)
    first, second = at_now(archive).explain("acada", PATTERN)
    assert first.cause is CopyCause.CENTRE
    assert "is waited for until 2026-11-23 06:00 UTC" in first.sentence
    assert second.cause is CopyCause.DUE, "the site serves the other centre meanwhile"
    archive.mark_lost(DISK, "an {odd} fire")
    assert "an {odd} fire" in at_now(archive).explain("acada", PATTERN)[0].sentence


def test_rule_without_quota_has_a_cause(archive: Archive) -> None:
    archive.transfer()
    archive.left = 100.0
    (short,) = at_now(archive).explain("acada", PATTERN)
    assert short.cause is CopyCause.QUOTA
    assert short.help.endswith("--bytes SIZE")
    archive.left = 4 * 2880.0
    assert _causes(archive) == [(SECOND, CopyCause.DUE)]
