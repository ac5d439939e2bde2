"""The ingestion daemon, which takes files into the archive night after night."""

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
