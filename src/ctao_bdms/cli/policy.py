"""bdms policy: the policy package of Rucio."""

from __future__ import annotations

import cyclopts

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive

__all__ = ["policy"]

policy = cyclopts.App(name="policy", help="The rules of the observatory for Rucio.", help_format="markdown")


@policy.command
def doctor(*, archive: Archive = DEFAULT_ARCHIVE) -> int:
    """Check whether the policy package is in force, on this machine and on the server.

    Rucio ignores a policy package that it cannot import, and says nothing. The doctor asks Rucio's own tables, has the
    server translate names, and says what to do about each fault.

    Exit code 0 if all is well, 1 if not.

    Example: `bdms policy doctor --rucio-config /etc/rucio.cfg`
    """
    from ctao_bdms.catalogue.doctor import examine

    findings = examine(archive.config_file())
    archive.output.rows(findings)
    return 0 if findings.ok else 1
