"""Policy, placement, and the replication rules of blocks."""

from ctao_bdms.replication.centres import PATIENCE, Centre, Centres, centres_by_name, counted_on
from ctao_bdms.replication.copy_causes import CopyCause
from ctao_bdms.replication.difference import Action, Difference
from ctao_bdms.replication.explain import Explanation, Explanations
from ctao_bdms.replication.follow import Follower
from ctao_bdms.replication.lost import mark_centre
from ctao_bdms.replication.placement import place
from ctao_bdms.replication.policy import Policy
from ctao_bdms.replication.reconcile import Replication
from ctao_bdms.replication.requirements import Requirements
from ctao_bdms.replication.rules import WantedRule, centre_of, wanted_rules
from ctao_bdms.replication.states import BlockState, BlockStates
from ctao_bdms.replication.terms import CentreTerms, PlacementTerms, ProductEntry, Retention

__all__ = [
    "Action",
    "BlockState",
    "BlockStates",
    "Centre",
    "CentreTerms",
    "Centres",
    "CopyCause",
    "Difference",
    "Explanation",
    "Explanations",
    "Follower",
    "PATIENCE",
    "PlacementTerms",
    "Policy",
    "ProductEntry",
    "Replication",
    "Requirements",
    "Retention",
    "WantedRule",
    "centre_of",
    "centres_by_name",
    "counted_on",
    "mark_centre",
    "place",
    "wanted_rules",
]
