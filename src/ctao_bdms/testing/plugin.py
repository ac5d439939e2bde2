"""The pytest plugin: fixtures for tests that want a real Rucio."""
