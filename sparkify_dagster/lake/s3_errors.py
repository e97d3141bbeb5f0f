"""What went wrong at S3, in one line with its remedy; s3_errors.yaml has the meanings."""

from pathlib import Path
from urllib.parse import urlsplit

import yaml
from botocore.exceptions import BotoCoreError, ClientError

from sparkify_dagster.lake.base import LakeError

LIST, READ, WRITE, DELETE = "s3:ListBucket", "s3:GetObject", "s3:PutObject", "s3:DeleteObject"

_MEANINGS = yaml.load(
    Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"), yaml.CSafeLoader
)


def explain(
    error: BotoCoreError | ClientError,
    right: str,
    bucket: str,
    key: str,
    variable: str,
    endpoint: str,
    was_listed: bool,
) -> LakeError:
    """Return what to tell people about a fault, and whether it passes; no secret is in it.

    `right` is what the request takes, as IAM names it; `variable` is the setting that names the
    bucket; `was_listed` is an object that was there when the lake was listed.
    """
    # Other exceptions may have one as well: of HTTP, or None.
    response = error.response if isinstance(error, ClientError) else {}
    metadata = response.get("ResponseMetadata", {})
    headers, status = metadata.get("HTTPHeaders", {}), int(metadata.get("HTTPStatusCode", 0))
    code = str(response.get("Error", {}).get("Code", "")) if response else type(error).__name__
    names = {code} if response else {kind.__name__ for kind in type(error).__mro__}
    fitting = (
        meaning
        for meaning in _MEANINGS
        if names & set(meaning["codes"].split()) or min(status, 500) == meaning.get("status")
    )
    meaning = next(fitting, _MEANINGS[-1])
    text = meaning.get("means_listed") if was_listed else None
    said = str(text or meaning["means"]).format(
        code=code,
        status=status,
        message=" ".join(str(response.get("Error", {}).get("Message", "") or error).split()),
        region=headers.get("x-amz-bucket-region") or "its region",
        right=right,
        bucket=bucket,
        variable=variable,
        endpoint=_without_user(endpoint),
        resource=bucket if right == LIST else f"{bucket}/{key}",
        decrypt=" (and kms:Decrypt where a KMS key encrypts it)" if right == READ else "",
    )
    explained = LakeError(f"s3://{bucket}/{key}: {said}")
    explained.transient = bool(meaning.get("transient"))
    return explained


def _without_user(endpoint: str) -> str:
    """Return an endpoint without the user and password that its URL may hold."""
    parts = urlsplit(endpoint)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
