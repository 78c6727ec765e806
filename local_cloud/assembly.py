"""Read CDK's cloud assembly: the template of its stack and the assets of the template.

https://docs.aws.amazon.com/cdk/v2/guide/deploy-synth.html
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_cloud.clients import ACCOUNT, REGION
from local_cloud.errors import LocalCloudError
from local_cloud.images import StagedImage


@dataclass(frozen=True, slots=True)
class Assembly:
    """Assembly with one stack."""

    folder: Path
    stack: str

    @classmethod
    def read(cls, folder: Path) -> Assembly:
        """Read the assembly in a folder, which must hold exactly one stack.

        Raises:
            LocalCloudError: The folder holds no stack, or several.
        """
        templates = sorted(folder.glob("*.template.json"))
        if len(templates) != 1:
            names = ", ".join(path.name for path in templates) or "none"
            raise LocalCloudError(f"{folder} must have the template of one stack, but has {names}")
        return cls(folder.resolve(), templates[0].name.removesuffix(".template.json"))

    @property
    def template(self) -> str:
        """Template as it was synthesized."""
        return (self.folder / f"{self.stack}.template.json").read_text(encoding="utf-8")

    @property
    def is_protected(self) -> bool:
        """True if termination protection prevents deletion of the stack."""
        manifest = json.loads((self.folder / "manifest.json").read_text(encoding="utf-8"))
        properties = manifest["artifacts"][self.stack].get("properties", {})
        return bool(properties.get("terminationProtection", False))

    def files(self) -> Iterator[tuple[str, str, bytes]]:
        """Yield bucket, key and content of each file asset; a folder's content is its zip file."""
        for asset in self._assets("files"):
            source = asset["source"]
            path = self.folder / source["path"]
            content = _zip_folder(path) if source["packaging"] == "zip" else path.read_bytes()
            for target in asset["destinations"].values():
                yield _substitute(target["bucketName"]), _substitute(target["objectKey"]), content

    def images(self) -> Iterator[tuple[str, str, StagedImage]]:
        """Yield repository, tag and staged folder of each image asset."""
        for asset in self._assets("dockerImages"):
            image = StagedImage.from_asset(asset["source"], self.folder)
            for target in asset["destinations"].values():
                yield _substitute(target["repositoryName"]), _substitute(target["imageTag"]), image

    def _assets(self, kind: str) -> list[dict[str, Any]]:
        path = self.folder / f"{self.stack}.assets.json"
        return list(json.loads(path.read_text(encoding="utf-8")).get(kind, {}).values())


def _substitute(text: str) -> str:
    return text.replace("${AWS::AccountId}", ACCOUNT).replace("${AWS::Region}", REGION)


def _zip_folder(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()
