"""Errors of provisioning as one line: what failed, which right it was, the remedy."""

import re
from typing import Any

import click

# AWS's errors by code, botocore's own by name: the first that fits says what helps.
_REMEDIES = (
    (r"Credential|SSO|Token|AuthFailure|Signature|RequestExpired|UnrecognizedClient|Profile",
     "AWS does not accept or find a sign-in: aws sso login, or check AWS_PROFILE and the keys"),
    (r"Region", "no usable AWS region: give --region or set AWS_REGION"),
    (r"Throttling|RequestLimitExceeded|TooManyRequests", "AWS throttles: wait a minute, run again"),
    (r"AccessDenied|Unauthorized", "AWS refuses {right}: ask for that right, then run again"),
)  # fmt: skip


class InfraError(click.ClickException):
    """Provisioning cannot go on; the message is one line and says what to do."""


def error_code(error: Any) -> str:
    """Return the AWS error code of a botocore ClientError, or an empty text."""
    return str((getattr(error, "response", None) or {}).get("Error", {}).get("Code", ""))


def explain(error: Any) -> str:
    """Return one line for an error of botocore."""
    kind, text = error_code(error) or type(error).__name__, " ".join(str(error).split())
    named = re.search(r"not authorized to perform:? ([\w-]+:\w+)", text)
    right = named[1] if named else getattr(error, "operation_name", "this")
    remedies = [remedy for pattern, remedy in _REMEDIES if re.search(pattern, kind)]
    return f"{remedies[0].format(right=right)}. ({text})" if remedies else text
