"""What the archive can be asked: a port, an archive in memory, and Rucio."""

from ctao_bdms.catalogue.conditions import Comparison, Condition
from ctao_bdms.catalogue.memory import InMemoryCatalogue
from ctao_bdms.catalogue.port import AddRules, Catalogue, Find, FindBlocks, FindRules, KnowStorage, Lookup, Register
from ctao_bdms.catalogue.query import Group, Order, Query

__all__ = [
    "AddRules",
    "Catalogue",
    "Comparison",
    "Condition",
    "Find",
    "FindBlocks",
    "FindRules",
    "Group",
    "InMemoryCatalogue",
    "KnowStorage",
    "Lookup",
    "Order",
    "Query",
    "Register",
]
