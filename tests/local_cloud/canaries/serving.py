"""A small container for endpoints, and endpoints of each kind that serve it."""

from __future__ import annotations

import io
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.local_cloud.canaries.aws import ROLE, Aws, new_name

SERVER = """
import json, os, pathlib, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

model = pathlib.Path(os.environ["SM_MODEL_DIR"])
if os.environ.get("BROKEN"):
    sys.exit("no weights here")
if os.environ.get("KILLED") and not (model / "killed").exists():
    (model / "killed").touch()
    os.kill(os.getpid(), signal.SIGKILL)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(200 if self.path == "/ping" else 404, b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if body == b"exit":
            os._exit(3)
        if body == b"hang":
            while True:
                pass
        if body[:1] in b"45":
            return self.answer(int(body[:3]), body[4:])
        if body[:5] == b"large":
            return self.answer(200, bytes(int(body[6:])))
        seen = {
            "path": self.path, "length": len(body), "first": body[0], "process": os.getpid(),
            "argument": sys.argv[1], "model": (model / "weights").read_text(),
            "set": os.environ.get("SET"), "inherited": os.environ.get("ONLY_HERE"),
            "headers": {k.lower(): v for k, v in self.headers.items()},
        }
        self.answer(200, json.dumps(seen).encode())

    def answer(self, status, body):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if given := self.headers.get("X-Amzn-SageMaker-Custom-Attributes"):
            self.send_header("X-Amzn-SageMaker-Custom-Attributes", given[::-1])
        self.end_headers()
        self.wfile.write(body)


port = int(os.environ["SAGEMAKER_BIND_TO_PORT"])
ThreadingHTTPServer((os.environ["SWATH_SERVE_HOST"], port), Handler).serve_forever()
"""
INSTANCE = {"InstanceType": "ml.g5.xlarge", "InitialInstanceCount": 1}
SERVERLESS = {"ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 2}}


@dataclass(frozen=True)
class Serving:
    """Makes endpoints whose container is SERVER."""

    aws: Aws
    image: str
    bucket: str

    @classmethod
    def new(cls, aws: Aws, folder: Path) -> Serving:
        """An image, and a bucket with its model."""
        dockerfile = 'FROM scratch\nENTRYPOINT ["python", "serve.py"]\nCMD ["ignored"]\n'
        image = aws.image(folder, {"Dockerfile": dockerfile, "serve.py": SERVER})
        bucket = aws.bucket()
        aws.client("s3").put_object(Bucket=bucket, Key="model.tar.gz", Body=archive("weights"))
        return cls(aws, image, bucket)

    @property
    def container(self) -> dict[str, Any]:
        url = f"s3://{self.bucket}/model.tar.gz"
        return {"Image": self.image, "ModelDataUrl": url, "Environment": {"SET": "by the model"}}

    def endpoint(
        self,
        variant: dict[str, Any] = INSTANCE,
        *,
        container: dict[str, Any] | None = None,
        asynchronous: dict[str, Any] | None = None,
    ) -> str:
        """An endpoint; its name."""
        name, sagemaker = new_name(), self.aws.client("sagemaker")
        given = self.container if container is None else container
        sagemaker.create_model(ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=given)
        sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[{"VariantName": "AllTraffic", "ModelName": name, **variant}],
            **({"AsyncInferenceConfig": asynchronous} if asynchronous else {}),
        )
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        return name


def archive(name: str) -> bytes:
    """A model's archive with one file, which holds its own name."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as opened:
        member = tarfile.TarInfo(name)
        member.size = len(name)
        opened.addfile(member, io.BytesIO(name.encode()))
    return buffer.getvalue()
