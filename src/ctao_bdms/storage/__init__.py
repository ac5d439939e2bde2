"""How bytes are read where they lie, and written: by path, by HTTP, by XRootD."""

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
