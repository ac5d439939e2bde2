"""Proof that what is kept is what was given."""

from ctao_bdms.preservation.fixity import Evidence, read_back

__all__ = ["Evidence", "read_back"]
