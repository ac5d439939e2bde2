"""Interfaces of the daemon for operators: HTTP, metrics, logs, systemd."""

from ctao_bdms.daemon.face.http import StatusServer
from ctao_bdms.daemon.face.logs import configure, log_context
from ctao_bdms.daemon.face.metrics import CONTENT_TYPE, Metrics
from ctao_bdms.daemon.face.notify import Notifier

__all__ = [
    "CONTENT_TYPE",
    "Metrics",
    "Notifier",
    "StatusServer",
    "configure",
    "log_context",
]
