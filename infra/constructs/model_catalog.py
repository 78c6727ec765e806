"""Deploy model packages to the assets bucket, with a catalog that lists them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aws_cdk import AssetStaging, FileAssetPackaging, Stack
from aws_cdk.aws_iam import IGrantable
from aws_cdk.aws_s3_assets import Asset
from constructs import Construct

from infra.grants import allow
from swath.errors import SettingsError
from swath.models.packing import pack, package_digest

_ARCHIVE_SUFFIX = ".tar.gz"
# Keys of packages, including those of earlier deployments, which the CDK's `Asset` named.
_PACKAGE_KEYS = "*.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployedModel:
    """Model package in the assets bucket."""

    name: str
    """Name of the model."""
    uri: str
    """Address of the package."""
    key: str
    """Key of the package in the assets bucket."""
    digest: str
    """Digest of the package's content."""


class ModelCatalog(Construct):
    """Packages of a folder as assets, and a catalog with their addresses.

    Attributes:
        uri: Address of the catalog.
        default: Model that endpoints serve to users.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, models_dir: Path, default_model: str
    ) -> None:
        """Pack the packages; the same files give the same assets.

        Args:
            scope: Parent of the construct.
            construct_id: Id within the scope.
            models_dir: Folder of the packages.
            default_model: Name of the default model.

        Raises:
            SettingsError: The folder lacks the default model.
        """
        super().__init__(scope, construct_id)
        sources = dict(_list_packages(models_dir))
        if default_model not in sources:
            available = ", ".join(sorted(sources)) or "none"
            raise SettingsError(
                f"the deploy setting 'default_model' is {default_model!r}; allowed are the model "
                f"packages in {models_dir}: {available}"
            )
        # The CDK copies an asset to the cloud assembly when it creates the asset, so the source may
        # then be deleted.
        with tempfile.TemporaryDirectory() as build_folder:
            models = [
                self._stage_package(name, sources[name], Path(build_folder))
                for name in sorted(sources)
            ]
            catalog = Path(build_folder, "catalog.json")
            # Only the key is listed: the bucket is the catalog's, and its name is unknown until
            # deployment.
            entries = {model.name: {"uri": model.key, "digest": model.digest} for model in models}
            catalog.write_text(json.dumps(entries, indent=1), encoding="utf-8")
            self._catalog = Asset(self, "Catalog", path=str(catalog))
        # The template must name all packages, since `cdk gc` deletes objects in the assets bucket
        # that no template names. Packages other than the default appear nowhere else.
        Stack.of(self).add_metadata("swath:packages", [model.key for model in models])
        self.default = next(model for model in models if model.name == default_model)
        self.uri = self._catalog.s3_object_url

    def grant_read_catalog(self, grantee: IGrantable) -> None:
        """Let `grantee` read the catalog."""
        key = self._catalog.s3_object_key
        allow(grantee, "s3:GetObject", on=[self._catalog.bucket.arn_for_objects(key)])

    def grant_read_packages(self, grantee: IGrantable) -> None:
        """Let `grantee` read all packages, including those of earlier deployments."""
        allow(
            grantee,
            "s3:GetObject",
            on=[self._catalog.bucket.arn_for_objects(_PACKAGE_KEYS)],
            because="A run that is redriven after a deployment reads the package it began with.",
        )

    def grant_list(self, grantee: IGrantable) -> None:
        """Let `grantee` list the bucket of the packages."""
        allow(grantee, "s3:ListBucket", on=[self._catalog.bucket.bucket_arn])

    def _stage_package(self, name: str, source: Path, build_folder: Path) -> DeployedModel:
        archive = source
        if source.is_dir():
            archive = build_folder / f"{name}{_ARCHIVE_SUFFIX}"
            pack(source, archive)
        stack = Stack.of(self)
        staged = AssetStaging(self, f"Model-{name}", source_path=str(archive))
        # SageMaker requires a key that ends in .tar.gz, of which an `Asset` would keep only .gz:
        # https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_ContainerDefinition.html
        location = stack.synthesizer.add_file_asset(
            source_hash=f"{staged.asset_hash}.tar",
            file_name=staged.relative_staged_path(stack),
            packaging=FileAssetPackaging.FILE,
            display_name=name,
        )
        return DeployedModel(
            name=name,
            uri=location.s3_object_url,
            key=location.object_key,
            digest=package_digest(source),
        )


def _list_packages(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir() or path.name.endswith(_ARCHIVE_SUFFIX):
            yield path.name.removesuffix(_ARCHIVE_SUFFIX), path
