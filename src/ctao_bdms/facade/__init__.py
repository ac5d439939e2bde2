"""The archive in one object: what pipelines, notebooks and the command line use."""

from ctao_bdms.facade.bdms import Bdms
from ctao_bdms.facade.block_verbs import BlockVerbs
from ctao_bdms.facade.connecting import connect
from ctao_bdms.facade.night_verbs import NightVerbs
from ctao_bdms.facade.quarantine_verbs import QuarantineVerbs
from ctao_bdms.facade.rule_verbs import RuleVerbs

__all__ = ["Bdms", "BlockVerbs", "NightVerbs", "QuarantineVerbs", "RuleVerbs", "connect"]
