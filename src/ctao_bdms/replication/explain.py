"""Explain why copies are missing, and what helps."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, ClassVar, Protocol

import attrs

from ctao_bdms.catalogue import StorageCatalogue, TransferCatalogue
from ctao_bdms.errors import ForbiddenError, NotFoundError
from ctao_bdms.model import Attempt, Block, Did, Rule, RuleState
from ctao_bdms.replication.copy_causes import CAUSES, CauseRow, CopyCause, cause_of_text
from ctao_bdms.replication.difference import Action, Kind, Wanted, difference
from ctao_bdms.replication.rules import centre_of
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["Explanation", "Explanations", "explain_block"]

#: Of how many copies of a rule it is asked what the transfers said.
_LOOKED_AT = 3
#: How long nothing is wrong with a transfer that has not begun.
_SOON = dt.timedelta(minutes=10)

_BY_CAUSE: Mapping[CopyCause, CauseRow] = {row.cause: row for row in CAUSES}


class ExplainCatalogue(StorageCatalogue, TransferCatalogue, Protocol):
    """The catalogue verbs that explain why copies are missing."""


@attrs.frozen(kw_only=True)
class Explanation:
    """Explanation of a missing copy.

    Attributes
    ----------
    did
        The block.
    rse_expression
        Where the copy shall be.
    source
        Where it is read from.
    rule_id
        The rule; empty if there is none yet.
    state
        How far the rule is; empty if there is none yet.
    cause
        Why, in a word.
    sentence
        Why, in plain words.
    help
        What to do.
    said
        What transfers or Rucio wrote; empty if nothing.
    attempts
        The copies that are not there yet.
    """

    did: Did
    rse_expression: str
    source: str = ""
    rule_id: str = ""
    state: str = ""
    cause: CopyCause
    sentence: str
    help: str
    said: str = ""
    attempts: tuple[Attempt, ...] = ()

    @property
    def block(self) -> str:
        """The name of the block."""
        return self.did.name

    @property
    def needs_somebody(self) -> bool:
        """Whether somebody must act: it does not pass by itself."""
        return self.cause not in {CopyCause.EARLIER, CopyCause.DUE, CopyCause.UNDER_WAY}


class Explanations(Rows[Explanation]):
    """Explanations of missing copies, one row a rule."""

    columns: ClassVar = (
        ("block", "block"),
        ("copy in", "rse_expression"),
        ("rule", "rule_id"),
        ("state", "state"),
        ("cause", "cause"),
        ("why", "sentence"),
        ("what helps", "help"),
    )


def explain_block(
    catalogue: ExplainCatalogue, block: Block, rules: Sequence[Rule], wanted: Wanted | None, now: dt.datetime
) -> Iterator[Explanation]:
    """Explain the missing copies of a closed block.

    Parameters
    ----------
    catalogue
        The archive; it is only asked.
    block, rules
        The block, and the rules that it has.
    wanted
        What it must have; None if it is no block of ours.
    now
        The time (aware).
    """
    yield from _Block(catalogue, block, rules, wanted, now).explanations()


class _Block:
    """The rules of one block, explained."""

    def __init__(
        self, catalogue: ExplainCatalogue, block: Block, rules: Sequence[Rule], wanted: Wanted | None, now: dt.datetime
    ) -> None:
        self.catalogue, self.block, self.rules, self.wanted, self.now = catalogue, block, rules, wanted, now

    def explanations(self) -> Iterator[Explanation]:
        """Explain rules that are not OK, and rules that do not exist yet."""
        for rule in self.rules:
            if rule.state is not RuleState.OK:
                yield self._rule(rule)
        if self.wanted is not None:
            for action in difference(self.block.did, self.wanted, self.rules, self.block.account):
                if action.kind in {Kind.MAKE, Kind.LATER, Kind.IMPOSSIBLE}:
                    yield self._missing(action)

    def _missing(self, action: Action) -> Explanation:
        """Explain why a rule does not exist yet."""
        short = self._quota(action.rse_expression) if action.kind is Kind.MAKE else ""
        if short:
            row = _BY_CAUSE[CopyCause.QUOTA]
            words = {"account": self.block.account, "rse": short}
            cause, why, aid = row.cause, row.sentence.format(**words), row.help.format(**words)
        elif action.kind is Kind.MAKE:
            cause, why = CopyCause.DUE, "Its time has come, and nobody has made it yet."
            aid = "The daemon makes it at its next look, or at once: bdms reconcile"
        elif action.rse_expression and action.why.startswith("waits for"):
            cause, why = CopyCause.EARLIER, f"It {action.why}."
            aid = "Nothing; it is made when the other is complete. If that is stuck, see there."
        elif action.kind is Kind.IMPOSSIBLE:
            cause, why = CopyCause.CENTRE, f"{action.why}."
            aid = "The archive's administrator mends the attribute site of the storage elements."
        elif not action.rse_expression:
            cause, why = CopyCause.CENTRE, f"{action.why}."
            aid = "It is made when a centre has room again, comes back or joins: bdms centres list"
        else:
            cause, why = CopyCause.CENTRE, f"{action.why}."
            aid = "See bdms centres list; if the centre will not come back: bdms centres lose CENTRE --reason TEXT"
        return Explanation(
            did=self.block.did,
            rse_expression=action.rse_expression,
            source=action.source,
            cause=cause,
            sentence=why,
            help=aid,
        )

    def _quota(self, expression: str) -> str:
        """Return the storage element where the quota of the account is too small; empty if none is."""
        name = centre_of(expression) or expression
        rses = [rse.name for rse in self.catalogue.rses().values() if name in {rse.name, rse.centre}]
        try:
            left = self.catalogue.room(self.block.account)
        except (ForbiddenError, NotFoundError):
            return ""
        return rses[0] if rses and all(left.get(rse, 0.0) < self.block.size_bytes for rse in rses) else ""

    def _rule(self, rule: Rule) -> Explanation:
        """Explain why a rule is not OK."""
        attempts = tuple(self.catalogue.attempts(rule, _LOOKED_AT))
        first = attempts[0] if attempts else None
        said = rule.error or next((attempt.said for attempt in attempts if attempt.said), "")
        words = {
            "rule": rule.id,
            "account": rule.account,
            "block": rule.did.name,
            "rse": first.rse if first else rule.rse_expression,
            "source": (first.source if first else "") or rule.source or "its source",
            "lfn": str(first.lfn) if first else rule.did.name,
        }
        cause, sentence, aid = self._why(rule, first, said)
        return Explanation(
            did=rule.did,
            rse_expression=rule.rse_expression,
            source=rule.source,
            rule_id=rule.id,
            state=rule.state.value,
            cause=cause,
            sentence=sentence.format(**words),
            help=aid.format(**words),
            said=said,
            attempts=attempts,
        )

    def _why(self, rule: Rule, first: Attempt | None, said: str) -> tuple[CopyCause, str, str]:
        """Return cause, sentence and help, with placeholders."""
        if rule.state is RuleState.SUSPENDED:
            why = "The rule was stuck for two weeks, or somebody has suspended it; Rucio does nothing about it."
            again = "rucio rule update {rule} --stuck, then: bdms rules retry {rule}"
            return CopyCause.SUSPENDED, f"{why} It had said: {_quoted(said) or 'nothing'}.", again
        if rule.state is RuleState.WAITING:
            return CopyCause.APPROVAL, "The rule waits for approval.", "The operators of the centre approve or deny it."
        if away := self._away(rule):
            return CopyCause.CENTRE, away, "See bdms centres list; if it will not come back: bdms centres lose"
        row = cause_of_text(said)
        if row is not None:
            return row.cause, row.sentence, row.help
        if said:
            return CopyCause.UNKNOWN, f"Rucio says: {_quoted(said)}.", "bdms rules retry {rule}"
        since = (first.since if first else None) or rule.created
        if rule.state is not RuleState.STUCK and (since is None or self.now - since < _SOON):
            return CopyCause.UNDER_WAY, "Its transfers are under way.", "Nothing; look again in a few minutes."
        if first is not None and first.state in {"queued", "submitting"}:
            row = _BY_CAUSE[CopyCause.TRANSFERS_DOWN]
            age = "" if since is None else f" They have waited since {since:%Y-%m-%d %H:%M} UTC."
            return row.cause, f"Transfers to {{rse}} are asked for, and no transfer service takes them.{age}", row.help
        if rule.state is RuleState.STUCK:
            return CopyCause.UNKNOWN, "The rule is stuck, and nothing says why.", "bdms rules retry {rule}"
        return CopyCause.UNDER_WAY, "Its transfers are under way.", "Nothing; look again in a few minutes."

    def _away(self, rule: Rule) -> str:
        """Return the problems of the centres that a rule needs; empty if there are none."""
        if self.wanted is None:
            return ""
        names = [centre_of(rule.rse_expression), centre_of(rule.source)]
        said = [self.wanted.centres[name].why for name in names if name in self.wanted.centres]
        return ". ".join(_quoted(why) for why in said if why) + "." if any(said) else ""


def _quoted(text: str) -> str:
    """Escape the braces of a text for `str.format`."""
    return text.rstrip(".").replace("{", "{{").replace("}", "}}")
