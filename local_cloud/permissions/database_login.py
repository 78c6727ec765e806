"""Decide whether the signer of a database token may connect, as RDS does with IAM.

https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
"""

from __future__ import annotations

from collections.abc import Iterable

from local_cloud.clients import ACCOUNT, ADMINISTRATOR_CREDENTIALS
from local_cloud.permissions.access import Access, UnknownCredentialsError
from local_cloud.postgis.tokens import Token


def refusal_reason(access: Access, clusters: Iterable[str], token: Token) -> str:
    """Return the reason why the signer of a token may not connect; empty if the signer may.

    Args:
        access: Roles and their credentials.
        clusters: Resource ids of the clusters that the server represents.
        token: Unexpired token for the server and one of its users.
    """
    try:
        caller = access.identify_caller(token.key, token.session)
    except UnknownCredentialsError as error:
        return str(error)
    secret = ADMINISTRATOR_CREDENTIALS[1] if caller is None else caller.secret_access_key
    if not token.is_signed_with(secret):
        return f"the token is not signed with the secret key of {token.key}"
    if caller is None:
        return ""
    prefix = f"arn:aws:rds-db:{token.region}:{ACCOUNT}:dbuser"
    for cluster in clusters:
        if access.allows(caller.role_arn, "rds-db:connect", f"{prefix}:{cluster}/{token.user}"):
            return ""
    return f"{caller.role_arn} is not authorized to perform rds-db:connect as {token.user}"
