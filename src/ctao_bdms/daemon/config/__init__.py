"""Read, validate, document and check the settings of the daemon."""

from ctao_bdms.daemon.config.consistency import contradictions, merge_reloadable, restart_needed
from ctao_bdms.daemon.config.load import settings_from
from ctao_bdms.daemon.config.settings import Http, Log, LogForm, Retries, Settings, Workers

__all__ = [
    "Http",
    "Log",
    "LogForm",
    "Retries",
    "Settings",
    "Workers",
    "contradictions",
    "merge_reloadable",
    "restart_needed",
    "settings_from",
]
