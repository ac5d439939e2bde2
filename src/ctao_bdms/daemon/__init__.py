"""The ingestion daemon: archive new files of a site continuously."""
