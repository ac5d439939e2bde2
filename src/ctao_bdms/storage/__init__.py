"""Read and write bytes on storage elements, by path, HTTP or XRootD."""

from ctao_bdms.storage.placing import lies_there, open_sink, place_file
from ctao_bdms.storage.sinks import Claim, FileSink, PartialFile, Sink, temporary_prefix
from ctao_bdms.storage.sources import Source, Sources
from ctao_bdms.storage.webdav import Patience, WebDavSink

__all__ = [
    "Claim",
    "FileSink",
    "PartialFile",
    "Patience",
    "Sink",
    "Source",
    "Sources",
    "WebDavSink",
    "lies_there",
    "open_sink",
    "place_file",
    "temporary_prefix",
]
