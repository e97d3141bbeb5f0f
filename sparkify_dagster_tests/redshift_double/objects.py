"""What COPY reads: objects of S3, listed by a manifest or by a prefix."""

import functools
import gzip
import json
import threading
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .copy_statement import Copy
from .errors import ServerError


@dataclass(frozen=True)
class S3Object:
    """An object read for a COPY."""

    url: str
    content: bytes
    size: int
    etag: str
    last_modified: datetime


def _split(url: str) -> tuple[str, str]:
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


def _service_error(error: ClientError | BotoCoreError) -> ServerError:
    if not isinstance(error, ClientError):
        return ServerError("XX000", f"S3CurlException: {error}, CurlError 7")
    code = error.response["Error"]["Code"]
    code = {"404": "NoSuchKey", "403": "AccessDenied"}.get(code, code)
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    words = "The specified key does not exist." if code == "NoSuchKey" else str(
        error.response["Error"].get("Message", "")
    )  # fmt: skip
    return ServerError(
        "XX000", f"S3ServiceException:{words},Status {status},Error {code},Rid ,ExtRid ,CanRetry 1"
    )


@functools.cache
def _session() -> boto3.session.Session:
    """Share one session: reading botocore's service models is most of a client's cost."""
    return boto3.session.Session()


class Store:
    """S3 as the cluster sees it: an endpoint, and the region the cluster lives in."""

    def __init__(self, endpoint_url: str, region: str) -> None:
        self._endpoint_url = endpoint_url
        self._region = region
        self._regions: dict[str, str] = {}
        self._lock = threading.Lock()

    @functools.cached_property
    def _client(self) -> Any:
        return _session().client(
            "s3",
            endpoint_url=self._endpoint_url,
            region_name=self._region,
            aws_access_key_id="redshift-double",
            aws_secret_access_key="redshift-double",
            config=Config(
                max_pool_connections=8,
                proxies={},
                connect_timeout=5,
                read_timeout=30,
                retries={"max_attempts": 2},
            ),
        )

    def close(self) -> None:
        """Close the connections held."""
        if "_client" in self.__dict__:
            self._client.close()

    def _check_region(self, bucket: str, region: str) -> None:
        """Raise what S3 answers a cluster of another region without COPY's REGION."""
        with self._lock:  # also makes the client once
            if bucket not in self._regions:
                try:
                    answer = self._client.get_bucket_location(Bucket=bucket)
                except (ClientError, BotoCoreError) as error:
                    raise _service_error(error) from error
                self._regions[bucket] = answer.get("LocationConstraint") or "us-east-1"
        if self._regions[bucket] != (region or self._region):
            raise ServerError(
                "XX000",
                "S3ServiceException:The bucket you are attempting to access must be addressed "
                "using the specified endpoint. Please send all future requests to this "
                "endpoint.,Status 301,Error PermanentRedirect,Rid ,ExtRid ,CanRetry 1",
            )

    def get(self, url: str, region: str) -> S3Object:
        """Read one object. Raises ServerError XX000 as Redshift reports S3's answer."""
        bucket, key = _split(url)
        self._check_region(bucket, region)
        try:
            answer = self._client.get_object(Bucket=bucket, Key=key)
            content = answer["Body"].read()
        except (ClientError, BotoCoreError) as error:
            raise _service_error(error) from error
        modified = answer["LastModified"].astimezone(UTC).replace(tzinfo=None)
        return S3Object(url, content, len(content), answer["ETag"].strip('"'), modified)

    def keys(self, url: str, region: str) -> list[str]:
        """List the objects whose key starts with a prefix, which is a plain string."""
        bucket, prefix = _split(url)
        self._check_region(bucket, region)
        found = []
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=bucket, Prefix=prefix
            )
            for page in pages:
                found += [item["Key"] for item in page.get("Contents", []) if item["Size"]]
        except (ClientError, BotoCoreError) as error:
            raise _service_error(error) from error
        if not found:
            raise ServerError("XX000", f"The specified S3 prefix '{prefix}' does not exist")
        return [f"s3://{bucket}/{key}" for key in sorted(found)]

    def _manifest(self, copy: Copy) -> list[tuple[str, bool]]:
        try:
            content = json.loads(self.get(copy.source, copy.region).content)
            entries = content["entries"]
            return [(entry["url"], bool(entry.get("mandatory", False))) for entry in entries]
        except ServerError as error:
            raise ServerError(
                "XX000", f"Problem reading manifest file - {error.message}"
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ServerError(
                "XX000",
                "Problem reading manifest file - Manifest file is not in correct json format",
            ) from error

    def _optional(self, entry: tuple[str, bool], region: str) -> S3Object | None:
        url, mandatory = entry
        try:
            return self.get(url, region)
        except ServerError as error:
            if mandatory or "NoSuchKey" not in error.message:
                raise
            return None

    def read(self, copy: Copy) -> list[S3Object]:
        """Read all objects of a COPY, unpacked if it says GZIP.

        A manifest's files that are missing are left out unless marked mandatory; none at
        all is an error. Raises ServerError XX000.
        """
        entries = (
            self._manifest(copy)
            if copy.manifest
            else [(url, True) for url in self.keys(copy.source, copy.region)]
        )
        with ThreadPoolExecutor(8) as pool:
            loaded = pool.map(lambda entry: self._optional(entry, copy.region), entries)
            objects = [item for item in loaded if item is not None]
        if not objects:
            raise ServerError("XX000", "No valid files found in manifest")
        return list(_unpack(objects)) if copy.gzip else objects


def _unpack(objects: list[S3Object]) -> Iterator[S3Object]:
    for item in objects:
        try:
            content = gzip.decompress(item.content)
        except (OSError, EOFError, zlib.error) as error:
            raise ServerError("XX000", f"Invalid GZIP data in {item.url}") from error
        yield S3Object(item.url, content, item.size, item.etag, item.last_modified)
