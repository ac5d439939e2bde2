"""Where copies belong, and the rules that bring them there."""

from ctao_bdms.replication.causes import CAUSES, CauseRow, CopyCause, cause_of_text
from ctao_bdms.replication.centres import PATIENCE, Centre, Centres, centres_of, counted_on
from ctao_bdms.replication.copied import copied
from ctao_bdms.replication.difference import Action, Difference, Kind, Wanted, difference
from ctao_bdms.replication.explain import Explaining, Explanation, Explanations, explain
from ctao_bdms.replication.follow import Follower
from ctao_bdms.replication.lost import mark_centre
from ctao_bdms.replication.placement import centres_for, full_centres, place, shares_of, tape_centres
from ctao_bdms.replication.policy import Policy
from ctao_bdms.replication.reconcile import (
    Looking,
    Replicating,
    begin,
    compare,
    look,
    placed_now,
    placement_of,
    reconcile,
)
from ctao_bdms.replication.rules import WantedRule, centre_of, centres_held, wanted_rules
from ctao_bdms.replication.states import BlockState, BlockStates
from ctao_bdms.replication.terms import CentreTerms, PlacementTerms, ProductEntry, Retention

__all__ = [
    "Action",
    "BlockState",
    "BlockStates",
    "CAUSES",
    "CopyCause",
    "CauseRow",
    "Centre",
    "CentreTerms",
    "Centres",
    "Difference",
    "Explaining",
    "Explanation",
    "Explanations",
    "Follower",
    "Kind",
    "Looking",
    "PATIENCE",
    "PlacementTerms",
    "Policy",
    "ProductEntry",
    "Replicating",
    "Retention",
    "Wanted",
    "WantedRule",
    "begin",
    "cause_of_text",
    "centre_of",
    "centres_for",
    "centres_held",
    "centres_of",
    "compare",
    "copied",
    "counted_on",
    "difference",
    "explain",
    "full_centres",
    "look",
    "mark_centre",
    "place",
    "placed_now",
    "placement_of",
    "reconcile",
    "shares_of",
    "tape_centres",
    "wanted_rules",
]
