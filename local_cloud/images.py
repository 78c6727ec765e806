"""Read staged container images of CDK; they are not built, but run from their build folders."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.errors import LocalCloudError

MEDIA_TYPE = "application/vnd.swath.staged-image+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class StagedImage:
    """Image asset: a folder with a Dockerfile, and the arguments of its build."""

    folder: Path
    dockerfile: str
    arguments: Mapping[str, str]

    @classmethod
    def from_asset(cls, source: Mapping[str, Any], assembly: Path) -> StagedImage:
        """Read the `source` of a docker image in CDK's asset manifest."""
        return cls(
            folder=assembly / source["directory"],
            dockerfile=source.get("dockerFile", "Dockerfile"),
            arguments=source.get("dockerBuildArgs", {}),
        )

    def to_manifest(self) -> str:
        """Return the manifest that represents the image in the local registry."""
        return json.dumps(
            {
                "mediaType": MEDIA_TYPE,
                "folder": str(self.folder),
                "dockerfile": self.dockerfile,
                "arguments": dict(self.arguments),
            }
        )

    @classmethod
    def from_manifest(cls, manifest: str) -> StagedImage:
        """Parse a manifest that `to_manifest` wrote.

        Raises:
            LocalCloudError: The manifest describes a real image.
        """
        data = json.loads(manifest)
        if data.get("mediaType") != MEDIA_TYPE:
            raise LocalCloudError(f"the image is not staged: {data.get('mediaType')}: {manifest}")
        return cls(
            folder=Path(data["folder"]),
            dockerfile=data["dockerfile"],
            arguments=data["arguments"],
        )

    @property
    def command(self) -> list[str]:
        """Last CMD of the Dockerfile, in its JSON form; empty without one."""
        return self._parse_instruction("CMD")

    @property
    def entry_point(self) -> list[str]:
        """Last ENTRYPOINT of the Dockerfile, in its JSON form; empty without one."""
        return self._parse_instruction("ENTRYPOINT")

    @property
    def python_path(self) -> tuple[Path, ...]:
        """Folders of the image's own modules."""
        return (self.folder, self.folder / "src")

    def _parse_instruction(self, instruction: str) -> list[str]:
        text = (self.folder / self.dockerfile).read_text(encoding="utf-8")
        instructions = re.findall(rf"^{instruction}\s+(\[.*\])\s*$", text, re.MULTILINE)
        return list(json.loads(instructions[-1])) if instructions else []
