"""Night reports: the files of a night, by storage, archive, quarantine and journal."""

from ctao_bdms.nights.gather import gather_report
from ctao_bdms.nights.report import Gap, NightReport
from ctao_bdms.nights.track import Tracked, TrackedCopies, track, track_blocks
from ctao_bdms.nights.values import FileStage, Lag, NightFile, Span, StreamTally

__all__ = [
    "Gap",
    "Lag",
    "NightFile",
    "NightReport",
    "Span",
    "FileStage",
    "StreamTally",
    "Tracked",
    "TrackedCopies",
    "gather_report",
    "track",
    "track_blocks",
]
