"""Tests of telemetry: no command and no imported library contacts a host that nobody named."""

import os

import pytest

from swath.observability import telemetry
from tests.helpers import networks
from tests.helpers.dns_lookups import ROOT, record_dns_lookups
from tests.helpers.exports import export, ultralytics_notes
from tests.helpers.labeled import around, dots, write_coco
from tests.helpers.packages import write_package
from tests.helpers.squares import OPTIONS

# The trainings are tiny, but they import torch.
pytestmark = pytest.mark.timeout(300)
PLACES = [(5, 5), (40, 40), (80, 20)]

LOAD = """
import sys, threading
import numpy as np
from swath.models.package import load_package
from swath.models.runtimes.load import load_model
model = load_model(load_package(sys.argv[1]), runtime=sys.argv[2])
model([np.zeros((3, 16, 16), np.uint8)])
# ONNX Runtime gathers what it reports, and asks for its host seconds after the first session.
threading.Event().wait(12)
"""
SERVE = """
import subprocess, sys, threading
from urllib.error import URLError
from urllib.request import Request, urlopen
server = subprocess.Popen([sys.executable, "-m", "sagemaker_jobs.serve_model", "serve"])
url, scene = "http://127.0.0.1:8080", open(sys.argv[1], "rb").read()
while server.poll() is None:
    try:
        urlopen(url + "/ping").read()
        break
    except URLError:
        pass
urlopen(Request(url + "/invocations", scene, {"content-type": "image/tiff"})).read()
threading.Event().wait(12)  # as above
server.kill()
"""


@pytest.fixture
def asked(tmp_path):
    """Return a function that runs Python offline and returns the host names that it resolved."""
    return lambda *arguments, **env: record_dns_lookups(list(map(str, arguments)), tmp_path, **env)


@pytest.fixture
def swath(asked):
    return lambda *arguments: asked("-m", "swath", *arguments)


@pytest.fixture
def scene(make_scene):
    return make_scene(dots(PLACES))


def test_a_name_that_is_asked_for_is_noted(asked):
    code = "import socket\ntry: socket.getaddrinfo('reports.example', 443)\nexcept OSError: pass"

    assert "reports.example" in asked("-c", code)


def test_a_run_asks_for_nobody(swath, scene, package, tmp_path):
    assert swath("run", scene, "--model", package, "--out", tmp_path / "out") == []


def test_a_package_is_made_and_checked_without_asking(swath, tmp_path):
    path = export(
        tmp_path / "best.onnx",
        {"output0": ["batch", 5, 84]},
        metadata=ultralytics_notes("detect", ["ship"]),
    )
    made = tmp_path / "boats"

    options = ("--from", "ultralytics", "--bands", "red,green,blue", "--out", made)
    assert swath("model", "init", path, *options) == []
    assert swath("model", "check", made) == []


@pytest.mark.parametrize("runtime", ["onnx", "openvino"])
def test_no_runtime_asks_for_its_maker(asked, runtime, tmp_path):
    weights = networks.onnx_network().SerializeToString()
    package = write_package(tmp_path / "network", networks.describe, weights=weights)

    assert asked("-c", LOAD, package, runtime) == []


def test_a_package_is_measured_and_shrunk_without_asking(swath, scene, package, tmp_path):
    labels = write_coco(tmp_path / "labels.json", [("scene.tif", around(PLACES))])

    assert swath("evaluate", package, labels, tmp_path, "--out", tmp_path / "out") == []
    options = ("--precision", "float16", "--scene", scene)
    assert swath("model", "optimize", package, "--out", tmp_path / "half", *options) == []


def test_a_model_is_trained_and_run_by_torch_without_asking(swath, squares, tmp_path):
    """Check a training and `check`, which runs the package's torch weights too."""
    few = OPTIONS | {"epochs": "1", "crops": "8", "network.channels": "[4,4]", "workers": "0"}
    chosen = (f"--set={key}={value}" for key, value in few.items())
    labels, scenes = squares / "labels.json", squares / "scenes"

    assert swath("train", labels, scenes, "--out", tmp_path / "out", *chosen) == []
    assert swath("model", "check", tmp_path / "out" / "package") == []


def test_a_server_asks_for_nobody(asked, scene, package):
    assert asked("-c", SERVE, scene, SM_MODEL_DIR=str(package), SWATH_SERVE_HOST="127.0.0.1") == []


def test_the_template_is_made_without_asking(asked, tmp_path):
    quiet = {"CDK_OUTDIR": str(tmp_path / "cdk.out"), "CDK_VALIDATION": "false"}

    assert asked("-m", "infra.app", **quiet) == []


def test_a_job_is_launched_without_asking(asked):
    """Check that a launch reports nothing.

    SageMaker's SDK reports each call unless configured not to.
    """
    one = "tests/unit/sagemaker/jobs/test_train.py::test_a_job_is_asked_for_as_it_should_be"

    assert asked("-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", one) == []


IMAGES = sorted(
    str(path.relative_to(ROOT))
    for folder in ("batch_jobs", "lambdas", "sagemaker_jobs")
    for path in (ROOT / folder).rglob("*Dockerfile")
)


@pytest.mark.parametrize("image", IMAGES)
def test_each_image_sets_the_switches_of_what_it_holds(image):
    """Check that programs which start before swath, or without it, report nothing either."""
    text = (ROOT / image).read_text()

    for name in telemetry.IMAGE_VARIABLES:
        assert f"{name}={telemetry.VARIABLES[name]}" in text, name


def test_what_somebody_has_set_is_kept(monkeypatch):
    monkeypatch.setenv("ORT_DISABLE_TELEMETRY", "0")
    monkeypatch.delenv("PROJ_NETWORK", raising=False)

    telemetry.switch_off()

    assert os.environ["ORT_DISABLE_TELEMETRY"] == "0"
    assert os.environ["PROJ_NETWORK"] == "OFF"
