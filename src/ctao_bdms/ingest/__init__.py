"""What to do with a file, and doing it."""

from ctao_bdms.ingest.describe import Described, describe
from ctao_bdms.ingest.execute import execute
from ctao_bdms.ingest.inbox import LocalFile, survey
from ctao_bdms.ingest.plan import BlockLimits, Plan, PlannedBlock, Reject, plan
from ctao_bdms.ingest.quarantine import Quarantine
from ctao_bdms.ingest.report import IngestReport, Outcome, Status
from ctao_bdms.ingest.sidecar import Statement, disagreements, read_statement
from ctao_bdms.ingest.sightings import Notice, Poll, Sighting, Stamp
from ctao_bdms.ingest.triggers import TRIGGER_SUFFIX
from ctao_bdms.ingest.watch import Watch

__all__ = [
    "BlockLimits",
    "Described",
    "IngestReport",
    "LocalFile",
    "Notice",
    "Outcome",
    "Plan",
    "PlannedBlock",
    "Poll",
    "Quarantine",
    "Reject",
    "Sighting",
    "Stamp",
    "Statement",
    "Status",
    "TRIGGER_SUFFIX",
    "Watch",
    "describe",
    "disagreements",
    "execute",
    "plan",
    "read_statement",
    "survey",
]
