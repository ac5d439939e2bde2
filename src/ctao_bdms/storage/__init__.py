"""Read and write bytes on storage elements, by path, HTTP or XRootD."""

from ctao_bdms.storage.placing import lies_there, open_sink, place_file
from ctao_bdms.storage.sinks import Claim, FileSink, Sink
from ctao_bdms.storage.sources import Sources
from ctao_bdms.storage.webdav import Patience

__all__ = [
    "Claim",
    "FileSink",
    "Patience",
    "Sink",
    "Sources",
    "lies_there",
    "open_sink",
    "place_file",
]
