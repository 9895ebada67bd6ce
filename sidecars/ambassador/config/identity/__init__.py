"""The checks of the settings with AUTH, loaded only where one of them is set.

    auth_settings.AuthSettings ──▶ auth_checks ──▶ a sentence for each contradiction, and for all that is missing
    UPSTREAM ──▶ aws_hosts ──▶ the service and the region that a host of AWS stands for

- `auth_checks`: read it first.
- `aws_hosts`: host names of AWS. Pure.
"""
