"""The inbox: data files and triggers on the on-site storage."""

from ctao_bdms.inbox.files import LocalFile, survey
from ctao_bdms.inbox.sightings import Sighting
from ctao_bdms.inbox.stamps import Stamp
from ctao_bdms.inbox.triggers import TRIGGER_SUFFIX
from ctao_bdms.inbox.watch import Watch

__all__ = [
    "LocalFile",
    "Sighting",
    "Stamp",
    "TRIGGER_SUFFIX",
    "Watch",
    "survey",
]
