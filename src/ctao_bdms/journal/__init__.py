"""The journal of the ingestion: how far each file is, durable, in one file on a disk of this machine."""

from ctao_bdms.journal.journal import Journal, Observed
from ctao_bdms.journal.observing import NO_FILE
from ctao_bdms.journal.reader import LONGEST_WAIT_S, JournalReader
from ctao_bdms.journal.report import Happening, JournalEntries, JournalEvents, happenings
from ctao_bdms.journal.values import Entry, Event, FileState, Order, Rejected, Scanned, Tally, Waiting

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
    "Tally",
    "Waiting",
    "happenings",
]
