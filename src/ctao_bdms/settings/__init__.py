"""Read TOML files into typed settings, and report all errors at once."""

from ctao_bdms.settings.keys import Key, keys_of, setting, toml
from ctao_bdms.settings.values import document_of, from_text, shown, take, unknown

__all__ = ["Key", "document_of", "from_text", "keys_of", "setting", "shown", "take", "toml", "unknown"]
