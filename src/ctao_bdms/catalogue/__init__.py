"""What the archive can be asked: a port, an archive in memory, and Rucio."""

from ctao_bdms.catalogue.conditions import Comparison, Condition
from ctao_bdms.catalogue.memory import InMemoryCatalogue
from ctao_bdms.catalogue.port import (
    AddRules,
    Annotate,
    Catalogue,
    ChangeRules,
    DeclareBad,
    EndRules,
    Find,
    FindBlocks,
    FindContent,
    FindRules,
    FindTransfers,
    KnowStorage,
    Lookup,
    MarkStorage,
    Register,
)
from ctao_bdms.catalogue.query import Group, Query, SortKey

__all__ = [
    "AddRules",
    "Annotate",
    "Catalogue",
    "ChangeRules",
    "Comparison",
    "Condition",
    "DeclareBad",
    "EndRules",
    "Find",
    "FindBlocks",
    "FindContent",
    "FindRules",
    "FindTransfers",
    "Group",
    "InMemoryCatalogue",
    "KnowStorage",
    "Lookup",
    "MarkStorage",
    "Query",
    "Register",
    "SortKey",
]
