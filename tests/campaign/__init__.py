"""The fault campaign: a real daemon on a real Rucio, broken again and again."""
