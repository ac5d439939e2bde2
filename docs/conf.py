"""How Sphinx builds the documentation."""

from __future__ import annotations

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "ctao-bdms"
author = "The ctao-bdms developers"
project_copyright = author
release = version_of("ctao-bdms")
version = ".".join(release.split(".")[:2])

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_nb",
    "from_source",
]
exclude_patterns = ["_build", "_templates", "_ext"]
templates_path = ["_templates"]
default_role = "py:obj"
smartquotes = False  # --detach is an option, not a dash

myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_in_temp = True
nb_merge_streams = True

autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_member_order = "alphabetical"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "ctao"
html_title = "ctao-bdms"
html_static_path = ["_static"]
html_theme_options = {
    "navigation_with_keys": False,
    "show_prev_next": False,
    "logo": {"text": "Bulk data management"},
}
