"""The archive in one object: what pipelines, notebooks and the command line use."""

from ctao_bdms.facade.bdms import Bdms, connect

__all__ = ["Bdms", "connect"]
