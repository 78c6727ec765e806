"""AWS's SDK for SageMaker: asked for only where a job is launched, and told to report home nothing.

It has 150 dependencies and takes seconds to import.
"""

from __future__ import annotations

import importlib
import os
import warnings
from typing import TYPE_CHECKING, Any

import boto3

from swath import storage
from swath.errors import InputError
from swath.errors.extras import not_installed

if TYPE_CHECKING:
    from swath.stack import Deployment

_NO_TELEMETRY = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


def open_session(deployment: Deployment) -> Any:
    """Return the SDK's session. Its bucket is the stack's, so that the SDK makes none of its own.

    Raises:
        InputError: the SDK is not installed.
    """
    # The SDK simulates the role's policy against `*`; the stack's role may reach its own buckets
    # only, and is right to.
    os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what its modules remark on themselves
            importlib.import_module("sagemaker.train.model_trainer")
            importlib.import_module("sagemaker.train.tuner")
            helper = importlib.import_module("sagemaker.core.helper.session_helper")
    except ImportError:
        raise InputError(not_installed("sagemaker")) from None
    bucket, prefix = storage.split_s3(deployment.jobs_uri)
    return helper.Session(
        boto_session=boto3.Session(region_name=deployment.region),
        sagemaker_config=_NO_TELEMETRY,
        default_bucket=bucket,
        default_bucket_prefix=prefix,
    )
