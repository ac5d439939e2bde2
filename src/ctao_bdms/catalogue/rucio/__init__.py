"""The catalogue on a Rucio server: the only package, except the doctor, that imports Rucio's client."""

from ctao_bdms.catalogue.rucio.adapter import RucioCatalogue

__all__ = ["RucioCatalogue"]
