"""What the archive can be asked: a port, an archive in memory, and Rucio."""

from ctao_bdms.catalogue.conditions import Comparison, Condition
from ctao_bdms.catalogue.memory import InMemoryCatalogue
from ctao_bdms.catalogue.port import (
    AnnotationCatalogue,
    BadReplicaCatalogue,
    BlockCatalogue,
    Catalogue,
    ContentCatalogue,
    FileCatalogue,
    LostStorageCatalogue,
    ProductCatalogue,
    RegistrationCatalogue,
    RuleAddingCatalogue,
    RuleCatalogue,
    RuleChangingCatalogue,
    RuleEndingCatalogue,
    StorageCatalogue,
    TransferCatalogue,
)
from ctao_bdms.catalogue.query import Group, Query, SortKey

__all__ = [
    "RuleAddingCatalogue",
    "AnnotationCatalogue",
    "Catalogue",
    "RuleChangingCatalogue",
    "Comparison",
    "Condition",
    "BadReplicaCatalogue",
    "RuleEndingCatalogue",
    "ProductCatalogue",
    "BlockCatalogue",
    "ContentCatalogue",
    "RuleCatalogue",
    "TransferCatalogue",
    "Group",
    "InMemoryCatalogue",
    "StorageCatalogue",
    "FileCatalogue",
    "LostStorageCatalogue",
    "Query",
    "RegistrationCatalogue",
    "SortKey",
]
