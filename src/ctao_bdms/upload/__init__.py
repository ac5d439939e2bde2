"""Put products of jobs and users into the archive: name, check, upload, register."""

from ctao_bdms.upload.deliver import ABANDONED_AFTER_S, deliver
from ctao_bdms.upload.describe import LENIENT, describe_product
from ctao_bdms.upload.kept_for import KeptFor, retention_class
from ctao_bdms.upload.put import Put, find_files, read_products
from ctao_bdms.upload.report import PutReport
from ctao_bdms.upload.targets import chosen_rse

__all__ = [
    "ABANDONED_AFTER_S",
    "KeptFor",
    "LENIENT",
    "Put",
    "PutReport",
    "chosen_rse",
    "deliver",
    "describe_product",
    "find_files",
    "read_products",
    "retention_class",
]
