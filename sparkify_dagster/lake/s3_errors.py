"""What went wrong at S3, in one line with its remedy; s3_errors.yaml has the meanings."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from botocore.exceptions import BotoCoreError, ClientError

LIST, READ, WRITE, DELETE = "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"

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
    response = getattr(error, "response", {})
    code, status = _answer(error)
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    meaning = _meaning(error)
    text = meaning.get("means_listed") if request.was_listed else None
    said = str(text or meaning["means"]).format(
        code=code,
        status=status,
        message=" ".join(str(response.get("Error", {}).get("Message", "") or error).split()),
        region=headers.get("x-amz-bucket-region") or "its region",
        right=request.right,
        bucket=request.bucket,
        variable=request.variable,
        endpoint=_without_user(request.endpoint),
        resource=request.bucket if request.right == LIST else f"{request.bucket}/{request.key}",
        decrypt=" (and kms:Decrypt where a KMS key encrypts it)" if request.right == READ else "",
    )
    return f"s3://{request.bucket}/{request.key}: {said}"


def is_transient(error: BotoCoreError | ClientError) -> bool:
    """Tell whether a fault may be gone some minutes later."""
    return bool(_meaning(error).get("transient"))


def _answer(error: BotoCoreError | ClientError) -> tuple[str, int]:
    """Return the code and the HTTP status of a refusal; of other faults the name, and 0."""
    if not isinstance(error, ClientError):
        return type(error).__name__, 0
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code, int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _meaning(error: BotoCoreError | ClientError) -> dict[str, Any]:
    code, status = _answer(error)
    is_refusal = isinstance(error, ClientError)
    names = {code} if is_refusal else {kind.__name__ for kind in type(error).__mro__}
    for meaning in _MEANINGS:
        if names & set(meaning["codes"].split()) or min(status, 500) == meaning.get("status"):
            return dict(meaning)
    return {
        "means": "refused ({code}, HTTP status {status}): {message}"
        if is_refusal
        else "{code}: {message}"
    }


def _without_user(endpoint: str) -> str:
    """Return an endpoint without the user and password that its URL may hold."""
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
