"""Run a real Rucio on this machine with one call: database, server, daemons, storage and transfers in one folder.

Examples
--------
>>> from ctao_bdms.embedded import start
>>> with start("/data/rucio") as rucio:  # doctest: +SKIP
...     print(rucio.client_config())
/data/rucio/etc/rucio.cfg
"""

from ctao_bdms.embedded.home import Home
from ctao_bdms.embedded.instance import Instance, run, start, stop
from ctao_bdms.embedded.namespace import add_scope
from ctao_bdms.embedded.status import Component, InstanceStatus, status
from ctao_bdms.embedded.topology import ACCOUNTS, INGEST, READER, ROOT, RSES, WMS, Account, StorageElement

__all__ = [
    "ACCOUNTS",
    "INGEST",
    "READER",
    "ROOT",
    "RSES",
    "WMS",
    "Account",
    "Home",
    "Instance",
    "Component",
    "InstanceStatus",
    "StorageElement",
    "add_scope",
    "run",
    "start",
    "status",
    "stop",
]
