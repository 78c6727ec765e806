import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath import storage
from swath.messages import PLAN_VERSION
from swath.storage.checked_json import read_checked, verify_checksum, write_checked
from tests.helpers.fuzzing import draws

PLAN = Path(__file__).parents[1] / "pipeline" / "plans" / f"v{PLAN_VERSION}.json"
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = st.text().filter(lambda name: name != "sha256")


@given(data=st.dictionaries(NAMES, PLAIN))
def test_what_is_written_is_read(tmp_path_factory, data):
    uri = str(tmp_path_factory.getbasetemp() / "checked.json")
    write_checked(uri, data)
    assert read_checked(uri) == data


@pytest.mark.fuzz
def test_an_object_that_was_changed_is_refused_or_says_the_same():
    content, rng = PLAN.read_bytes(), random.Random(1)
    written = read_checked(str(PLAN))
    refused = 0
    for _ in range(count := draws(300, fuzz=20_000)):
        changed = bytearray(content)
        changed[rng.randrange(len(content))] = rng.choice(b'0123456789"{}[],: aAeE.-+\x00\xff')
        try:
            assert verify_checksum(json.loads(changed)) == written
        except ValueError:
            refused += 1
    assert refused > count // 2


@pytest.mark.parametrize("data", [{}, {"a": 1}, [], None, {"sha256": None}, {"sha256": [1]}])
def test_an_object_without_its_checksum_is_refused(tmp_path, data):
    uri = str(tmp_path / "bare.json")
    storage.write_json(uri, data)
    with pytest.raises(ValueError, match=r"checksum|SHA-256"):
        read_checked(uri)
