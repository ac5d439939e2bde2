"""Proof that what is kept is what was given, and the release of space on site that rests on it."""

from ctao_bdms.preservation.evidence import BlockEvidence, Proof, kept, prove
from ctao_bdms.preservation.fixity import Evidence, read_back
from ctao_bdms.preservation.manifests import (
    ManifestCheck,
    ManifestChecks,
    check_manifest,
    check_manifests,
    read_manifest,
)
from ctao_bdms.preservation.onsite import left_on_site
from ctao_bdms.preservation.space import end_onsite_rules, plan_space_release, release_space
from ctao_bdms.preservation.space_release import Decision, SpacePolicy, SpaceRelease, SpaceReleases
from ctao_bdms.preservation.verifiers import Verifier

__all__ = [
    "BlockEvidence",
    "Evidence",
    "ManifestCheck",
    "ManifestChecks",
    "Proof",
    "SpaceRelease",
    "SpacePolicy",
    "SpaceReleases",
    "Decision",
    "Verifier",
    "check_manifest",
    "check_manifests",
    "plan_space_release",
    "kept",
    "left_on_site",
    "prove",
    "read_back",
    "read_manifest",
    "end_onsite_rules",
    "release_space",
]
