"""The template of the stack with everything in it, but for what each change of the code changes.

A resource whose logical id changes is deleted and made anew: a bucket, or a cluster, with all that
is in it.
"""

import re

import pytest

HASH = re.compile(r"[0-9a-f]{64}|(?<=CurrentVersion)[0-9A-Za-z]{8}[0-9a-f]{32}")
"""Hashes of assets and of versions of functions, which change with their code."""


def test_the_template_is_what_it_was(golden, everything):
    golden("template", masked(everything.json))


@pytest.mark.parametrize("stack", ["dev", "production"])
def test_resources_keep_their_logical_ids(request, golden, stack):
    resources = request.getfixturevalue(stack).json["Resources"]
    golden(f"resources-{stack}", masked({name: part["Type"] for name, part in resources.items()}))


def masked(data):
    """A template without descriptions, the hashes of assets and CDK's own metadata."""
    if isinstance(data, dict):
        kept = {k: v for k, v in data.items() if k not in {"Metadata", "Description"}}
        return {HASH.sub("HASH", k): masked(v) for k, v in kept.items()}
    if isinstance(data, list):
        return [masked(part) for part in data]
    return HASH.sub("HASH", data) if isinstance(data, str) else data
