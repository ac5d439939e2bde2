"""The ingestion daemon, which takes files into the archive night after night."""

from __future__ import annotations

from ctao_bdms.daemon.backoff import Backoff, Circuits, Ticket
from ctao_bdms.daemon.holder import Holder
from ctao_bdms.daemon.lease import Lease
from ctao_bdms.daemon.settings import Settings
from ctao_bdms.daemon.sources import settings_from

__all__ = ["Backoff", "Circuits", "Holder", "Lease", "Settings", "Ticket", "settings_from"]
