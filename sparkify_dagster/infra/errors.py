"""Errors of provisioning as one line: what failed, which right or limit it was, the remedy."""

import re

ACCESS_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure.Unauthorized"}
)
BAD_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "RequestExpired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
THROTTLED = frozenset(
    {"RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException"}
)


class InfraError(Exception):
    """Provisioning cannot go on; the message is one line and says what to do."""


def error_code(error: Exception) -> str:
    """Return the AWS error code of a botocore ClientError, or an empty text."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def explain(error: Exception, service: str) -> str:
    """Return one line for an error of botocore; `service` is the IAM prefix of the failed call."""
    code = error_code(error)
    if not code:
        return _explain_client_side(error)
    operation = getattr(error, "operation_name", "")
    message = " ".join(str(error.response["Error"].get("Message", "")).split())  # type: ignore[attr-defined]
    if code in ACCESS_DENIED:
        named = re.search(r"not authorized to perform:? ([\w-]+:\w+)", message)
        action = named[1] if named else f"{service}:{operation}"
        return (
            f"AWS refuses {action}: these credentials lack that right. Ask for {action}, then run "
            f"the command again. AWS says: {message}"
        )
    if code in BAD_CREDENTIALS:
        return (
            f"AWS does not accept the credentials ({code}): sign in again (aws sso login), or "
            f"check AWS_PROFILE, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. AWS says: {message}"
        )
    return _explain_limit(code, f"{service}:{operation}", message)


def _explain_limit(code: str, call: str, message: str) -> str:
    if code in THROTTLED:
        return f"AWS throttles {call} ({code}): wait a minute and run again"
    if "Quota" in code or "LimitExceeded" in code:
        return (
            f"{call} reaches a quota of the account ({code}): delete what is unused or ask for "
            f"more under Service Quotas, then run again. AWS says: {message}"
        )
    if "InsufficientC" in code:
        return (
            f"AWS has no capacity for {call} now ({code}): run again later, or with another size "
            f"or region. AWS says: {message}"
        )
    return f"{call} failed ({code}): {message}"


def _explain_client_side(error: Exception) -> str:
    kind = type(error).__name__
    text = " ".join(str(error).split())
    if kind in {"NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError"}:
        return (
            "there are no usable AWS credentials: sign in (aws sso login), or set AWS_PROFILE, or "
            f"AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({text})"
        )
    if "SSO" in kind or "Token" in kind or kind == "ProfileNotFound":
        return f"the AWS sign-in is missing or over: run aws sso login, check AWS_PROFILE ({text})"
    if kind in {"NoRegionError", "InvalidRegionError"}:
        return f"no usable AWS region: give --region or set AWS_REGION ({text})"
    return f"AWS was not reached or answered badly ({kind}): {text}"
