"""Create boto3 clients that can only reach the local cloud."""

from __future__ import annotations

import threading
from typing import Any

import boto3
from botocore.config import Config

ACCOUNT = "123456789012"
REGION = "eu-west-1"
# Access key and secret of the administrator, who may do everything.
ADMINISTRATOR_CREDENTIALS = ("local", "local")


class Clients:
    """Cached boto3 clients of one endpoint: creating a client is slow and not thread-safe."""

    def __init__(
        self,
        endpoint: str,
        key: str = ADMINISTRATOR_CREDENTIALS[0],
        secret: str = ADMINISTRATOR_CREDENTIALS[1],
        token: str | None = None,
    ) -> None:
        """Store an endpoint and the credentials for it, by default the administrator's."""
        self._endpoint = endpoint
        self._credentials = {
            "aws_access_key_id": key,
            "aws_secret_access_key": secret,
            "aws_session_token": token,
        }
        self._lock = threading.Lock()
        self._session: Any = None
        self._clients: dict[tuple[str, str], Any] = {}

    def get(self, service: str, region: str = REGION) -> Any:
        """Return the client of a service."""
        with self._lock:
            if (service, region) not in self._clients:
                self._clients[service, region] = self._create(service, region)
            return self._clients[service, region]

    def _create(self, service: str, region: str) -> Any:
        self._session = self._session or boto3.Session()
        return self._session.client(
            service,
            region_name=region,
            endpoint_url=self._endpoint,
            **self._credentials,
            config=Config(
                retries={"total_max_attempts": 1},
                read_timeout=1000,
                max_pool_connections=64,
                s3={"addressing_style": "path"},
            ),
        )
