"""Policy, placement, and the replication rules of blocks."""

from ctao_bdms.replication.causes import CAUSES, CauseRow, CopyCause, cause_of_text
from ctao_bdms.replication.centres import PATIENCE, Centre, Centres, centres_by_name, counted_on
from ctao_bdms.replication.difference import Action, Difference, Kind, Wanted, difference
from ctao_bdms.replication.explain import Explanation, Explanations
from ctao_bdms.replication.follow import Follower
from ctao_bdms.replication.lost import mark_centre
from ctao_bdms.replication.placement import centres_for, full_centres, place, shares_of, tape_centres
from ctao_bdms.replication.policy import Policy
from ctao_bdms.replication.reconcile import Replication, ReplicationCatalogue
from ctao_bdms.replication.requirements import Requirements
from ctao_bdms.replication.rules import WantedRule, centre_of, centres_held, wanted_rules
from ctao_bdms.replication.states import BlockState, BlockStates
from ctao_bdms.replication.terms import CentreTerms, PlacementTerms, ProductEntry, Retention

__all__ = [
    "Action",
    "BlockState",
    "BlockStates",
    "CAUSES",
    "CauseRow",
    "Centre",
    "CentreTerms",
    "Centres",
    "CopyCause",
    "Difference",
    "Explanation",
    "Explanations",
    "Follower",
    "Kind",
    "PATIENCE",
    "PlacementTerms",
    "Policy",
    "ProductEntry",
    "Replication",
    "ReplicationCatalogue",
    "Requirements",
    "Retention",
    "Wanted",
    "WantedRule",
    "cause_of_text",
    "centre_of",
    "centres_for",
    "centres_held",
    "centres_by_name",
    "counted_on",
    "difference",
    "full_centres",
    "mark_centre",
    "place",
    "shares_of",
    "tape_centres",
    "wanted_rules",
]
