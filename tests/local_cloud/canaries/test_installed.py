"""Tests of all patches together: each is applied to moto, is removed again, and has a canary."""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local_cloud.errors import MotoChangedError
from local_cloud.moto_patches.installed import PATCHES
from local_cloud.moto_patches.patching import Patcher, patched
from local_cloud.services import Services


def test_all_patches_take_hold_and_let_go_again(services: Services):
    patcher = Patcher()
    for patch in PATCHES:
        patch.apply(patcher, services)
    touched = [(owner, name) for owner, name, _ in patcher._undo]
    during = [vars(owner)[name] for owner, name in touched]
    patcher.undo()
    after = [vars(owner).get(name) for owner, name in touched]

    with patched(*(partial(patch.apply, services=services) for patch in PATCHES)):
        pass

    assert not any(a is b for a, b in zip(during, after, strict=True))
    assert [vars(owner).get(name) for owner, name in touched] == after


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: patch.NAME)
def test_each_patch_has_a_canary_and_a_link_to_aws(patch: Any):
    assert patch.__name__ == f"local_cloud.moto_patches.{patch.NAME}"
    canary = Path(__file__).with_name(f"test_{patch.NAME}.py").read_text()
    assert f"def test_canary_{patch.NAME}(" in canary
    documented = inspect.getdoc(patch) or ""
    assert "https://docs.aws.amazon.com/" in documented
    assert "Moto 5.2.5" in documented


class Owner:
    attribute = "moto's"


def test_a_replacement_of_a_missing_attribute_fails_with_its_name():
    with pytest.raises(MotoChangedError, match=r"Owner no longer has gone"):
        Patcher().replace(Owner, "gone", None)


def test_an_addition_of_an_existing_attribute_fails_with_its_name():
    with pytest.raises(MotoChangedError, match=r"Owner now has its own attribute"):
        Patcher().add(Owner, "attribute", None)


def test_an_inherited_attribute_is_overridden_and_inherited_again():
    class Child(Owner):
        pass

    patcher = Patcher()
    patcher.add(Child, "attribute", "ours")
    assert Child.attribute == "ours"
    patcher.undo()
    assert Child.attribute == "moto's"
