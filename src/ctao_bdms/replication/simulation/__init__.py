"""Simulated years of nights: what centres and links have to carry."""
