"""The journal: the durable state of each file, in a local database."""

from ctao_bdms.journal.journal import Journal
from ctao_bdms.journal.reader import JournalReader
from ctao_bdms.journal.records import Entry, FileState, Order, Rejected, Scanned, Tally, Waiting
from ctao_bdms.journal.tables import FileEvent, JournalEntries, JournalEvents, file_events

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
