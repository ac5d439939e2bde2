"""What to do with a file, and doing it."""

from ctao_bdms.ingest.batches import Batches
from ctao_bdms.ingest.blocks import BlockLimits, BlockPolicy, OpenBlock
from ctao_bdms.ingest.cases import Case, Cases
from ctao_bdms.ingest.describe import Described, describe
from ctao_bdms.ingest.execute import execute
from ctao_bdms.ingest.inbox import TRIGGER_SUFFIX, LocalFile, survey
from ctao_bdms.ingest.pace import BatchSize
from ctao_bdms.ingest.plan import Plan, PlannedBlock, Reject, plan
from ctao_bdms.ingest.quarantine import Quarantine
from ctao_bdms.ingest.read import read_all
from ctao_bdms.ingest.registrar import Registrar
from ctao_bdms.ingest.release import ACCEPTABLE, Deed, accepted, release, require_acceptable
from ctao_bdms.ingest.report import IngestReport, Outcome, Status

__all__ = [
    "ACCEPTABLE",
    "BatchSize",
    "Batches",
    "BlockLimits",
    "BlockPolicy",
    "Case",
    "Cases",
    "Deed",
    "Described",
    "IngestReport",
    "LocalFile",
    "OpenBlock",
    "Outcome",
    "Plan",
    "PlannedBlock",
    "Quarantine",
    "Registrar",
    "Reject",
    "Status",
    "TRIGGER_SUFFIX",
    "accepted",
    "describe",
    "execute",
    "plan",
    "read_all",
    "release",
    "require_acceptable",
    "survey",
]
