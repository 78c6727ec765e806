"""Issue credentials of roles, and decide what each role may do.

Policies come from moto's IAM, where the template put them; credentials come from moto's STS.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import secrets
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moto.iam.models import iam_backends
from moto.sts.models import sts_backends

from local_cloud.clients import ACCOUNT, ADMINISTRATOR_CREDENTIALS, REGION, Clients
from local_cloud.errors import LocalCloudError
from local_cloud.permissions.call_log import CALLS_FILE, CallLog
from local_cloud.permissions.policies import Call, Statement, is_allowed, parse_statements, trusts

logger = logging.getLogger("local_cloud")

# ECS's agent serves containers' credentials under such a path, at an address of its own:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
CREDENTIALS_PATH = "/v2/credentials/"
# Duration of a session, and the minimum time left when its credentials are issued.
_SESSION_DURATION = dt.timedelta(hours=12)
_MIN_TIME_LEFT = dt.timedelta(hours=6)


class AccessDeniedError(LocalCloudError):
    """A role does not grant a service a permission that the service needs."""


class UnknownCredentialsError(LocalCloudError):
    """Credentials were never issued, or have expired; `code` is AWS's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Session:
    """Temporary credentials of a role."""

    key: str
    secret: str
    token: str
    expires: dt.datetime

    @property
    def variables(self) -> dict[str, str]:
        """Environment variables that Lambda sets."""
        return {
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_SESSION_TOKEN": self.token,
        }

    @property
    def is_fresh(self) -> bool:
        """True if more than half of the session's time is left."""
        return self.expires - dt.datetime.now(dt.UTC) > _MIN_TIME_LEFT


class Access:
    """Decide which role may do what.

    Moto's edge checks each request, and services check their own use of a role.
    """

    def __init__(self, endpoint: str, clients: Clients, folder: Path) -> None:
        self._endpoint = endpoint
        self._clients = clients
        self._call_log = CallLog(folder / CALLS_FILE)
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._clients_by_session: dict[tuple[str, str, str], Clients] = {}
        self._container_roles: dict[str, tuple[str, str]] = {}

    def session(self, role: str, service: str) -> Session:
        """Return credentials of a role that a service assumes.

        Args:
            role: ARN of the role.
            service: Principal that assumes the role, such as `lambda.amazonaws.com`.

        Raises:
            AccessDeniedError: The role does not exist, or does not trust the service.
        """
        details = _get_role(role)
        if details is None or not trusts(_to_json(details.assume_role_policy_document), service):
            raise AccessDeniedError(f"{service} cannot assume the role {role}")
        with self._lock:
            session = self._sessions.get(role)
            if session is None or not session.is_fresh:
                session = self._sessions[role] = self._assume(role, service)
            return session

    def container_variables(self, role: str, service: str) -> dict[str, str]:
        """Return the variables with which a container gets its role's credentials.

        AWS's services set AWS_CONTAINER_CREDENTIALS_RELATIVE_URI, which refers to an address that
        this machine does not have. Here the full URI is set instead.
        """
        self.session(role, service)
        with self._lock:
            names = {pair: name for name, pair in self._container_roles.items()}
            name = names.get((role, service)) or secrets.token_urlsafe(24)
            self._container_roles[name] = (role, service)
        return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{self._endpoint}{CREDENTIALS_PATH}{name}"}

    def container_credentials(self, name: str) -> dict[str, str] | None:
        """Return the credentials that a container requests; None if there is no such container."""
        if name not in self._container_roles:
            return None
        role, service = self._container_roles[name]
        session = self.session(role, service)
        return {
            "RoleArn": role,
            "AccessKeyId": session.key,
            "SecretAccessKey": session.secret,
            "Token": session.token,
            "Expiration": session.expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }

    def client(self, service: str, region: str, *, role: str, principal: str) -> Any:
        """Return a client with which a service acts as a role.

        Raises:
            AccessDeniedError: The service cannot assume the role.
        """
        session = self.session(role, principal)
        with self._lock:
            created = self._clients_by_session.get((role, session.key, region))
            if created is None:
                created = Clients(self._endpoint, session.key, session.secret, session.token)
                self._clients_by_session[role, session.key, region] = created
        return created.get(service, region)

    def identify_caller(self, key: str, token: str) -> Any:
        """Return the assumed role of an access key; None for the administrator.

        Raises:
            UnknownCredentialsError: The credentials were never issued, or have expired.
        """
        if key == ADMINISTRATOR_CREDENTIALS[0]:
            return None
        for assumed in sts_backends[ACCOUNT]["aws"].assumed_roles:
            if assumed.access_key_id == key and assumed.session_token == token:
                if assumed.expiration.replace(tzinfo=dt.UTC) < dt.datetime.now(dt.UTC):
                    raise UnknownCredentialsError(
                        "ExpiredToken", "The security token included in the request is expired"
                    )
                return assumed
        raise UnknownCredentialsError(
            "UnrecognizedClientException",
            f"The security token included in the request is invalid: the local cloud did not issue "
            f"{key!r}; the key and secret of its administrator are "
            f"{' and '.join(ADMINISTRATOR_CREDENTIALS)}",
        )

    def allows(
        self, role: str, action: str, resource: str, context: Mapping[str, str] | None = None
    ) -> bool:
        """Decide whether a role's policies grant an action, and record the decision.

        Args:
            role: ARN or name of the role.
            action: Action as policies name it.
            resource: ARN of the resource, or `*`.
            context: Condition keys and values.
        """
        name = role.rpartition("/")[2]
        call = Call(name, action, resource, tuple(sorted((context or {}).items())))
        allowed = is_allowed(call, get_role_statements(name))
        self._call_log.add(call, allowed=allowed)
        if not allowed:
            logger.warning("%s may not %s", name, call)
        return allowed

    def require(
        self, role: str, *actions: str, resource: str, context: Mapping[str, str] | None = None
    ) -> None:
        """Require the permissions that a service itself needs from a role.

        Raises:
            AccessDeniedError: The role's policies do not grant an action.
        """
        refused = [action for action in actions if not self.allows(role, action, resource, context)]
        if refused:
            raise AccessDeniedError(
                f"the role {role} is not authorized to perform: {', '.join(refused)} on "
                f"resource: {resource}"
            )

    def _assume(self, role: str, service: str) -> Session:
        created = self._clients.get("sts", REGION).assume_role(
            RoleArn=role,
            RoleSessionName=service.partition(".")[0],
            DurationSeconds=int(_SESSION_DURATION.total_seconds()),
        )["Credentials"]
        return Session(
            created["AccessKeyId"],
            created["SecretAccessKey"],
            created["SessionToken"],
            created["Expiration"],
        )


def get_role_statements(role: str) -> list[Statement]:
    """Return all statements of the identity policies of a role, by its name."""
    details = _get_role(role)
    return [] if details is None else list(_iter_statements(details))


def _iter_statements(role: Any) -> Iterator[Statement]:
    for document in role.policies.values():
        yield from parse_statements(_to_json(document))
    for policy in role.managed_policies.values():
        default = next(version for version in policy.versions if version.is_default)
        yield from parse_statements(_to_json(default.document))


def _get_role(role: str) -> Any:
    name = role.rpartition("/")[2]
    roles = iam_backends[ACCOUNT]["aws"].roles
    return next((each for each in list(roles.values()) if each.name == name), None)


def _to_json(document: Any) -> str:
    return document if isinstance(document, str) else json.dumps(document)
