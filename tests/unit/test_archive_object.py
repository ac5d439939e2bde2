"""What a notebook's tab completion shows on the archive."""

from __future__ import annotations

import pytest

from ctao_bdms import Bdms
from ctao_bdms.archive import BlockVerbs, NightVerbs, QuarantineVerbs, RuleVerbs

VERBS = {"count", "ingest", "locate", "open", "plan", "put", "query", "retrieve", "track", "verify"}
GROUPS = {"blocks", "nights", "quarantine", "rules"}
STATE = {"catalogue", "health", "replication", "through"}


def _shown(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_the_archive_shows_ten_verbs_and_four_groups() -> None:
    assert _shown(Bdms) == VERBS | GROUPS | STATE


@pytest.mark.parametrize(
    ("kind", "verbs"),
    [
        (RuleVerbs, {"centres", "compare", "explain", "lose_centre", "reconcile", "regain_centre", "retry", "states"}),
        (QuarantineVerbs, {"accept", "at", "cases", "retry"}),
        (NightVerbs, {"left_on_site", "release", "report", "track"}),
        (BlockVerbs, {"check_manifests", "evidence", "manifest"}),
    ],
)
def test_verbs_of_operators_hang_below(kind: type, verbs: set[str]) -> None:
    assert _shown(kind) == verbs
