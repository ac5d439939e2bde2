"""Scan files in separate processes, so that a crash harms no other scan."""

from ctao_bdms.workers.nodes import scans_on_nodes
from ctao_bdms.workers.pool import WorkerPool
from ctao_bdms.workers.scans import Scans, TimeLimit

__all__ = [
    "Scans",
    "TimeLimit",
    "WorkerPool",
    "scans_on_nodes",
]
