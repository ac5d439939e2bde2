"""The archive in a Rucio server: the only place, but for the doctor, that imports Rucio's client."""

from ctao_bdms.catalogue.rucio.adapter import RucioCatalogue

__all__ = ["RucioCatalogue"]
