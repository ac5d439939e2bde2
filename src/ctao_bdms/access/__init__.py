"""Finding products and fetching them."""

from ctao_bdms.access.copies import CopiesCondition, centres_of
from ctao_bdms.access.locate import Copies, Copy, locate, ranked
from ctao_bdms.access.query import FindCopies, Products, Question, query, question
from ctao_bdms.access.releases import latest, newest
from ctao_bdms.access.retrieve import Fetched, FetchedFiles, Fetching, retrieve
from ctao_bdms.access.texts import parse_words
from ctao_bdms.access.words import SPECIAL, WORDS, Range, alternatives, conditions, orders

__all__ = [
    "Copies",
    "CopiesCondition",
    "Copy",
    "Fetched",
    "FetchedFiles",
    "Fetching",
    "FindCopies",
    "Products",
    "Question",
    "Range",
    "SPECIAL",
    "WORDS",
    "alternatives",
    "centres_of",
    "conditions",
    "latest",
    "locate",
    "newest",
    "orders",
    "parse_words",
    "query",
    "question",
    "ranked",
    "retrieve",
]
