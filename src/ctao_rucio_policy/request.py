"""What a caller asked for, where Rucio's gateway does not tell the policy.

Rucio 41.5 asks whether an account may ``add_did`` without naming the storage element on which the content shall be
registered, and whether it may ``set_status`` without naming the status. Both stand in the body of the REST request.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["body"]


def body() -> dict[str, Any]:
    """Return the body of the REST request that is being served; empty outside of a server."""
    try:
        import flask
    except ModuleNotFoundError:
        return {}
    if not flask.has_request_context():
        return {}
    try:
        parsed = json.loads(flask.request.get_data(as_text=True) or "{}")
    except ValueError:
        return {}  # the gateway could not read it either, so it asks for nothing
    return parsed if isinstance(parsed, dict) else {}
