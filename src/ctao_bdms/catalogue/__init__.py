"""The catalogue: its protocols, an implementation in memory, and one on Rucio."""

from ctao_bdms.catalogue.conditions import Comparison, Condition
from ctao_bdms.catalogue.memory import InMemoryCatalogue
from ctao_bdms.catalogue.metadata_query import Group, MetadataQuery, SortKey
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
    "MetadataQuery",
    "RegistrationCatalogue",
    "SortKey",
]
