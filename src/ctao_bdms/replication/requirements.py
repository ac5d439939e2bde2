"""The rules that a block must have, from policy, storage elements and centres (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs

from ctao_bdms.blocks import onsite_of
from ctao_bdms.errors import UsageError
from ctao_bdms.model import RetentionClass, Rse, RuleState
from ctao_bdms.naming import BlockName
from ctao_bdms.replication.centres import Centre, counted_on
from ctao_bdms.replication.difference import Wanted
from ctao_bdms.replication.placement import place, shut_centres, tape_centres
from ctao_bdms.replication.policy import Policy
from ctao_bdms.replication.rules import centre_of, centres_held, wanted_rules

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ctao_bdms.model import Did, Night, Rule, Site

__all__ = ["Requirements"]


@attrs.frozen
class Requirements:
    """Policy, storage elements and centres, and what they require of blocks."""

    policy: Policy
    rses: Mapping[str, Rse]
    centres: Mapping[str, Centre]

    def wanted(self, did: Did, rules: Sequence[Rule]) -> Wanted:
        """Return the rules that a block must have, given those that it has."""
        name = BlockName.parse(did.name)
        terms = self.policy.retention(name.retention)
        try:
            onsite = "" if name.origin else onsite_of(self.rses, name.site).name
        except UsageError as error:
            return Wanted(rules=(), copies=terms.copies, centres=self.centres, lacks=str(error))
        able, placed = self._placed(name.retention, name.site, name.night, rules, name.origin)
        tape = tape_centres(self.rses.values())
        return Wanted(
            rules=wanted_rules(onsite, placed, terms, tape, origin=name.origin),
            copies=terms.copies,
            centres=self.centres,
            onsite=onsite,
            entered=f"centre={name.origin}" if name.origin else "",
            shut=shut_centres(self.policy, able, name.retention, name.night),
            lacks="a copy on tape needs a centre that has tape, and none can keep it"
            if terms.tape and not tape.intersection(placed)
            else "",
        )

    def placement(self, did: Did, rules: Sequence[Rule] = ()) -> tuple[str, ...]:
        """Return the centres that keep a block, the first receiver first.

        Parameters
        ----------
        rules
            The rules that it has: what a centre keeps already it goes on keeping.
        """
        name = BlockName.parse(did.name)
        return self._placed(name.retention, name.site, name.night, rules, name.origin)[1]

    def placement_of_night(self, site: Site, night: Night) -> tuple[str, ...]:
        """Return the centres that would keep permanent data of a night, placed now."""
        return self._placed(RetentionClass.PERMANENT, site, night, ())[1]

    def _placed(
        self, retention: RetentionClass, site: Site, night: Night, rules: Sequence[Rule], origin: str = ""
    ) -> tuple[tuple[Rse, ...], tuple[str, ...]]:
        """Return what can be counted on, and the centres that keep something: as many as can, if there are too few.

        Centres that are away, full or shut never keep the others from their copies; the difference says what is
        missing.
        """
        terms = self.policy.retention(retention)
        whole = {centre_of(rule.rse_expression) for rule in rules if rule.state is RuleState.OK}
        able = counted_on(self.rses.values(), self.centres, whole)
        known = dict.fromkeys([*([origin] if origin else []), *centres_held(rules, terms)])
        held = [c for c in known if c in whole or c not in self.centres or not self.centres[c].is_closed]
        less = [attrs.evolve(terms, copies=copies, tape=False) for copies in range(terms.copies, 0, -1)]
        for each in (terms, *less):
            lowered = attrs.evolve(self.policy, retentions={**self.policy.retentions, retention: each})
            try:
                return able, place(lowered, able, retention, site, night, held)
            except UsageError:
                continue
        return able, ()
