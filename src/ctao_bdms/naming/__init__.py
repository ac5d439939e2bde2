"""Compose and parse names (pure)."""

from ctao_bdms.naming.acada import AcadaName, Stream
from ctao_bdms.naming.acada_path import AcadaPath
from ctao_bdms.naming.blocks import (
    BlockName,
    BlockSeries,
    ManifestName,
    block_did,
    blocks_pattern,
    is_beside_tree,
    is_block,
    is_manifest,
)
from ctao_bdms.naming.dpps import DppsName
from ctao_bdms.naming.dpps_path import DppsPath
from ctao_bdms.naming.explain import Explained, NamePart, explain_name
from ctao_bdms.naming.lst import LstName
from ctao_bdms.naming.parse import OtherPath, is_dpps_name, read_lfn, read_name
from ctao_bdms.naming.places import lfn_of_path, lfn_of_pfn, path_of_lfn, path_of_pfn, pfn_path
from ctao_bdms.naming.simulation import SimulationNode
from ctao_bdms.naming.tree import DEFAULT_VO, ROOT_SCOPE, Directory, directories_of, scope_of
from ctao_bdms.naming.users import UserPath, user_scope, username_of

__all__ = [
    "AcadaName",
    "AcadaPath",
    "BlockName",
    "BlockSeries",
    "DEFAULT_VO",
    "Directory",
    "DppsName",
    "DppsPath",
    "Explained",
    "LstName",
    "ManifestName",
    "NamePart",
    "OtherPath",
    "ROOT_SCOPE",
    "SimulationNode",
    "Stream",
    "UserPath",
    "block_did",
    "blocks_pattern",
    "directories_of",
    "explain_name",
    "is_beside_tree",
    "is_block",
    "is_dpps_name",
    "is_manifest",
    "lfn_of_path",
    "lfn_of_pfn",
    "path_of_lfn",
    "path_of_pfn",
    "pfn_path",
    "read_lfn",
    "read_name",
    "scope_of",
    "user_scope",
    "username_of",
]
