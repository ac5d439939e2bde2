"""The journal: the durable state of each file, in a local database."""

from ctao_bdms.journal.journal import Journal
from ctao_bdms.journal.reader import JournalReader
from ctao_bdms.journal.report import FileEvent, JournalEntries, JournalEvents, file_events
from ctao_bdms.journal.values import Entry, FileState, Order, Rejected, Scanned, Tally, Waiting

__all__ = [
    "Entry",
    "FileEvent",
    "FileState",
    "Journal",
    "JournalEntries",
    "JournalEvents",
    "JournalReader",
    "Order",
    "Rejected",
    "Scanned",
    "Tally",
    "Waiting",
    "file_events",
]
