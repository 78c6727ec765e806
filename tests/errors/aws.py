"""Faults of AWS: missing settings, services that do not respond, and refused requests."""

from swath.cli import EXIT_FAILED, EXIT_INPUT
from tests.errors.fault import Fault, run

_GROUP = "AWS"
_NO_CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": None,
    "AWS_SECRET_ACCESS_KEY": None,
    "AWS_SESSION_TOKEN": None,
    "AWS_CONFIG_FILE": "none",
    "AWS_SHARED_CREDENTIALS_FILE": "none",
}
_NO_REGION = {"AWS_DEFAULT_REGION": None, "AWS_REGION": None, "AWS_CONFIG_FILE": "none"}
_VERSION = "arn:aws:sagemaker:eu-west-1:123456789012:model-package/ships/1"


def faults():
    """No credentials, region or network, and each kind of refusal."""
    yield from _of_s3()
    yield from _of_keys()
    train = ("train", "-", "s3://bucket/images", "--on-sagemaker", "--yes")
    transform = ("transform", "s3://b/model.tar.gz", "s3://b/images/", "s3://b/out/")
    register = ("model", "register", "s3://b/model.tar.gz", "ships")
    versions = ("model", "versions", "a-group")
    commands = (
        train,
        ("invoke", "scene.tif", "--endpoint", "detector"),
        versions,
        transform,
        register,
        ("model", "approve", _VERSION),
        ("model", "reject", _VERSION),
    )
    for words in commands:
        yield Fault(_GROUP, "no region", words, 1, _NO_REGION)
        yield Fault(_GROUP, "no credentials", words, 1, _NO_CREDENTIALS)
        for code in ("AccessDeniedException", "ExpiredTokenException", "ResourceLimitExceeded",
                     "ThrottlingException"):  # fmt: skip
            yield Fault(_GROUP, f"AWS answers {code}", words, 1, _answers(code))
    for words in (train, transform, register):
        yield Fault(_GROUP, "the stack is not deployed", words, 2, _answers("ValidationError"))
    yield Fault(_GROUP, "the group is not there", versions, 2, _answers("ResourceNotFound"))
    for name, words in {
        "the endpoint": ("invoke", "scene.tif", "--endpoint", "detector"),
        "the version": ("model", "approve", "no-arn"),
        "the version to reject": ("model", "reject", "no-arn"),
    }.items():
        yield Fault(_GROUP, f"{name} is not there", words, 2, _answers("ValidationException"))


def _of_s3():
    scene = run("s3://bucket/scene.tif")
    yield Fault(_GROUP, "no credentials", scene, 1, _NO_CREDENTIALS)
    yield Fault(_GROUP, "a profile that is not there", scene, 1, {"AWS_PROFILE": "absent"})
    closed = {"AWS_ENDPOINT_URL": "http://127.0.0.1:{closed}", "AWS_MAX_ATTEMPTS": "1"}
    yield Fault(_GROUP, "no network", scene, 1, closed)
    yield Fault(_GROUP, "an endpoint that is no URL", scene, 1, {"AWS_ENDPOINT_URL": "nowhere"})
    for code in ("AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "NoSuchBucket", "SlowDown",
                 "InternalError"):  # fmt: skip
        expected = EXIT_INPUT if code == "NoSuchBucket" else EXIT_FAILED
        for words in (scene, ("model", "show", "s3://bucket/model.tar.gz")):
            yield Fault(_GROUP, f"S3 answers {code}", words, expected, _answers(code))
    publish = ("model", "publish", "packages/good", "--to", "s3://bucket/models")
    yield Fault(_GROUP, "no credentials", publish, 1, _NO_CREDENTIALS)
    yield Fault(_GROUP, "S3 answers AccessDenied", publish, 1, _answers("AccessDenied"))


def _of_keys():
    """Keys that are names, not paths, and keys of the greatest length: the object is a text."""
    for wrong, key in {
        "with /./": "a/./b.tif",
        "with /../": "a/../b.tif",
        "with //": "a//b.tif",
        "of a point": ".",
        "with a plus, a percent and a space": "a+b %20 c.tif",
        "of 1,021 bytes": "k" * 1017 + ".tif",
        "of 1,024 bytes": "k" * 1020 + ".tif",
        "of 1,024 bytes in letters of three": "日" * 340 + ".tif",
    }.items():
        words = run(f"s3://bucket/{key}")
        yield Fault(
            _GROUP, f"no image at a key {wrong}", words, EXIT_INPUT, {"AWS_ENDPOINT_URL": "{s3}"}
        )


def _answers(code):
    return {"AWS_ENDPOINT_URL": "{aws}/" + code, "AWS_MAX_ATTEMPTS": "1"}
