"""Recognise raw data, and find the centres that preserve it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ctao_rucio_policy.roles import ROLE_ATTRIBUTE, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["centres_of", "enters_on_site", "is_raw", "preserving_centres"]

#: The third component of the names of raw data, and of blocks and their manifests.
_RAW, _BLOCKS = "DL0", "blocks"


def is_raw(scope: Any, name: str, session: Any) -> bool:  # noqa: ANN401 (Rucio has no types)
    """Return whether a name is raw data or a block: both are preserved.

    Raw data are the names for which `enters_on_site` is true; blocks of all scopes are protected like raw data.
    """
    return name.split("/")[3:4] == [_BLOCKS] or enters_on_site(scope, name, session)


def enters_on_site(scope: Any, name: str, session: Any) -> bool:  # noqa: ANN401
    """Return whether only the ingest service registers this name.

    True for names in ``/<vo>/<scope>/DL0``, for all names in a scope of the ingest service, and for the top container
    ``/<vo>``.
    """
    from rucio.core.account import list_account_attributes
    from rucio.db.sqla.models import Scope
    from sqlalchemy import select

    parts = name.split("/")
    if len(parts) < 3 or parts[3:4] == [_RAW]:
        return True
    owner = session.execute(select(Scope.account).where(Scope.scope == scope)).scalar_one_or_none()
    if owner is None:
        return False
    held = {row["key"]: row["value"] for row in list_account_attributes(account=owner, session=session)}
    return held.get(ROLE_ATTRIBUTE) == Role.INGEST.value


def centres_of(expression: str, vo: str, session: Any) -> set[str]:  # noqa: ANN401
    """Return the centres of the storage elements of an RSE expression; on-site elements give an empty string."""
    from rucio.core.rse import list_rse_attributes
    from rucio.core.rse_expression_parser import parse_expression

    found = parse_expression(expression, filter_={"vo": vo}, session=session)
    return {str(list_rse_attributes(rse_id=rse["id"], session=session).get("centre", "")) for rse in found}


def preserving_centres(rules: Iterable[dict[str, Any]], n_files: int, vo: str, session: Any) -> set[str]:  # noqa: ANN401
    """Return the centres where fulfilled rules without lifetime certainly hold all `n_files` of a name.

    The locks are counted because the state is not enough: a rule that is older than the files stays ``OK`` until the
    judge has evaluated them.
    """
    from rucio.db.sqla.constants import RuleState

    certain: set[str] = set()
    for rule in rules:
        is_whole = rule["state"] is RuleState.OK and rule["locks_ok_cnt"] >= n_files * rule["copies"]
        if is_whole and rule["expires_at"] is None:
            centres = centres_of(rule["rse_expression"], vo, session)
            certain |= centres if len(centres) == 1 else set()
    return certain - {""}
