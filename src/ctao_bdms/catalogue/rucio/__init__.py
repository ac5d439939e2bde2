"""The archive in a Rucio server: the only place that imports Rucio's client."""
