"""Where copies belong, and the rules that bring them there."""

from ctao_bdms.replication.centres import PATIENCE, Centre, Centres, centres_of, choose
from ctao_bdms.replication.difference import Action, Difference, Kind, Wanted, difference
from ctao_bdms.replication.follow import Follower
from ctao_bdms.replication.placement import centres_for, shares_of
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
from ctao_bdms.replication.rules import WantedRule, wanted_rules
from ctao_bdms.replication.states import BlockState, BlockStates

__all__ = [
    "Action",
    "BlockState",
    "BlockStates",
    "Centre",
    "Centres",
    "Difference",
    "Follower",
    "Kind",
    "Looking",
    "PATIENCE",
    "Replicating",
    "Wanted",
    "WantedRule",
    "begin",
    "centres_for",
    "centres_of",
    "choose",
    "compare",
    "difference",
    "look",
    "placed_now",
    "placement_of",
    "reconcile",
    "shares_of",
    "wanted_rules",
]
