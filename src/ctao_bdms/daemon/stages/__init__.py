"""The stages of the daemon, in the order in which a file passes them."""

from ctao_bdms.daemon.stages.discover import DiscoverStage
from ctao_bdms.daemon.stages.register import RegisterStage
from ctao_bdms.daemon.stages.replicate import ReplicateStage
from ctao_bdms.daemon.stages.report import ReportStage
from ctao_bdms.daemon.stages.scan import ScanStage
from ctao_bdms.daemon.stages.stage import Stage

__all__ = [
    "DiscoverStage",
    "RegisterStage",
    "ReplicateStage",
    "ReportStage",
    "ScanStage",
    "Stage",
]
