"""Finding products and fetching them."""

from ctao_bdms.access.declare import declare
from ctao_bdms.access.fetched import Fault, Fetched, FetchedFiles, Fetching, Progress, Trouble
from ctao_bdms.access.health import Health
from ctao_bdms.access.locate import Copies, Copy, locate, ranked
from ctao_bdms.access.opening import open_file
from ctao_bdms.access.query import Products, query
from ctao_bdms.access.retrieve import Holdings, retrieve
from ctao_bdms.access.sources import Source, Sources
from ctao_bdms.access.words import WORDS, conditions, parse_words

__all__ = [
    "Copies",
    "Copy",
    "Fault",
    "Fetched",
    "FetchedFiles",
    "Fetching",
    "Health",
    "Holdings",
    "Products",
    "Progress",
    "Source",
    "Sources",
    "Trouble",
    "WORDS",
    "conditions",
    "declare",
    "locate",
    "open_file",
    "parse_words",
    "query",
    "ranked",
    "retrieve",
]
