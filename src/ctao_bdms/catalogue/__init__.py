"""What the archive can be asked: a port, an archive in memory, and Rucio."""

from ctao_bdms.catalogue.memory import InMemoryCatalogue
from ctao_bdms.catalogue.port import (
    AddRules,
    Catalogue,
    DeclareBad,
    Find,
    FindBlocks,
    FindContent,
    FindRules,
    KnowStorage,
    Lookup,
    Register,
)
from ctao_bdms.catalogue.query import Comparison, Condition, Query

__all__ = [
    "AddRules",
    "Catalogue",
    "Comparison",
    "Condition",
    "DeclareBad",
    "Find",
    "FindBlocks",
    "FindContent",
    "FindRules",
    "InMemoryCatalogue",
    "KnowStorage",
    "Lookup",
    "Query",
    "Register",
]
