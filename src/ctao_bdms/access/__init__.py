"""Finding products and fetching them."""

from ctao_bdms.access.locate import Copies, Copy, locate, ranked
from ctao_bdms.access.query import Products, query
from ctao_bdms.access.retrieve import Fetched, FetchedFiles, Fetching, retrieve
from ctao_bdms.access.words import WORDS, conditions, parse_words

__all__ = [
    "Copies",
    "Copy",
    "Fetched",
    "FetchedFiles",
    "Fetching",
    "Products",
    "WORDS",
    "conditions",
    "locate",
    "parse_words",
    "query",
    "ranked",
    "retrieve",
]
