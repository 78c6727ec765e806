from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from local_cloud.faults import kinds
from local_cloud.faults.kinds import Fault, HttpFault

KINDS = get_args(kinds.ANY_FAULT)


def subclasses(kind: type) -> set[type]:
    return {kind}.union(*(subclasses(one) for one in kind.__subclasses__()))


def test_every_kind_can_be_sent():
    here = {one for one in subclasses(Fault) if one.__module__ == kinds.__name__}

    assert set(KINDS) == here - {Fault, HttpFault}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_names_its_source(kind: type[Fault]):
    assert "https://" in (kind.__doc__ or "") or kind is kinds.TimeLapse
    assert "times" in msgspec.structs.asdict(kind(**required(kind)))


def required(kind: type[Fault]) -> dict[str, object]:
    """Something for each field without a default."""
    fields = msgspec.structs.fields(kind)
    return {field.name: "x" for field in fields if field.required}
