"""Query products, and fetch their files."""

from ctao_bdms.access.fetched import ByteProgress, Fault, Fetched, FetchedFiles, Fetching, Progress, Trouble
from ctao_bdms.access.health import Health
from ctao_bdms.access.locate import Copies, Copy, locate
from ctao_bdms.access.names import Names, names_of, names_to_fetch
from ctao_bdms.access.opening import open_file
from ctao_bdms.access.query import Products, build_query, query
from ctao_bdms.access.query_text import parse_query
from ctao_bdms.access.query_words import QUERY_WORDS, SPECIAL_WORDS, Range
from ctao_bdms.access.retrieve import retrieve

__all__ = [
    "ByteProgress",
    "Copies",
    "Copy",
    "Fault",
    "Fetched",
    "FetchedFiles",
    "Fetching",
    "Products",
    "Range",
    "SPECIAL_WORDS",
    "Health",
    "Names",
    "Progress",
    "Trouble",
    "QUERY_WORDS",
    "locate",
    "names_of",
    "names_to_fetch",
    "open_file",
    "parse_query",
    "query",
    "build_query",
    "retrieve",
]
