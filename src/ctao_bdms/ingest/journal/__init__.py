"""The journal of the ingestion: how far each file is, durable, in one file on a disk of this machine."""

from ctao_bdms.ingest.journal.journal import Journal, Observed
from ctao_bdms.ingest.journal.observing import NO_FILE
from ctao_bdms.ingest.journal.reader import LONGEST_WAIT_S, JournalReader
from ctao_bdms.ingest.journal.report import Happening, JournalEntries, JournalEvents, happenings
from ctao_bdms.ingest.journal.values import (
    Entry,
    Event,
    FileState,
    Order,
    Rejected,
    Scanned,
    Tally,
    Waiting,
)
from ctao_bdms.ingest.sightings import Sighting
from ctao_bdms.ingest.stamps import Stamp

__all__ = [
    "Entry",
    "Event",
    "FileState",
    "Happening",
    "Journal",
    "JournalEntries",
    "JournalEvents",
    "JournalReader",
    "LONGEST_WAIT_S",
    "NO_FILE",
    "Observed",
    "Order",
    "Rejected",
    "Scanned",
    "Sighting",
    "Stamp",
    "Tally",
    "Waiting",
    "happenings",
]
