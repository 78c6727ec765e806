"""Tests of optional modules: an error before the work begins names the extra to install."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from swath.errors import extras

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("module", sorted(extras._EXTRA_BY_MODULE))
def test_each_module_has_the_extra_that_brings_it(module):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brought = project["optional-dependencies"][extras._EXTRA_BY_MODULE[module]]

    assert module in {re.split(r"[\\[>=]", requirement)[0] for requirement in brought}


def test_a_module_that_is_missing_is_named(monkeypatch):
    extras.require_modules("json", "msgspec")
    monkeypatch.setitem(sys.modules, "jinja2", None)

    with pytest.raises(ModuleNotFoundError) as refused:
        extras.require_modules("json", "jinja2")
    assert refused.value.name == "jinja2"
    assert "`pip install '.[cli]'`" in extras.missing_module_message("jinja2")
