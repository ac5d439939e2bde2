"""Where copies belong, and the rules that bring them there."""

from ctao_bdms.replication.follow import Follower
from ctao_bdms.replication.placement import centres_for, shares_of
from ctao_bdms.replication.reconcile import BlockState, BlockStates, Replicating, begin, look, placement_of, reconcile
from ctao_bdms.replication.retention import RETENTIONS, Retention
from ctao_bdms.replication.rules import WantedRule, missing_rules, wanted_rules

__all__ = [
    "BlockState",
    "BlockStates",
    "Follower",
    "RETENTIONS",
    "Replicating",
    "Retention",
    "WantedRule",
    "begin",
    "centres_for",
    "look",
    "missing_rules",
    "placement_of",
    "reconcile",
    "shares_of",
    "wanted_rules",
]
