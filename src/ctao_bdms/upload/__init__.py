"""Put products of jobs and users into the archive: name, check, upload, register."""

from ctao_bdms.upload.describe import LENIENT
from ctao_bdms.upload.kept_for import KeptFor, retention_class
from ctao_bdms.upload.put import Put
from ctao_bdms.upload.report import PutReport

__all__ = [
    "KeptFor",
    "LENIENT",
    "Put",
    "PutReport",
    "retention_class",
]
