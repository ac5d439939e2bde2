"""Failed assertions of the models beside the tests show their values, as those of the tests do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("tests.property.ingest_model")
