"""The ingestion daemon: archive new files of a site continuously."""

from ctao_bdms.daemon.backoff import Backoff, Circuits, Ticket
from ctao_bdms.daemon.holder import Holder
from ctao_bdms.daemon.lease import Lease

__all__ = [
    "Backoff",
    "Circuits",
    "Holder",
    "Lease",
    "Ticket",
]
