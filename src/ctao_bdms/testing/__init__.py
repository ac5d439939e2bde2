"""Tools to test against a real archive: public, for this project and others."""
