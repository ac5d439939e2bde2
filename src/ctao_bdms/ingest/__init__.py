"""Ingest files: describe and check them, plan, register, quarantine, retry."""

from ctao_bdms.ingest.batches import Batches
from ctao_bdms.ingest.carry_out import FIRST_BATCH, carry_out
from ctao_bdms.ingest.checks import CheckPolicy, Severity
from ctao_bdms.ingest.describe import Described
from ctao_bdms.ingest.onsite_storage import onsite_rse, quarantine_of
from ctao_bdms.ingest.open_blocks import BlockLimits, BlockPolicy
from ctao_bdms.ingest.plan import Plan, plan
from ctao_bdms.ingest.read import read_all
from ctao_bdms.ingest.registrar import Registrar
from ctao_bdms.ingest.report import IngestReport, Outcome, Status
from ctao_bdms.ingest.retry import accept, retry
from ctao_bdms.ingest.sidecar import DIGEST_SUFFIXES
from ctao_bdms.ingest.site_ingest import SiteIngest

__all__ = [
    "Batches",
    "BlockLimits",
    "BlockPolicy",
    "CheckPolicy",
    "DIGEST_SUFFIXES",
    "Described",
    "FIRST_BATCH",
    "IngestReport",
    "Outcome",
    "Plan",
    "Registrar",
    "Severity",
    "SiteIngest",
    "Status",
    "accept",
    "carry_out",
    "onsite_rse",
    "plan",
    "quarantine_of",
    "read_all",
    "retry",
]
