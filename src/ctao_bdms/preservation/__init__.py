"""Verify replicas, record the proofs, and free space on site."""

from ctao_bdms.preservation.fixity import ReadBack, read_back
from ctao_bdms.preservation.manifests import (
    ManifestCheck,
    ManifestChecks,
    check_manifest,
    check_manifests,
    read_manifest,
)
from ctao_bdms.preservation.onsite import left_on_site
from ctao_bdms.preservation.proofs import BlockProof, BlockProofs, prove, recorded_proofs
from ctao_bdms.preservation.space import end_onsite_rules, plan_space_release, release_space
from ctao_bdms.preservation.space_release import Decision, SpacePolicy, SpaceRelease, SpaceReleases
from ctao_bdms.preservation.verifiers import Verifier

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
    "Verifier",
    "check_manifest",
    "check_manifests",
    "plan_space_release",
    "recorded_proofs",
    "left_on_site",
    "prove",
    "read_back",
    "read_manifest",
    "end_onsite_rules",
    "release_space",
]
