"""Query products, and fetch their files."""

from ctao_bdms.access.copies import CopiesCondition, readable_centres
from ctao_bdms.access.declare import DeclareCatalogue, declare
from ctao_bdms.access.fetched import ByteProgress, Fault, Fetched, FetchedFiles, Fetching, Progress, Trouble
from ctao_bdms.access.health import Health
from ctao_bdms.access.locate import Copies, Copy, locate, ranked
from ctao_bdms.access.names import Names, names_of, names_to_fetch
from ctao_bdms.access.opening import open_file
from ctao_bdms.access.query import Products, Query, QueryCatalogue, build_query, latest, newest, query
from ctao_bdms.access.query_text import parse_query
from ctao_bdms.access.query_words import QUERY_WORDS, SPECIAL_WORDS, Range, alternatives, conditions, orders
from ctao_bdms.access.retrieve import retrieve

__all__ = [
    "ByteProgress",
    "Copies",
    "CopiesCondition",
    "Copy",
    "Fault",
    "Fetched",
    "FetchedFiles",
    "Fetching",
    "QueryCatalogue",
    "Products",
    "Query",
    "Range",
    "SPECIAL_WORDS",
    "Health",
    "DeclareCatalogue",
    "Names",
    "Progress",
    "Trouble",
    "QUERY_WORDS",
    "alternatives",
    "readable_centres",
    "conditions",
    "latest",
    "locate",
    "names_of",
    "names_to_fetch",
    "newest",
    "orders",
    "declare",
    "open_file",
    "parse_query",
    "query",
    "build_query",
    "ranked",
    "retrieve",
]
