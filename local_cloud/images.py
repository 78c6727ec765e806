"""Container images as CDK stages them: not built, but run from what they would be built from."""

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
    """An image asset: a folder with a Dockerfile, and the arguments of its build."""

    folder: Path
    dockerfile: str
    arguments: Mapping[str, str]

    @classmethod
    def of_asset(cls, source: Mapping[str, Any], assembly: Path) -> StagedImage:
        """Read the `source` of a docker image in CDK's asset manifest."""
        return cls(
            folder=assembly / source["directory"],
            dockerfile=source.get("dockerFile", "Dockerfile"),
            arguments=source.get("dockerBuildArgs", {}),
        )

    def to_manifest(self) -> str:
        """What stands for the image in the local registry."""
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
        """Read what `to_manifest` wrote.

        Raises:
            LocalCloudError: this is the manifest of a real image.
        """
        data = json.loads(manifest)
        if data.get("mediaType") != MEDIA_TYPE:
            raise LocalCloudError(f"not a staged image but {data.get('mediaType')}: {manifest}")
        return cls(
            folder=Path(data["folder"]),
            dockerfile=data["dockerfile"],
            arguments=data["arguments"],
        )

    @property
    def command(self) -> list[str]:
        """The last CMD of the Dockerfile, in its JSON form; empty without one."""
        return self._words("CMD")

    @property
    def entry_point(self) -> list[str]:
        """The last ENTRYPOINT of the Dockerfile, in its JSON form; empty without one."""
        return self._words("ENTRYPOINT")

    @property
    def python_path(self) -> tuple[Path, ...]:
        """Where the image's own modules are."""
        return (self.folder, self.folder / "src")

    def _words(self, instruction: str) -> list[str]:
        text = (self.folder / self.dockerfile).read_text(encoding="utf-8")
        found = re.findall(rf"^{instruction}\s+(\[.*\])\s*$", text, re.MULTILINE)
        return list(json.loads(found[-1])) if found else []
