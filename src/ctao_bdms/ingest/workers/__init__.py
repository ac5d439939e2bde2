"""Processes that read files, and die without harm to the others."""

from ctao_bdms.ingest.workers.pool import WorkerPool
from ctao_bdms.ingest.workers.scans import Scans, TimeLimit

__all__ = ["Scans", "TimeLimit", "WorkerPool"]
