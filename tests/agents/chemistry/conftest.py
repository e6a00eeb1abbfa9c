"""The chemistry tools, without which none of these tests says anything."""

from __future__ import annotations

import pytest

pytest.importorskip("rdkit", reason="RDKit is not installed (extra 'chemistry')")
