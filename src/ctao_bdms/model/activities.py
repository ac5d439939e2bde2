"""The activities of Rucio transfers."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ACTIVITIES", "DEFAULT_ACTIVITY"]

#: What each activity is for. Transfers of an activity share their part of a link; all names of Rucio's generic schema
#: stay allowed, because its own daemons use them.
ACTIVITIES: Mapping[str, str] = MappingProxyType(
    {
        "Analysis Input": "input of a user's jobs",
        "Analysis Output": "output of a user's jobs",
        "Data Brokering": "copies near free job slots",
        "Data Challenge": "tests at scale",
        "Data Consolidation": "copies of derived products at a second data centre",
        "Data Rebalancing": "moves between data centres to even out their load",
        "Debug": "single transfers by hand",
        "Express": "urgent transfers",
        "Functional Test": "small regular tests of every link",
        "Group Subscriptions": "standing orders of a group",
        "Production Input": "input of processing and simulation jobs",
        "Production Output": "output of processing and simulation jobs",
        "Staging": "recall from tape",
        "T0 Export": "raw data from the site to the data centres",
        "T0 Tape": "raw data to tape",
        "Upload/Download (Job)": "a job's own transfers",
        "Upload/Download (User)": "a person's own transfers",
        "User Subscriptions": "rules of people, unless they say otherwise",
        "User Transfers": "replicas that DIRAC asks for (addReplica)",
    }
)

#: What transfers are for if nothing is said.
DEFAULT_ACTIVITY = "Data Consolidation"
