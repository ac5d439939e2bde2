"""bdms down."""

from __future__ import annotations

from ctao_bdms.cli.common import Home, Json, home_path
from ctao_bdms.cli.output import Output

__all__ = ["down"]


def down(*, home: Home = None, as_json: Json = False) -> int:
    """Stop the Rucio of this machine; its home keeps all data.

    Example: `bdms down`
    """
    from ctao_bdms import embedded

    place = home_path(home)
    embedded.stop(place)
    output = Output(as_json=as_json)
    output.json({"home": place, "running": False})
    output.line(f"stopped; 'bdms up --home {place}' finds everything as it was")
    return 0
