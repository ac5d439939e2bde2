"""The protocols of the storage elements, as rows of Rucio's table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ctao_bdms.embedded.home import Home
    from ctao_bdms.embedded.state import State
    from ctao_bdms.embedded.topology import StorageElement

__all__ = ["protocols", "storage_urls", "transfer_scheme"]

_HOST = "127.0.0.1"


def transfer_scheme(state: State) -> str:
    """Return the URL scheme of transfers."""
    return "file" if state.storage == "files" else "http"


def protocols(home: Home, state: State, element: StorageElement) -> list[dict[str, Any]]:
    """Return the protocols of a storage element, the one for clients first.

    An on-site storage element with a server also has its local folder as a protocol, because ingested files are there.
    """
    if state.storage == "files":
        return [_folder(home, element, lan=_all(1), wan=_all(1) | _third_party(1))]
    ports = state.storage_ports[element.name]
    found = [
        {
            "scheme": "root",
            "hostname": _HOST,
            "port": ports["root"],
            "prefix": _prefix(element.name, "root"),
            "impl": "rucio.rse.protocols.xrootd.Default",
            "domains": {"lan": _all(1) | {"delete": 2}, "wan": _all(1) | {"delete": 2}},
        },
        {
            "scheme": "http",
            "hostname": _HOST,
            "port": ports["http"],
            "prefix": _prefix(element.name, "http"),
            "impl": "ctao_bdms.embedded.xrootd.protocol.Default",
            "domains": {"lan": _all(2) | {"delete": 1}, "wan": _all(2) | {"delete": 1} | _third_party(1)},
        },
    ]
    if element.attributes.get("onsite"):
        found.append(_folder(home, element, lan={"read": 3}, wan={}))
    return found


def storage_urls(state: State) -> dict[str, dict[str, str]]:
    """Return the URL prefix of names by storage element and scheme, for those with servers."""
    return {
        rse: {scheme: f"{scheme}://{_HOST}:{port}{_prefix(rse, scheme)[:-1]}" for scheme, port in ports.items()}
        for rse, ports in state.storage_ports.items()
    }


def _prefix(rse: str, scheme: str) -> str:
    """Return the prefix on a server; in ``root://`` URLs, absolute paths need two slashes."""
    return f"//{rse}/" if scheme == "root" else f"/{rse}/"


def _all(priority: int) -> dict[str, int]:
    """Return the operations of clients with a priority; lower numbers are preferred, and none disables them."""
    return {"read": priority, "write": priority, "delete": priority}


def _third_party(priority: int) -> dict[str, int]:
    """Return the operations of transfers with a priority."""
    return {"third_party_copy_read": priority, "third_party_copy_write": priority}


def _folder(home: Home, element: StorageElement, **domains: dict[str, int]) -> dict[str, Any]:
    """Return the protocol of a local folder."""
    return {
        "scheme": "file",
        "hostname": "localhost",
        "port": 0,
        "prefix": f"{home.storage(element.name)}/",
        "impl": "ctao_bdms.embedded.posix.Default",
        "domains": domains,
    }
