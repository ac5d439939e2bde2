"""Read details of a request that Rucio's gateway does not pass to the policy.

Rucio 41.5 checks the permission for ``add_did`` without the storage element where the content is to be registered, and
for ``set_status`` without the status. Both are in the body of the REST request.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["body"]


def body() -> dict[str, Any]:
    """Return the body of the current REST request; empty outside a server."""
    try:
        import flask
    except ModuleNotFoundError:
        return {}
    if not flask.has_request_context():
        return {}
    try:
        parsed = json.loads(flask.request.get_data(as_text=True) or "{}")
    except ValueError:
        return {}  # the gateway cannot parse it either, so nothing is requested
    return parsed if isinstance(parsed, dict) else {}
