"""How names are made and read: pure functions over values."""

from ctao_bdms.naming.acada import AcadaName, AcadaPath, Stream
from ctao_bdms.naming.blocks import BlockName, blocks_pattern
from ctao_bdms.naming.places import lfn_of_path, lfn_of_pfn, path_of_lfn, path_of_pfn, pfn_path
from ctao_bdms.naming.tree import ROOT_SCOPE, Directory, directories_of, scope_of

__all__ = [
    "AcadaName",
    "AcadaPath",
    "BlockName",
    "Directory",
    "ROOT_SCOPE",
    "Stream",
    "blocks_pattern",
    "directories_of",
    "lfn_of_path",
    "lfn_of_pfn",
    "path_of_lfn",
    "path_of_pfn",
    "pfn_path",
    "scope_of",
]
