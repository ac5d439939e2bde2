"""What to do with a file, and doing it."""

from ctao_bdms.ingest.checks import CheckPolicy, Severity
from ctao_bdms.ingest.describe import Described, describe
from ctao_bdms.ingest.execute import execute
from ctao_bdms.ingest.inbox import TRIGGER_SUFFIX, LocalFile, survey
from ctao_bdms.ingest.plan import BlockLimits, Plan, PlannedBlock, Reject, plan
from ctao_bdms.ingest.quarantine import Quarantine
from ctao_bdms.ingest.report import IngestReport, Outcome, Status

__all__ = [
    "BlockLimits",
    "CheckPolicy",
    "Described",
    "IngestReport",
    "LocalFile",
    "Outcome",
    "Plan",
    "PlannedBlock",
    "Quarantine",
    "Reject",
    "Severity",
    "Status",
    "TRIGGER_SUFFIX",
    "describe",
    "execute",
    "plan",
    "survey",
]
