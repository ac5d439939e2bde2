"""The ingestion daemon: its settings, what it shows of itself, and what is needed to deploy it."""

from __future__ import annotations

from ctao_bdms.daemon.settings import Settings
from ctao_bdms.daemon.sources import settings_from

__all__ = ["Settings", "settings_from"]
