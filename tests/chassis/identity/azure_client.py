"""Get one token as Microsoft's libraries do it, by the variables of the environment. Run by the Python of `peers`.

azure_client.py (default | msal) SCOPE
"""

from __future__ import annotations

import os
import sys


def by_azure_identity(scope: str) -> str:
    """Return the token that azure-identity gets from the first place that it finds."""
    from azure.identity import DefaultAzureCredential, WorkloadIdentityCredential  # noqa: PLC0415 - one of two libraries

    ca = {"connection_verify": os.environ["CA"]}
    if "AZURE_FEDERATED_TOKEN_FILE" in os.environ:  # the same class as below, which passes no authorities on
        credential = WorkloadIdentityCredential(disable_instance_discovery=True, **ca)
    else:
        credential = DefaultAzureCredential(disable_instance_discovery=True, managed_identity_client_id=_client_id())
    return str(credential.get_token(scope).token)


def by_msal(scope: str) -> str:
    """Return the token that msal gets for a managed identity."""
    import msal  # noqa: PLC0415 - one of two libraries
    import requests  # noqa: PLC0415 - of msal

    client = _client_id()
    identity = msal.UserAssignedManagedIdentity(client_id=client) if client else msal.SystemAssignedManagedIdentity()
    found = msal.ManagedIdentityClient(identity, http_client=requests.Session()).acquire_token_for_client(
        resource=scope.removesuffix("/.default")
    )
    return str(found["access_token"])


def _client_id() -> str | None:
    return os.environ.get("AZURE_CLIENT_ID")


if __name__ == "__main__":
    sys.stdout.write({"default": by_azure_identity, "msal": by_msal}[sys.argv[1]](sys.argv[2]))
