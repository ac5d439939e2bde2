"""Night reports: the files of a night, by storage, archive, quarantine and journal."""

from ctao_bdms.nights.gather import gather_report
from ctao_bdms.nights.report import Gap, NightReport, gaps
from ctao_bdms.nights.track import Tracked, TrackedCopies, track, track_blocks, track_file
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
    "gaps",
    "gather_report",
    "track",
    "track_blocks",
    "track_file",
]
