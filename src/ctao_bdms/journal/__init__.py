"""The journal: the durable state of each file, in a local database."""

from ctao_bdms.journal.journal import Journal, Observed
from ctao_bdms.journal.observing import NO_FILE
from ctao_bdms.journal.reader import LONGEST_WAIT_S, JournalReader
from ctao_bdms.journal.report import FileEvent, JournalEntries, JournalEvents, file_events
from ctao_bdms.journal.values import Entry, Event, FileState, Order, Rejected, Scanned, Tally, Waiting

__all__ = [
    "Entry",
    "Event",
    "FileEvent",
    "FileState",
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
    "file_events",
]
