"""The archive in one object: what pipelines, notebooks and the command line use."""

from ctao_bdms.archive.bdms import Bdms
from ctao_bdms.archive.block_verbs import BlockVerbs
from ctao_bdms.archive.connecting import connect
from ctao_bdms.archive.night_verbs import NightVerbs
from ctao_bdms.archive.quarantine_verbs import QuarantineVerbs
from ctao_bdms.archive.rule_verbs import RuleVerbs

__all__ = [
    "Bdms",
    "BlockVerbs",
    "NightVerbs",
    "QuarantineVerbs",
    "RuleVerbs",
    "connect",
]
