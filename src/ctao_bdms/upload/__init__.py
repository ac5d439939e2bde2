"""How products of jobs and users enter: named by the data model, checked, uploaded, registered."""

from ctao_bdms.upload.deliver import ABANDONED_AFTER_S, deliver
from ctao_bdms.upload.describe import LENIENT, describe_product
from ctao_bdms.upload.report import PutReport
from ctao_bdms.upload.sinks import FileSink, Part, Sink, temporary_prefix
from ctao_bdms.upload.targets import chosen_rse, open_sink
from ctao_bdms.upload.walk import Put, find_files, read_products
from ctao_bdms.upload.webdav import WebDavSink

__all__ = [
    "ABANDONED_AFTER_S",
    "FileSink",
    "LENIENT",
    "Part",
    "Put",
    "PutReport",
    "Sink",
    "WebDavSink",
    "chosen_rse",
    "deliver",
    "describe_product",
    "find_files",
    "open_sink",
    "read_products",
    "temporary_prefix",
]
