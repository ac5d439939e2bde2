"""Value types without I/O, from attrs and the standard library only."""

from ctao_bdms.model.activities import ACTIVITIES, DEFAULT_ACTIVITY
from ctao_bdms.model.archive import (
    ArchivedFile,
    Block,
    FirstRule,
    Product,
    Registration,
    Replica,
    ReplicaState,
    Rse,
    Rule,
    RuleState,
)
from ctao_bdms.model.defects import Defect, DefectKind
from ctao_bdms.model.facts import FileFacts, Flag, HduFacts, Keyword, SumStatus, Verdict
from ctao_bdms.model.identifiers import Did, Lfn
from ctao_bdms.model.levels import Category, DataAssociation, DataDivision, DataLevel, RetentionClass
from ctao_bdms.model.metadata import METADATA, MetadataKey, ProductMetadata, Value, ValueType, metadata_key
from ctao_bdms.model.new_products import NewProduct
from ctao_bdms.model.night import Night
from ctao_bdms.model.observations import Creator, ObservationId
from ctao_bdms.model.particles import Particle
from ctao_bdms.model.plausible import implausibilities
from ctao_bdms.model.plugin_filters import Cone, ValidAt
from ctao_bdms.model.products import DataType, ProductType, Release
from ctao_bdms.model.sites import ArrayElement, ElementKind, Site, Subarray
from ctao_bdms.model.transfers import Attempt

__all__ = [
    "ACTIVITIES",
    "DEFAULT_ACTIVITY",
    "ArchivedFile",
    "ArrayElement",
    "Attempt",
    "Block",
    "Category",
    "Cone",
    "Creator",
    "DataAssociation",
    "DataDivision",
    "DataLevel",
    "DataType",
    "Defect",
    "DefectKind",
    "Did",
    "ElementKind",
    "FileFacts",
    "FirstRule",
    "Flag",
    "HduFacts",
    "implausibilities",
    "Keyword",
    "Lfn",
    "METADATA",
    "metadata_key",
    "MetadataKey",
    "NewProduct",
    "Night",
    "ObservationId",
    "Particle",
    "Product",
    "ProductMetadata",
    "ProductType",
    "Registration",
    "Release",
    "Replica",
    "ReplicaState",
    "RetentionClass",
    "Rse",
    "Rule",
    "RuleState",
    "Site",
    "Subarray",
    "SumStatus",
    "ValidAt",
    "Value",
    "ValueType",
    "Verdict",
]
