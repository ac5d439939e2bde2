"""What things are: values without I/O, from attrs and the standard library only."""

from ctao_bdms.model.archive import (
    ArchivedFile,
    Block,
    Product,
    Registration,
    Replica,
    ReplicaState,
    Rse,
    Rule,
    RuleState,
)
from ctao_bdms.model.defects import Defect, DefectKind
from ctao_bdms.model.facts import FileFacts, HduFacts, SumStatus, Verdict
from ctao_bdms.model.identifiers import Did, Lfn
from ctao_bdms.model.levels import Category, DataAssociation, DataDivision, DataLevel, RetentionClass
from ctao_bdms.model.metadata import METADATA, MetadataKey, ProductMetadata, Value, ValueType, metadata_key
from ctao_bdms.model.night import Night
from ctao_bdms.model.sites import ArrayElement, Site

__all__ = [
    "ArchivedFile",
    "ArrayElement",
    "Block",
    "Category",
    "DataAssociation",
    "DataDivision",
    "DataLevel",
    "Defect",
    "DefectKind",
    "Did",
    "FileFacts",
    "HduFacts",
    "Lfn",
    "METADATA",
    "MetadataKey",
    "Night",
    "Product",
    "ProductMetadata",
    "Registration",
    "Replica",
    "ReplicaState",
    "RetentionClass",
    "Rse",
    "Rule",
    "RuleState",
    "Site",
    "SumStatus",
    "Value",
    "ValueType",
    "Verdict",
    "metadata_key",
]
