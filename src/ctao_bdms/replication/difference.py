"""Compare the rules of a block with those that it must have (pure).

The site's uplink carries each byte once: the first centre copies from the site, the others from a centre that has the
whole block. A missing rule is made as soon as its source is there; until then its action says what it waits for.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar

import attrs

from ctao_bdms.model import Did, Rule, RuleState
from ctao_bdms.replication.centres import Centre
from ctao_bdms.replication.rules import WantedRule, centre_of
from ctao_bdms.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Action", "Difference", "Kind", "Wanted", "difference"]


class Kind(StrEnum):
    """Kind of action on a rule."""

    #: It is missing, and its source is there.
    MAKE = "make"
    #: It is missing, and waits for something.
    LATER = "make later"
    #: No rule can be made until the site's configuration is repaired.
    IMPOSSIBLE = "impossible"
    #: It has an end, and must not have one.
    PROLONG = "prolong"
    #: Its source has no copy any more.
    REDIRECT = "read elsewhere"
    #: It is stuck, and another centre has completed its copy since the last try.
    RETRY = "try again"
    #: Its centre does not keep the block any more, and all copies are elsewhere.
    END = "end"
    #: Its centre does not keep the block any more, but other copies are still missing.
    KEEP = "keep for now"
    #: It belongs to another account, or is for an unknown place: left alone.
    FOREIGN = "foreign"


@attrs.frozen(kw_only=True)
class Action:
    """An action on one rule of a block.

    Attributes
    ----------
    did
        The block.
    kind
        The kind of action.
    rse_expression
        Where the copy is, or will be.
    source
        The source of its transfers; empty if the files are there already, or nothing changes.
    why
        The reason.
    rule
        The rule; None if there is none yet.
    account
        The owner of the rule.
    wanted
        The rule as it must be; None if there must be none.
    """

    did: Did
    kind: Kind
    rse_expression: str
    source: str = ""
    why: str = ""
    rule: Rule | None = None
    account: str = ""
    wanted: WantedRule | None = None

    @property
    def block(self) -> str:
        """The name of the block."""
        return self.did.name


class Difference(Rows[Action]):
    """Actions that bring blocks to their rules, one row a rule."""

    columns: ClassVar = (
        ("block", "block"),
        ("what", "kind"),
        ("copy in", "rse_expression"),
        ("read from", "source"),
        ("why", "why"),
    )

    def of(self, *kinds: Kind) -> list[Action]:
        """Return the actions of some kinds."""
        return [action for action in self if action.kind in kinds]


@attrs.frozen(kw_only=True)
class Wanted:
    """The rules that a block must have, in the current state of the centres.

    Attributes
    ----------
    rules
        The rule on site, and those of its centres in the order in which they receive it.
    copies
        How many distinct centres must keep it.
    centres
        The centres as they are now.
    onsite
        The storage element on site; empty if it entered at a centre.
    entered
        The RSE expression of the centre where it entered; empty if it entered on site.
    shut
        The centres that take no new data.
    lacks
        A missing requirement, in words; empty if none is missing. Without `rules`, no rule can be made.
    """

    rules: tuple[WantedRule, ...]
    copies: int
    centres: Mapping[str, Centre]
    onsite: str = ""
    entered: str = ""
    shut: frozenset[str] = frozenset()
    lacks: str = ""

    @property
    def kept(self) -> tuple[WantedRule, ...]:
        """The rules of the centres that keep it."""
        return tuple(rule for rule in self.rules if rule.rse_expression != self.onsite)

    @property
    def placed(self) -> tuple[str, ...]:
        """The centres that keep it."""
        return tuple(centre_of(rule.rse_expression) for rule in self.kept)

    @property
    def source(self) -> str:
        """The source of the first copy; empty if the block entered at a centre that keeps it."""
        return self.onsite or (self.entered if self.entered not in {rule.rse_expression for rule in self.rules} else "")

    def is_readable(self, name: str) -> bool:
        """Whether a centre can be read."""
        return name not in self.centres or (self.centres[name].is_readable and not self.centres[name].is_lost)

    def is_writable(self, name: str) -> bool:
        """Whether a centre can be written."""
        return name not in self.centres or self.centres[name].is_writable

    def is_known(self, expression: str) -> bool:
        """Whether our placement makes rules with this RSE expression."""
        centre = centre_of(expression)
        return expression == self.onsite or (
            centre in {*self.centres, *self.placed} and expression in {f"centre={centre}", f"centre={centre}&tape"}
        )


def difference(did: Did, wanted: Wanted, existing: Sequence[Rule], account: str = "") -> list[Action]:
    """Return the actions that bring a closed block to its rules, in order.

    Parameters
    ----------
    wanted
        The rules that it must have.
    account
        The owner of the block: rules of other accounts are foreign.
    """
    return _Block(did, wanted, existing, account).actions()


class _Block:
    """The rules of one block."""

    def __init__(self, did: Did, wanted: Wanted, existing: Sequence[Rule], account: str) -> None:
        self.did, self.wanted, self.account = did, wanted, account
        ours = [rule for rule in existing if rule.account == account and wanted.is_known(rule.rse_expression)]
        self.foreign = [rule for rule in existing if rule not in ours]
        # Of two rules for one place, the one that ends later counts: it is last, and so it stays in the mapping.
        ours.sort(key=lambda rule: (rule.expires is None, rule.expires), reverse=False)
        self.standing = {rule.rse_expression: rule for rule in ours}
        self.placed = {centre_of(rule.rse_expression): rule for rule in wanted.kept}
        self.made: list[str] = []

    def actions(self) -> list[Action]:
        """Return the actions."""
        if self.wanted.lacks and not self.wanted.rules:
            return [self._action(Kind.IMPOSSIBLE, "", why=self.wanted.lacks)]
        placed = [rule.rse_expression for rule in self.placed.values()]
        done = [self._is_ok(expression) for expression in placed]
        is_complete = len(placed) >= self.wanted.copies and all(done) and not self.wanted.lacks
        found: list[Action] = []
        # Once a centre has the whole block, the copy on site may have been deleted to free space: do not ask for it.
        onsite = self.wanted.onsite
        if onsite and onsite not in self.standing and not any(map(self._is_ok, self.standing)):
            found.append(self._action(Kind.MAKE, self.wanted.onsite, why="holds the copy on site"))
            self.made.append(self.wanted.onsite)
        found += self._lasting({*placed, self.wanted.onsite} if not is_complete else set(placed))
        for name, want in self.placed.items():
            found += self._missing(name, want) if want.rse_expression not in self.standing else self._redirected(name)
        if len(placed) < self.wanted.copies:
            found.append(self._unplaced(len(placed)))
        elif self.wanted.lacks:
            found.append(self._action(Kind.LATER, "", why=self.wanted.lacks))
        for expression in sorted(set(self.standing) - {*placed, self.wanted.onsite}):
            found.append(self._spare(expression, is_complete=is_complete))
        found += [
            Action(
                did=self.did,
                kind=Kind.FOREIGN,
                rse_expression=rule.rse_expression,
                rule=rule,
                account=rule.account,
                why=f"a rule of {rule.account or 'nobody'}, left alone",
            )
            for rule in self.foreign
        ]
        return found

    def _action(self, kind: Kind, expression: str, *, source: str = "", why: str = "") -> Action:
        return Action(
            did=self.did,
            kind=kind,
            rse_expression=expression,
            source=source,
            why=why,
            rule=self.standing.get(expression),
            account=self.account,
            wanted=next((rule for rule in self.wanted.rules if rule.rse_expression == expression), None),
        )

    def _is_ok(self, expression: str) -> bool:
        rule = self.standing.get(expression)
        return rule is not None and rule.state is RuleState.OK

    def _lasting(self, expressions: set[str]) -> list[Action]:
        """Prolong rules that have an end and must not have one."""
        return [
            self._action(Kind.PROLONG, want.rse_expression, why=f"it ends on {rule.expires:%Y-%m-%d %H:%M} UTC")
            for want in self.wanted.rules
            for rule in [self.standing.get(want.rse_expression)]
            if want.rse_expression in expressions and want.lifetime_s is None and rule is not None and rule.expires
        ]

    def _whole(self) -> dict[str, str]:
        """Return the rules that are OK, by centre."""
        rules = [*(want.rse_expression for want in self.placed.values()), *self.standing]
        # All files are where they entered: a rule for that place is OK as soon as it is made.
        entered = {want.rse_expression for want in self.placed.values() if not want.source} & set(self.made)
        return {
            centre_of(rule): rule
            for rule in reversed(rules)
            if centre_of(rule) and (self._is_ok(rule) or rule in entered)
        }

    def _source(self, name: str) -> str:
        """Return the source for a centre: another centre with the whole block, else where it entered."""
        whole = self._whole()
        for other in dict.fromkeys([*self.placed, *sorted(whole)]):
            if other != name and other in whole and self.wanted.is_readable(other):
                return whole[other]
        if self.wanted.onsite:
            return self.wanted.onsite if self.wanted.onsite in {*self.standing, *self.made} else ""
        return self.wanted.source if self.wanted.is_readable(centre_of(self.wanted.source)) else ""

    def _missing(self, name: str, want: WantedRule) -> list[Action]:
        """Make the missing rule of a centre, or return what it waits for."""
        expression, source = want.rse_expression, self._source(name)
        if not want.source:
            self.made.append(expression)
            return [self._action(Kind.MAKE, expression, why="holds the copy where the files entered")]
        if not self.wanted.is_writable(name):
            return [self._action(Kind.LATER, expression, source=source, why=self.wanted.centres[name].why)]
        feeding = self._feeding(name)
        if source in {"", self.wanted.source} and feeding:
            begun = self.placed[feeding].rse_expression
            if self._is_partly_there(begun):
                # Files that are stuck on the way to the first centre must not delay the second copy of the others.
                self.made.append(expression)
                why = f"{feeding} has all files but {self.standing[begun].locks.get('stuck', 0)}, which are stuck"
                return [self._action(Kind.MAKE, expression, source=begun, why=why)]
            why = f"waits for the copy at {feeding}, from which it is read"
            return [self._action(Kind.LATER, expression, source=begun, why=why)]
        if not source:
            return [self._action(Kind.LATER, expression, why="there is no copy that it can be read from")]
        self.made.append(expression)
        return [self._action(Kind.MAKE, expression, source=source, why="its time has come")]

    def _is_partly_there(self, expression: str) -> bool:
        """Whether a rule has copied all files but those that are stuck."""
        rule = self.standing.get(expression)
        return rule is not None and rule.has_stalled and rule.locks.get("ok", 0) > 0

    def _feeding(self, name: str) -> str:
        """Return the centre that is copying from where the block entered; empty if none."""
        for other, want in self.placed.items():
            expression = want.rse_expression
            asked = expression in {*self.standing, *self.made} and not self._is_ok(expression)
            if other != name and asked and self.wanted.is_writable(other) and self.wanted.is_readable(other):
                return other
        return ""

    def _redirected(self, name: str) -> list[Action]:
        """Give a rule another source if its own has gone."""
        expression = self.placed[name].rse_expression
        rule = self.standing[expression]
        centre = centre_of(rule.source)
        # Rucio drops the source of a rule that it repairs; the rule then reads from anywhere.
        if rule.state is RuleState.OK or not rule.source or centre == name:
            return []
        if rule.source == self.wanted.onsite:
            gone = self.wanted.onsite not in {*self.standing, *self.made}
            why = "the copy on site has been released"
        elif rule.has_stalled and self._is_partly_there(rule.source):
            # It has copied all that its source has; the rest may still be sound where the files entered.
            gone, why = True, f"{centre} lacks files that may be sound where they entered"
        else:
            known = self.wanted.centres.get(centre)
            gone = rule.source not in {*self.standing, self.wanted.source} or (known is not None and known.is_lost)
            why = known.why if known is not None and known.is_lost else f"{centre} has no copy any more"
        source = self._source(name)
        if gone and source and source != rule.source:
            return [self._action(Kind.REDIRECT, expression, source=source, why=why)]
        newer = next((other for other in self.standing.values() if _is_news(other, rule)), None)
        if newer is not None and rule.has_stalled:
            why = f"{centre_of(newer.rse_expression)} has everything since then"
            return [self._action(Kind.RETRY, expression, source=rule.source, why=why)]
        return []

    def _unplaced(self, number: int) -> Action:
        """Report that there are fewer centres than copies."""
        others = [centre for name, centre in self.wanted.centres.items() if name not in self.placed]
        away = [centre.why for centre in others if centre.why]
        shut = [centre.name for centre in others if not centre.why and centre.name in self.wanted.shut]
        reasons = [*away, *([f"{', '.join(shut)} {'takes' if len(shut) == 1 else 'take'} nothing new"] if shut else [])]
        reasons += [self.wanted.lacks] if self.wanted.lacks else []
        why = (
            f"only {number} of {self.wanted.copies} centres can keep it: {'; '.join(reasons) or 'there are no others'}"
        )
        return self._action(Kind.LATER, "", why=why)

    def _spare(self, expression: str, *, is_complete: bool) -> Action:
        """End a rule that is not needed any more, or keep it until all copies are there."""
        centre = self.wanted.centres.get(centre_of(expression))
        because = f" ({centre.why})" if centre is not None and centre.why else ""
        if is_complete:
            return self._action(Kind.END, expression, why=f"{', '.join(self.placed)} keep it{because}")
        return self._action(Kind.KEEP, expression, why=f"until {', '.join(self.placed)} have it{because}")


def _is_news(other: Rule, rule: Rule) -> bool:
    """Whether a centre completed its copy after the last try of a rule."""
    is_whole = other.state is RuleState.OK and centre_of(other.rse_expression) != ""
    return is_whole and other.updated is not None and rule.updated is not None and other.updated > rule.updated
