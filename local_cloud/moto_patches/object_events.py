"""Send S3's "Object Created" events to EventBridge in S3's format.

AWS: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html

Moto 5.2.5 writes `eTag` for `etag`, and gives every event the same sequencer, request id and event
id. It swallows all errors of the delivery.
"""

from __future__ import annotations

import itertools
import json
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from typing import Any

from moto.events.models import events_backends
from moto.s3 import notifications

from local_cloud.faults.kinds import EventLate
from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

logger = logging.getLogger("local_cloud")

NAME = "object_events"

_sequence = itertools.count(time.time_ns())


def apply(patcher: Patcher, services: Services) -> None:
    """Send events with S3's field names, in order and with unique ids."""

    def send(account_id: str, bucket: Any, event_name: str, key: Any) -> None:
        # The content of the event is final when the object is put, even if it arrives late.
        detail = _build_detail(account_id, bucket, event_name, key)
        late = services.faults.trigger(EventLate)
        if late is None:
            _send(account_id, bucket, event_name, detail)
            return
        timer = threading.Timer(late.seconds, _send, (account_id, bucket, event_name, detail))
        timer.daemon = True
        timer.start()

    patcher.replace(notifications, "_send_event_bridge_message", send)


def _send(account_id: str, bucket: Any, event_name: str, detail: Mapping[str, Any]) -> None:
    try:
        backend = events_backends[account_id][bucket.region_name]
        event: Any = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": notifications._detail_type(event_name),
            "source": "aws.s3",
            "account": account_id,
            "time": time.time(),
            "region": bucket.region_name,
            "resources": [bucket.arn],
            "detail": detail,
        }
        for bus in backend.event_buses.values():
            for rule in list(bus.rules.values()):
                rule.send_to_targets(event, transform_input=False)
    except Exception:
        # The object exists all the same, as in S3, where delivery follows the response.
        logger.exception("the event of %s in %s was not delivered", detail["object"], bucket.name)


def _build_detail(account_id: str, bucket: Any, event_name: str, key: Any) -> dict[str, Any]:
    described = {
        "key": key.name,
        "size": key.size,
        "etag": json.loads(key.etag) if key.etag.startswith('"') else key.etag,
        "version-id": key.version_id if bucket.is_versioned else None,
        "sequencer": f"{next(_sequence):016X}",
    }
    return {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": {name: value for name, value in described.items() if value is not None},
        "request-id": uuid.uuid4().hex[:16].upper(),
        "requester": account_id,
        "source-ip-address": "127.0.0.1",
        "reason": _REASONS.get(event_name.rsplit(":", maxsplit=1)[-1], event_name),
    }


_REASONS = {
    "Put": "PutObject",
    "Post": "POST Object",
    "Copy": "CopyObject",
    "CompleteMultipartUpload": "CompleteMultipartUpload",
    "Delete": "DeleteObject",
}
