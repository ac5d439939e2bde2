"""Verify replicas, record the proofs, and free space on site."""

from ctao_bdms.preservation.fixity import ReadBack, read_back
from ctao_bdms.preservation.manifests import ManifestCheck, ManifestChecks, check_manifests, read_manifest
from ctao_bdms.preservation.onsite_disk import left_on_site
from ctao_bdms.preservation.proofs import BlockProof, BlockProofs, recorded_proofs
from ctao_bdms.preservation.space import release_space
from ctao_bdms.preservation.space_release import Decision, SpacePolicy, SpaceRelease, SpaceReleases

__all__ = [
    "BlockProofs",
    "ReadBack",
    "ManifestCheck",
    "ManifestChecks",
    "BlockProof",
    "SpaceRelease",
    "SpacePolicy",
    "SpaceReleases",
    "Decision",
    "check_manifests",
    "recorded_proofs",
    "left_on_site",
    "read_back",
    "read_manifest",
    "release_space",
]
