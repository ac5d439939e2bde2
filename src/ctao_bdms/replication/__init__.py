"""Where copies belong, and the rules that bring them there."""

from ctao_bdms.replication.follow import Follower
from ctao_bdms.replication.placement import centres_for, full_centres, place, shares_of, tape_centres
from ctao_bdms.replication.policy import CentreTerms, PlacementTerms, Policy, ProductEntry, Retention
from ctao_bdms.replication.reconcile import BlockState, BlockStates, Replicating, begin, look, placement_of, reconcile
from ctao_bdms.replication.rules import WantedRule, centre_of, centres_held, missing_rules, wanted_rules

__all__ = [
    "BlockState",
    "BlockStates",
    "CentreTerms",
    "Follower",
    "PlacementTerms",
    "Policy",
    "ProductEntry",
    "Replicating",
    "Retention",
    "WantedRule",
    "begin",
    "centres_for",
    "full_centres",
    "place",
    "tape_centres",
    "centre_of",
    "centres_held",
    "look",
    "missing_rules",
    "placement_of",
    "reconcile",
    "shares_of",
    "wanted_rules",
]
