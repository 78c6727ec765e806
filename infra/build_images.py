"""Build the images of a synthesized assembly: `python -m infra.build_images ASSEMBLY [NAME…]`.

They are built as `cdk deploy` would build them, and not published. Each is tagged `swath/<name>`:
`control-functions` and `raster-functions`, `batch` for the GPU job, or `serve_model`,
`serve_model-gpu`, `train_model` and `evaluate_model`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def main() -> int:
    """Build the images that were asked for, all by default; 0 if every one could be built."""
    arguments = _arguments()
    failed = []
    for name, source in staged(arguments.assembly):
        if arguments.names and name not in arguments.names:
            continue
        folder = arguments.assembly / source["directory"]
        command = build_command(name, source, certificates=arguments.certificates)
        done = subprocess.run(command, cwd=folder, check=False)  # noqa: S603 - the CDK staged it
        if done.returncode:
            failed.append(name)
    sys.stderr.write(f"could not be built: {', '.join(failed)}\n" if failed else "")
    return 1 if failed else 0


def staged(assembly: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and source of each image in the assembly."""
    for manifest in assembly.glob("*.assets.json"):
        for asset in json.loads(manifest.read_text())["dockerImages"].values():
            source = asset["source"]
            yield image_name(source), source


def image_name(source: dict[str, Any]) -> str:
    """Return the extra of a functions' image, `batch`, or a SageMaker job's folder.

    The latter ends in `-gpu` if the image is for one.
    """
    arguments = source.get("dockerBuildArgs", {})
    if "FUNCTIONS" in arguments:
        return str(arguments["EXTRA"])
    kind, folder, dockerfile = source["dockerFile"].split("/")
    if kind == "batch_jobs":
        return "batch"
    return f"{folder}-gpu" if dockerfile == "gpu.Dockerfile" else str(folder)


def build_command(name: str, source: dict[str, Any], *, certificates: str | None) -> list[str]:
    """The call of docker for one image."""
    arguments = dict(source.get("dockerBuildArgs", {}))
    if certificates:
        arguments["RDS_CERTIFICATES"] = certificates
    command = ["docker", "build", "--network", "host", "--tag", f"swath/{name}"]
    command += ["--file", source.get("dockerFile", "Dockerfile")]
    command += [word for k, v in arguments.items() for word in ("--build-arg", f"{k}={v}")]
    command += [word for output in source.get("dockerOutputs", ()) for word in ("--output", output)]
    return [*command, "."]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assembly", type=Path, help="the folder of a synthesized assembly")
    parser.add_argument("names", nargs="*", help="which images; all by default")
    parser.add_argument("--certificates", help="a URL to take in the place of RDS's certificates")
    return parser.parse_intermixed_args()


if __name__ == "__main__":
    sys.exit(main())
