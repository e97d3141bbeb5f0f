"""What went wrong at S3, in one line with its remedy; refusals' meanings are in s3_errors.yaml."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
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
_MEANINGS = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


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
    return bool(_meaning(*_answer(error)).get("transient"))


def _answer(error: ClientError) -> tuple[str, int]:
    """Return the code and the HTTP status of a refusal."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code, int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _meaning(code: str, status: int) -> dict[str, Any]:
    for meaning in _MEANINGS:
        if code in meaning["codes"].split() or min(status, 500) == meaning.get("status"):
            return dict(meaning)
    return {"means": "refused ({code}, HTTP status {status}): {message}"}


def _refusal(error: ClientError, request: Request) -> str:
    """Return what the endpoint's answer means and what helps."""
    code, status = _answer(error)
    meaning = _meaning(code, status)
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    text = meaning.get("means_listed") if request.was_listed else None
    return str(text or meaning["means"]).format(
        code=code,
        status=status,
        message=_one_line(error.response.get("Error", {}).get("Message", "")),
        region=headers.get("x-amz-bucket-region") or "its region",
        right=request.right,
        bucket=request.bucket,
        variable=request.variable,
        resource=request.bucket if request.right == LIST else f"{request.bucket}/{request.key}",
        decrypt=" (and kms:Decrypt where a KMS key encrypts it)" if request.right == READ else "",
    )


def _one_line(message: object) -> str:
    return " ".join(str(message).split())


def _without_user(endpoint: str) -> str:
    """Return an endpoint without the user and password that its URL may hold."""
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
