"""What to do with a file, and doing it."""

from ctao_bdms.ingest.batches import Batches, BatchSize
from ctao_bdms.ingest.blocks import BlockLimits, BlockPolicy, OpenBlock
from ctao_bdms.ingest.carry_out import FIRST_BATCH, carry_out
from ctao_bdms.ingest.cases import Case, Cases
from ctao_bdms.ingest.checks import CheckPolicy, Severity
from ctao_bdms.ingest.deeds import Deed
from ctao_bdms.ingest.describe import Described, describe
from ctao_bdms.ingest.execute import execute
from ctao_bdms.ingest.inbox import LocalFile, survey
from ctao_bdms.ingest.onsite_storage import onsite_rse, quarantine_of
from ctao_bdms.ingest.plan import Plan, PlannedBlock, Reject, plan
from ctao_bdms.ingest.quarantine import Quarantine
from ctao_bdms.ingest.read import read_all
from ctao_bdms.ingest.registrar import Registrar
from ctao_bdms.ingest.release import ACCEPTABLE, release
from ctao_bdms.ingest.report import IngestReport, Outcome, Status
from ctao_bdms.ingest.retry import accept, retry
from ctao_bdms.ingest.sidecar import DIGEST_SUFFIXES, Statement, disagreements, read_statement
from ctao_bdms.ingest.sightings import Notice, Poll
from ctao_bdms.ingest.site_ingest import SiteIngest
from ctao_bdms.ingest.triggers import TRIGGER_SUFFIX
from ctao_bdms.ingest.watch import Watch

__all__ = [
    "ACCEPTABLE",
    "BatchSize",
    "Batches",
    "BlockLimits",
    "BlockPolicy",
    "Case",
    "Cases",
    "Deed",
    "CheckPolicy",
    "DIGEST_SUFFIXES",
    "Described",
    "FIRST_BATCH",
    "IngestReport",
    "LocalFile",
    "Notice",
    "OpenBlock",
    "Outcome",
    "Plan",
    "PlannedBlock",
    "Poll",
    "Quarantine",
    "Registrar",
    "Reject",
    "SiteIngest",
    "Statement",
    "Severity",
    "Status",
    "TRIGGER_SUFFIX",
    "Watch",
    "accept",
    "carry_out",
    "describe",
    "disagreements",
    "execute",
    "onsite_rse",
    "plan",
    "quarantine_of",
    "read_all",
    "read_statement",
    "release",
    "retry",
    "survey",
]
