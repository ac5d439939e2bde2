"""Public tools to test against a real archive, for this project and others."""
