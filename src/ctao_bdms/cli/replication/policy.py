"""bdms policy: the policy of products, and the policy package of Rucio."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import attrs
import cyclopts
from cyclopts import Parameter

from ctao_bdms.cli.common import DEFAULT_ARCHIVE, Archive, Json, PolicyOption, policy_file
from ctao_bdms.cli.output import Output

__all__ = ["policy"]

policy = cyclopts.App(
    name="policy",
    help="The policy for keeping products, and the observatory's policy package for Rucio.",
    help_format="markdown",
)


@policy.command
def doctor(*, archive: Archive = DEFAULT_ARCHIVE) -> int:
    """Check whether the policy package is loaded, on this machine and on the server.

    Rucio silently ignores a policy package that it cannot import. The doctor reads Rucio's own tables, lets the server
    translate names, and suggests a remedy for each fault.

    Exit code 0 if all is well, 1 if not.

    Example: `bdms policy doctor --rucio-config /etc/rucio.cfg`
    """
    from ctao_bdms.doctor.doctor import examine

    findings = examine(archive.config_file())
    archive.output.rows(findings)
    return 0 if findings.ok else 1


@policy.command
def show(
    *,
    file: Annotated[Path | None, Parameter(help="The policy file; as --policy.")] = None,
    policy: PolicyOption = None,
    as_json: Json = False,
) -> int:
    """Show the policy: how the products of each kind are kept.

    Example: `bdms policy show --file policy.toml`
    """
    from ctao_bdms.replication import Policy
    from ctao_bdms.replication.policyrows import CentreRows, ProductRows, RetentionRows

    said, output = Policy.load(file or policy_file(policy)), Output(as_json=as_json)
    if as_json:
        fields = {name: getattr(said, name) for name in attrs.fields_dict(Policy)}
        output.json({**fields, "fingerprint": said.fingerprint})
        return 0
    output.rows(RetentionRows.of(said))
    output.line("")
    output.rows(ProductRows.of(said))
    if said.centres:
        output.line("")
        output.rows(CentreRows.of(said))
    output.line("")
    output.text(f"{said.source}, fingerprint {said.fingerprint[:12]}")
    return 0


@policy.command
def check(
    file: Annotated[Path, Parameter(help="The policy file.")],
    /,
    *,
    as_json: Json = False,
) -> int:
    """Check whether a policy file is valid; report all errors with their places.

    Exit code 0 if it is valid, 2 if not.

    Example: `bdms policy check policy.toml`
    """
    from ctao_bdms.replication import Policy

    said, output = Policy.load(file), Output(as_json=as_json)
    output.json({"source": said.source, "fingerprint": said.fingerprint})
    output.text(f"{said.source} holds; its fingerprint is {said.fingerprint[:12]}")
    return 0
