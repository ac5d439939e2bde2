<<<<<<< HEAD
"""The ingestion daemon: its settings, what it shows of itself, and what is needed to deploy it."""

from __future__ import annotations

from ctao_bdms.daemon.settings import Settings
from ctao_bdms.daemon.sources import settings_from

__all__ = ["Settings", "settings_from"]
=======
"""The daemon on site, which takes files into the archive night after night."""

from ctao_bdms.daemon.backoff import Backoff, Circuits, Ticket
from ctao_bdms.daemon.lease import Holder, Lease

__all__ = ["Backoff", "Circuits", "Holder", "Lease", "Ticket"]
>>>>>>> s8/journal
