"""Build the images of a synthesized assembly: `python -m infra.build_images ASSEMBLY [NAME…]`.

They are built as `cdk deploy` would build them, and not published. Each is tagged `swath/<name>`:
`control-functions` and `raster-functions`, `batch` for the GPU job, or a folder of
`sagemaker_jobs`, with `-gpu` where there is one image for a GPU and one without.
`--push HOST:PORT/NAME` also pushes the images to a registry without TLS, and prints the size that
each adds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Media types of a registry's response; SageMaker accepts only the first.
_DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def main() -> int:
    """Build the requested images, by default all; return 0 if all were built."""
    arguments = _parse_arguments()
    failed = []
    layers: dict[str, int] = {}
    for name, source in staged_images(arguments.assembly):
        if arguments.names and name not in arguments.names:
            continue
        folder = arguments.assembly / source["directory"]
        command = build_command(name, source, certificates=arguments.certificates)
        started = time.monotonic()
        completed = subprocess.run(command, cwd=folder, check=False)  # noqa: S603 - the CDK staged it
        if completed.returncode:
            failed.append(name)
            continue
        line = f"{name}: built in {time.monotonic() - started:.1f} s"
        if arguments.push:
            line += f", {_push_image(name, arguments.push, layers)}"
        sys.stdout.write(f"{line}\n")
    sys.stderr.write(f"could not be built: {', '.join(failed)}\n" if failed else "")
    return 1 if failed else 0


def staged_images(assembly: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the name and the source of each image in the assembly."""
    for manifest in assembly.glob("*.assets.json"):
        for asset in json.loads(manifest.read_text())["dockerImages"].values():
            source = asset["source"]
            yield image_name(source), source


def image_name(source: dict[str, Any]) -> str:
    """Return an image's name: the functions' extra, `batch`, or the folder of a SageMaker job.

    A folder's name has the suffix `-gpu` if the image is for a GPU.
    """
    arguments = source.get("dockerBuildArgs", {})
    if "FUNCTIONS" in arguments:
        return str(arguments["EXTRA"])
    kind, folder, dockerfile = source["dockerFile"].split("/")
    if kind == "batch_jobs":
        return "batch"
    return f"{folder}-gpu" if dockerfile == "gpu.Dockerfile" else str(folder)


def build_command(name: str, source: dict[str, Any], *, certificates: str | None) -> list[str]:
    """Return the command line of `docker build` for one image.

    Args:
        name: Name of the image.
        source: Source of the image in the assembly.
        certificates: URL that replaces that of RDS's certificates; None for no change.
    """
    arguments = dict(source.get("dockerBuildArgs", {}))
    if certificates and "FUNCTIONS" in arguments:
        arguments["RDS_CERTIFICATES"] = certificates
    command = ["docker", "build", "--network", "host", "--tag", f"swath/{name}"]
    command += ["--file", source.get("dockerFile", "Dockerfile")]
    command += [word for k, v in arguments.items() for word in ("--build-arg", f"{k}={v}")]
    command += [word for output in source.get("dockerOutputs", ()) for word in ("--output", output)]
    return [*command, "."]


def _push_image(name: str, repository: str, layers: dict[str, int]) -> str:
    """Push an image; return a text with its size, its size of new layers, and its media type."""
    target = f"{repository}:{name}"
    started = time.monotonic()
    for command in (["tag", f"swath/{name}", target], ["push", "--quiet", target]):
        subprocess.run(["docker", *command], check=True, stdout=subprocess.DEVNULL)  # noqa: S603, S607
    seconds = time.monotonic() - started
    host, _, path = repository.partition("/")
    request = urllib.request.Request(
        f"http://{host}/v2/{path}/manifests/{name}",
        headers={"Accept": f"{_DOCKER_MANIFEST}, {_OCI_MANIFEST}"},
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310 - the user's registry
        media_type, manifest = response.headers["Content-Type"], json.load(response)
    sizes = {layer["digest"]: layer["size"] for layer in manifest["layers"]}
    new = sum(size for digest, size in sizes.items() if digest not in layers)
    layers.update(sizes)
    return (
        f"pushed in {seconds:.1f} s, {sum(sizes.values()) / 1e6:.0f} MB compressed, "
        f"{new / 1e6:.1f} MB of them new, {media_type}"
    )


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("assembly", type=Path, help="the folder of a synthesized assembly")
    parser.add_argument("names", nargs="*", help="names of images; all by default")
    parser.add_argument("--certificates", help="a URL that replaces that of RDS's certificates")
    parser.add_argument("--push", metavar="HOST:PORT/NAME", help="a registry without TLS")
    return parser.parse_intermixed_args()


if __name__ == "__main__":
    sys.exit(main())
