"""Finding products and fetching them."""

from ctao_bdms.access.copies import CopiesCondition, centres_of
from ctao_bdms.access.declare import DeclareCatalogue, declare
from ctao_bdms.access.fetched import ByteProgress, Fault, Fetched, FetchedFiles, Fetching, Progress, Trouble
from ctao_bdms.access.health import Health
from ctao_bdms.access.locate import Copies, Copy, locate, ranked
from ctao_bdms.access.names import Names, names_of, names_to_fetch
from ctao_bdms.access.opening import open_file
from ctao_bdms.access.query import Products, QueryCatalogue, Question, latest, newest, query, question
from ctao_bdms.access.retrieve import retrieve
from ctao_bdms.access.texts import parse_words
from ctao_bdms.access.words import SPECIAL, WORDS, Range, alternatives, conditions, orders

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
    "Question",
    "Range",
    "SPECIAL",
    "Health",
    "DeclareCatalogue",
    "Names",
    "Progress",
    "Trouble",
    "WORDS",
    "alternatives",
    "centres_of",
    "conditions",
    "latest",
    "locate",
    "names_of",
    "names_to_fetch",
    "newest",
    "orders",
    "declare",
    "open_file",
    "parse_words",
    "query",
    "question",
    "ranked",
    "retrieve",
]
