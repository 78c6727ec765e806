"""Open a session of AWS's SDK for SageMaker, without telemetry.

The SDK has 150 dependencies and takes seconds to import, so it is imported only to launch a job.
"""

from __future__ import annotations

import importlib
import os
import warnings
from typing import TYPE_CHECKING, Any

import boto3

from swath import storage
from swath.errors import InputError
from swath.errors.extras import missing_module_message

if TYPE_CHECKING:
    from swath.stack import Deployment

_NO_TELEMETRY = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}


def open_session(deployment: Deployment) -> Any:
    """Return an SDK session that uses the stack's bucket, so that the SDK creates no bucket.

    Raises:
        InputError: The SDK is not installed.
    """
    # The SDK's validation simulates the role's policy against `*`. The stack's role would fail,
    # because it deliberately has access only to the stack's buckets.
    os.environ.setdefault("SAGEMAKER_VALIDATE_ROLE", "false")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the SDK's warnings about itself
            importlib.import_module("sagemaker.train.model_trainer")
            importlib.import_module("sagemaker.train.tuner")
            helper = importlib.import_module("sagemaker.core.helper.session_helper")
    except ImportError:
        raise InputError(missing_module_message("sagemaker")) from None
    bucket, prefix = storage.split_s3(deployment.jobs_uri)
    return helper.Session(
        boto_session=boto3.Session(region_name=deployment.region),
        sagemaker_config=_NO_TELEMETRY,
        default_bucket=bucket,
        default_bucket_prefix=prefix,
    )
