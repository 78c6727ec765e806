"""Where SageMaker puts what a training job gets, and looks for what it leaves.

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
_NOT_OURS = ("sagemaker_", "_tuning_objective_metric")
"""Hyperparameters that SageMaker adds of its own accord begin so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folders:
    """Of one job. The variables of SageMaker's toolkits override each of them."""

    config: Path
    channels: Mapping[str, Path]
    checkpoints: Path
    model: Path
    output: Path
    data: Path
    """For results beside the model."""

    @classmethod
    def of(cls, env: Mapping[str, str], names: tuple[str, ...]) -> Folders:
        """Those of this job.

        Args:
            env: the environment.
            names: of the channels.
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
        """The type of the job's host, such as `ml.g5.xlarge`; empty where SageMaker says none.

        https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
        """
        try:
            found = json.loads((self.config / "resourceconfig.json").read_bytes())
        except (OSError, ValueError):
            return ""
        return str(found.get("current_instance_type", "")) if isinstance(found, dict) else ""

    def hyperparameters(self) -> dict[str, str]:
        """What the job was given, all of it strings; nothing where there is no file.

        Raises:
            InputError: the file is not an object of strings.
        """
        path = self.config / "hyperparameters.json"
        if not path.is_file():
            return {}
        try:
            found = parse_json(path.read_bytes())
        except ValueError as error:
            raise InputError(f"{path} is not JSON: {error}") from None
        if not isinstance(found, dict) or not all(isinstance(v, str) for v in found.values()):
            raise InputError(
                f"{path} holds {found!r:.200}; hyperparameters are an object of strings"
            )
        return {key: value for key, value in found.items() if not key.startswith(_NOT_OURS)}

    def channel(self, name: str) -> str | None:
        """What a channel holds: its one file, or the folder itself; None where there is none.

        SageMaker makes a folder of a channel even where it is a single object of S3.
        """
        folder = self.channels[name]
        if not folder.is_dir():
            return None
        files = [path for path in folder.iterdir() if not path.name.startswith(".")]
        return str(files[0]) if len(files) == 1 and files[0].is_file() else str(folder)

    @property
    def failure(self) -> Path:
        """The file whose text the description of a failed job shows."""
        return self.output / "failure"
