"""What went wrong at S3, in one line with its remedy.

Source of the codes: Amazon S3 API Reference, "Error responses".
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from botocore import exceptions
from botocore.exceptions import BotoCoreError, ClientError

LIST, READ, WRITE, DELETE = "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"

_NO_CREDENTIALS = (
    exceptions.NoCredentialsError,
    exceptions.PartialCredentialsError,
    exceptions.CredentialRetrievalError,
    exceptions.ProfileNotFound,
    exceptions.SSOError,
    exceptions.TokenRetrievalError,
    exceptions.RefreshWithMFAUnsupportedError,
    exceptions.InvalidConfigError,
    exceptions.ConfigParseError,
)
_BROKEN = (
    exceptions.ConnectionError,
    exceptions.HTTPClientError,
    exceptions.IncompleteReadError,
)
_DENIED = {"AccessDenied", "AllAccessDisabled", "AccountProblem"}
_REFUSED_CREDENTIALS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "TokenRefreshRequired",
    "RequestTimeTooSkewed",
    "RequestExpired",
}
_ELSEWHERE = {
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}
_OVERLOADED = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "Throttling"}


@dataclass(frozen=True)
class Request:
    """What was asked of S3."""

    right: str  # that it takes, as IAM names it
    bucket: str
    key: str
    variable: str  # the setting that names the bucket
    endpoint: str
    was_listed: bool = False  # the object was there when the lake was listed


def explain(error: BotoCoreError | ClientError, request: Request) -> str:
    """Return what to tell people about a fault; no secret is in it."""
    if isinstance(error, ClientError):
        return f"s3://{request.bucket}/{request.key}: {_refusal(error, request)}"
    name = type(error).__name__
    if isinstance(error, _NO_CREDENTIALS):
        text = (
            f"no usable AWS credentials ({name}); set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or run where a role gives them"
        )
    elif isinstance(error, _BROKEN):
        text = (
            f"the endpoint {_without_user(request.endpoint)} cannot be reached or broke off "
            f"({name}); check AWS_ENDPOINT_URL, AWS_REGION, the network and, for a private "
            "certificate authority, AWS_CA_BUNDLE; then run again"
        )
    else:
        text = f"{name}: {_one_line(error)}"
    return f"s3://{request.bucket}/{request.key}: {text}"


def is_transient(error: BotoCoreError | ClientError) -> bool:
    """Tell whether a fault may be gone some minutes later."""
    if not isinstance(error, ClientError):
        return isinstance(error, _BROKEN)
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    return code in _OVERLOADED or status >= 500


def _refusal(error: ClientError, request: Request) -> str:
    """Return what the endpoint's answer means and what helps; the first that fits."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    answer = error.response.get("ResponseMetadata", {})
    status = int(answer.get("HTTPStatusCode", 0))
    message = error.response.get("Error", {}).get("Message", "")
    there = answer.get("HTTPHeaders", {}).get("x-amz-bucket-region") or "its region"
    resource = request.bucket if request.right == LIST else f"{request.bucket}/{request.key}"
    decrypt = " (and kms:Decrypt where a KMS key encrypts it)" if request.right == READ else ""
    missing = code == "NoSuchKey" or status == 404
    meanings = (
        (code == "InvalidObjectState", "is archived; restore it and run again"),
        (
            code in _REFUSED_CREDENTIALS,
            f"the credentials are refused ({code}); renew them, or check AWS_PROFILE, "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and the machine's clock",
        ),
        (
            code in _DENIED or status == 403,
            f"access denied ({code}); allow {request.right} on arn:aws:s3:::{resource}{decrypt}",
        ),
        (
            code == "NoSuchBucket",
            f"there is no bucket {request.bucket!r}; correct {request.variable}, or "
            "AWS_ENDPOINT_URL if it names another store",
        ),
        (
            code in _ELSEWHERE or status == 301,
            f"the bucket is not in the region asked ({code}); set AWS_REGION to {there}, and "
            "AWS_ENDPOINT_URL, if set, to an endpoint of that region",
        ),
        (
            missing and request.was_listed,
            "has gone since it was listed; put it back, or run again without it",
        ),
        (missing, f"is missing; put it there, or correct {request.variable}"),
        (
            code == "PreconditionFailed" or status == 412,
            "has changed since it was listed; run again, which loads it as it is now",
        ),
        (
            code in _OVERLOADED or status >= 500,
            f"S3 is overloaded or failing ({code}) after several tries; run again later",
        ),
        (True, f"refused ({code}, HTTP status {status}): {_one_line(message)}"),
    )
    return next(text for fits, text in meanings if fits)


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _without_user(endpoint: str) -> str:
    """Return an endpoint without the user and password that its URL may hold."""
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
