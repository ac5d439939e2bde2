"""The stages of the daemon, in the order in which a file passes them."""

from ctao_bdms.daemon.stages.discover import Intake
from ctao_bdms.daemon.stages.register import Entering
from ctao_bdms.daemon.stages.replicate import Copying
from ctao_bdms.daemon.stages.report import Upkeep
from ctao_bdms.daemon.stages.scan import Reading
from ctao_bdms.daemon.stages.stage import Stage

__all__ = [
    "Copying",
    "Entering",
    "Intake",
    "Reading",
    "Stage",
    "Upkeep",
]
