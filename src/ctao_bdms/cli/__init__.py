"""The command line: one module for each command, in folders by room. Only this package reads the environment."""

from __future__ import annotations

import sys

from ctao_bdms.proxies import spare_loopback

__all__ = ["main"]


def main() -> None:
    """Run ``bdms`` with the arguments of this process."""
    try:
        from ctao_bdms.cli.app import run
    except ModuleNotFoundError as error:
        sys.exit(f"bdms: {error.name} is not installed; install it with: pip install 'ctao-bdms[client]'")
    spare_loopback()
    sys.exit(run(sys.argv[1:]))
