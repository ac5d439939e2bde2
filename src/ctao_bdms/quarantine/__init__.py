"""The quarantine of rejected files, and the actions of operators on its cases."""

from ctao_bdms.quarantine.actions import OperatorAction, tell_outcome
from ctao_bdms.quarantine.cases import Case, Cases
from ctao_bdms.quarantine.folder import Quarantine
from ctao_bdms.quarantine.restore import ACCEPTABLE, close_case, require_acceptable, restore, restore_without_trigger

__all__ = [
    "ACCEPTABLE",
    "Case",
    "Cases",
    "OperatorAction",
    "Quarantine",
    "close_case",
    "require_acceptable",
    "restore",
    "restore_without_trigger",
    "tell_outcome",
]
