"""Check the allowed sources of scenes before the CDK is started."""

from __future__ import annotations

from collections.abc import Sequence

from swath.errors import SettingsError
from swath.items import SceneSources

MAX_CHARACTERS = 2000
"""Maximum length of all sources together: Lambda permits 4 KB of environment variables."""
_WILDCARDS = "*?$"
"""Characters that a policy would read as a wildcard or a variable."""


def check_sources(sources: Sequence[str]) -> None:
    """Check that the sources are prefixes that swath reads and that a policy can grant.

    Raises:
        SettingsError: A source is invalid, is a local folder, or cannot be granted.
    """
    if sum(len(source) + 1 for source in sources) > MAX_CHARACTERS:
        raise SettingsError(
            f"the deploy setting 'scene_sources' has more than {MAX_CHARACTERS:,} characters; "
            "give shorter or fewer prefixes"
        )
    for source in sources:
        if "," in source:
            raise _source_error(source, "contains a comma, which separates sources")
    for source, parsed in zip(sources, SceneSources.parse(sources).sources, strict=True):
        if not parsed.address.scheme:
            raise _source_error(source, "is a local folder; give s3:// or https://")
        if parsed.address.scheme == "s3" and set(_WILDCARDS) & set(parsed.address.path):
            raise _source_error(
                source, f"contains one of {' '.join(_WILDCARDS)}, which a policy would expand"
            )


def _source_error(source: str, problem: str) -> SettingsError:
    return SettingsError(f"the deploy setting 'scene_sources' has {source!r}, which {problem}")
