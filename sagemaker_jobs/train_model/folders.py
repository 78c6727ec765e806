"""Define the folders of a SageMaker training job's inputs and outputs.

https://docs.aws.amazon.com/sagemaker/latest/dg/amazon-sagemaker-toolkits.html
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from swath.errors import InputError
from swath.storage.encoding import parse_json

ROOT = "/opt/ml"
"""Folder of all inputs and outputs."""
_SAGEMAKER_PREFIXES = ("sagemaker_", "_tuning_objective_metric")
"""Prefixes of the hyperparameters that SageMaker adds itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFolders:
    """Folders of one job. The variables of SageMaker's toolkits override each of them."""

    config: Path
    """Folder of the job's configuration and hyperparameters."""
    channels: Mapping[str, Path]
    """Folder of each input channel, by name."""
    checkpoints: Path
    """Folder of the checkpoints, which SageMaker copies to and from S3."""
    model: Path
    """Folder of the model package, which SageMaker packs as `model.tar.gz`."""
    output: Path
    """Folder of the reason of a failure."""
    data: Path
    """Folder of results other than the model."""

    @classmethod
    def from_env(cls, env: Mapping[str, str], names: tuple[str, ...]) -> JobFolders:
        """Return the folders of this job.

        Args:
            env: Environment variables.
            names: Names of the channels.
        """

        def folder(variable: str, default: Path) -> Path:
            return Path(env.get(variable) or default)

        root = Path(ROOT)
        source = folder("SM_INPUT_DIR", root / "input")
        output = folder("SM_OUTPUT_DIR", root / "output")
        return cls(
            config=folder("SM_INPUT_CONFIG_DIR", source / "config"),
            channels={
                name: folder(f"SM_CHANNEL_{name.upper()}", source / "data" / name) for name in names
            },
            checkpoints=folder("SM_CHECKPOINT_DIR", root / "checkpoints"),
            model=folder("SM_MODEL_DIR", root / "model"),
            output=output,
            data=folder("SM_OUTPUT_DATA_DIR", output / "data"),
        )

    @property
    def instance_type(self) -> str:
        """Instance type of the job's host, such as `ml.g5.xlarge`; empty if SageMaker gives none.

        https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
        """
        try:
            content = json.loads((self.config / "resourceconfig.json").read_bytes())
        except (OSError, ValueError):
            return ""
        return str(content.get("current_instance_type", "")) if isinstance(content, dict) else ""

    def hyperparameters(self) -> dict[str, str]:
        """Return the job's hyperparameters as strings; an empty dictionary if there is no file.

        Raises:
            InputError: The file is not a JSON object of strings.
        """
        path = self.config / "hyperparameters.json"
        if not path.is_file():
            return {}
        try:
            content = parse_json(path.read_bytes())
        except ValueError as error:
            raise InputError(f"{path} is not JSON: {error}") from None
        if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
            raise InputError(
                f"{path} holds {content!r:.200}; hyperparameters are an object of strings"
            )
        return {
            key: value for key, value in content.items() if not key.startswith(_SAGEMAKER_PREFIXES)
        }

    def channel(self, name: str) -> str | None:
        """Return the path of a channel's only file, or else of its folder; None if absent.

        SageMaker creates a folder for a channel even if its source is a single S3 object.

        Args:
            name: Name of the channel.
        """
        folder = self.channels[name]
        if not folder.is_dir():
            return None
        files = [path for path in folder.iterdir() if not path.name.startswith(".")]
        return str(files[0]) if len(files) == 1 and files[0].is_file() else str(folder)

    @property
    def failure(self) -> Path:
        """File with the reason of a failure, which the description of the failed job shows."""
        return self.output / "failure"
