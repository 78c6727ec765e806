"""Goldens: what others depend on, as files. `SWATH_WRITE_GOLDENS=1` writes them anew."""

import json
import os
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "golden"


@pytest.fixture
def golden():
    """Hold some data against the golden of a name."""

    def hold(name, data):
        path = FOLDER / f"{name}.json"
        text = json.dumps(data, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
        if os.environ.get("SWATH_WRITE_GOLDENS") == "1":
            path.write_text(text)
        assert json.loads(text) == json.loads(path.read_text()), (
            f"{path.name} differs. Others read this: if the change is meant, write it anew by "
            "SWATH_WRITE_GOLDENS=1 pytest tests/golden, and say why in the commit"
        )

    return hold
