"""A prefix of an S3 bucket: listing, reading, writing and removing the objects below it.

boto3 finds credentials, region and endpoint, lists and writes. obstore reads: it fetches small
objects in a twentieth of boto3's time. What obstore fails to read boto3 reads once more, which
serves keys that obstore refuses and leaves one place that tells the faults apart.
"""

import contextlib
import datetime as dt
import os
import re
from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING, Any

import obstore
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import get_session
from botocore.utils import parse_timestamp
from obstore.auth.boto3 import Boto3CredentialProvider
from obstore.exceptions import BaseError
from obstore.store import S3Store

from sparkify_dagster.lake.base import LakeError
from sparkify_dagster.lake.s3_errors import DELETE, LIST, READ, WRITE, explain

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult
    from obstore.store import ClientConfig

_LOCATION = re.compile(r"s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]{1,254})(?:/(?P<prefix>.*))?")
_TRIES = 6  # of one request, unless AWS_MAX_ATTEMPTS or the profile says otherwise
_CONNECTIONS = 32  # that boto3 keeps open
_DELETE_BATCH = 1000  # DeleteObjects takes no more
_CHUNK = 1 << 20
_TIMEOUT = timedelta(seconds=60)  # without a single byte
_CONNECT_TIMEOUT = timedelta(seconds=10)
_TRANSFER_TIMEOUT = timedelta(hours=1)  # of one object
# boto3 renews credentials of a role when less than 10 minutes are left.
_CREDENTIALS_FOR = timedelta(minutes=8)
_FAST_FAULTS = (BaseError, OSError, ValueError)


class S3Prefix:
    """The objects of a bucket whose keys begin with a prefix; their names are what follows it.

    Nothing is connected to before the first request. Faults that pass (throttling, dropped
    connections, timeouts) are tried again with growing pauses before they are errors. Every error
    is a LakeError, a place on the disk that is full included.
    """

    def __init__(self, location: str, variable: str) -> None:
        """Take `s3://bucket/prefix` apart; `variable` is the setting it is from."""
        match = _LOCATION.fullmatch(location)
        if match is None:
            raise LakeError(f"{variable}={location!r}: s3://bucket/prefix expected")
        self.root = location.rstrip("/")
        self.bucket = match["bucket"]
        self._prefix = f"{path}/" if (path := (match["prefix"] or "").rstrip("/")) else ""
        self._variable = variable
        # Sessions must not be used by several threads at once; clients and stores may.
        self._lock = RLock()

    def url(self, name: str) -> str:
        """Return the address of an object."""
        return f"s3://{self.bucket}/{self._prefix}{name}"

    @cached_property
    def region(self) -> str:
        """Return the region of the bucket, as COPY's REGION names it."""
        with self._explained(LIST, ""):
            try:
                answer = self._client.head_bucket(Bucket=self.bucket)
            except ClientError as error:
                # A refusal tells the region just as well.
                answer = error.response
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
        return str(headers.get("x-amz-bucket-region") or _region(self._session))

    def list_below(self, below: str, after: str = "") -> Iterator[tuple[str, int, str]]:
        """Yield name, size in bytes and ETag of the objects whose names begin with `below`.

        In the order of their names as UTF-8, those behind `after`; a request is made when its
        thousand names are asked for.
        """
        with self._explained(LIST, below):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket,
                Prefix=self._prefix + below,
                **({"StartAfter": self._prefix + after} if after else {}),
            )
            for page in pages:
                for found in page.get("Contents", ()):
                    name = found["Key"].removeprefix(self._prefix)
                    yield name, found["Size"], found["ETag"].strip('"')

    def get(self, name: str, etag: str = "") -> bytes:
        """Return the content of an object; with an ETag, only if it still is that one."""
        with contextlib.suppress(*_FAST_FAULTS):
            return bytes(self._open_fast(name, etag).bytes())
        with self._explained(READ, name, bool(etag)):
            return bytes(self._open(name, etag).read())

    def download(self, name: str, etag: str, path: Path) -> None:
        """Write the content of an object to a local file, a piece at a time."""
        with contextlib.suppress(*_FAST_FAULTS), path.open("wb") as output:
            for chunk in self._open_fast(name, etag).stream(min_chunk_size=_CHUNK):
                output.write(chunk)
            return
        try:
            with self._explained(READ, name, bool(etag)), path.open("wb") as output:
                for chunk in self._open(name, etag).iter_chunks(_CHUNK):
                    output.write(chunk)
        except OSError as error:
            raise LakeError(
                f"{self.url(name)}: cannot be fetched to {path} ({error.strerror})"
            ) from error

    def put(self, name: str, content: bytes) -> str:
        """Write an object; return its address."""
        with self._explained(WRITE, name):
            self._client.put_object(Bucket=self.bucket, Key=self._prefix + name, Body=content)
        return self.url(name)

    def delete(self, names: Sequence[str]) -> None:
        """Remove objects; those that are not there are no error."""
        for start in range(0, len(names), _DELETE_BATCH):
            batch = names[start : start + _DELETE_BATCH]
            objects = [{"Key": self._prefix + name} for name in batch]
            with self._explained(DELETE, batch[0]):
                answer = self._client.delete_objects(
                    Bucket=self.bucket, Delete={"Objects": objects, "Quiet": True}
                )
            for refusal in answer.get("Errors", ()):
                with self._explained(DELETE, refusal["Key"].removeprefix(self._prefix)):
                    raise ClientError({"Error": refusal}, "DeleteObjects")

    def _open(self, name: str, etag: str) -> Any:
        condition = {"IfMatch": f'"{etag}"'} if etag else {}
        key = self._prefix + name
        return self._client.get_object(Bucket=self.bucket, Key=key, **condition)["Body"]

    def _open_fast(self, name: str, etag: str) -> "GetResult":
        with self._lock:
            store = self._store
        condition: GetOptions = {"if_match": f'"{etag}"'} if etag else {}
        return obstore.get(store, self._prefix + name, options=condition)

    @cached_property
    def _settings(self) -> Any:
        """Return botocore's session, which knows the settings of environment and profile."""
        settings = get_session()
        parsers = settings.get_component("response_parser_factory")
        parsers.set_parser_defaults(timestamp_parser=_parse_time)
        return settings

    @cached_property
    def _session(self) -> Any:
        # boto3 itself heeds AWS_DEFAULT_REGION only; every other AWS tool heeds AWS_REGION.
        region = os.environ.get("AWS_REGION") or None
        with self._explained(LIST, ""):
            return Session(region_name=region, botocore_session=self._settings)

    @cached_property
    def _tries(self) -> int:
        return int(self._settings.get_config_variable("max_attempts") or _TRIES)

    @property
    def _client(self) -> Any:
        with self._lock:
            return self._first_client

    @cached_property
    def _first_client(self) -> Any:
        return self._make_client(_region(self._session))

    def _make_client(self, region: str) -> Any:
        settings = Config(
            connect_timeout=_CONNECT_TIMEOUT.total_seconds(),
            read_timeout=_TIMEOUT.total_seconds(),
            retries={"mode": "standard", "total_max_attempts": self._tries},
            max_pool_connections=_CONNECTIONS,
        )
        try:
            with self._explained(LIST, ""):
                return self._session.client("s3", region_name=region, config=settings)
        except ValueError as error:
            raise LakeError(
                f"AWS_ENDPOINT_URL (or the profile's endpoint_url): {error}; a URL expected, as "
                "https://s3.eu-central-1.amazonaws.com"
            ) from error

    @cached_property
    def _store(self) -> S3Store:
        # obstore does not follow S3 to the bucket's region as boto3 does.
        endpoint = self._make_client(self.region).meta.endpoint_url
        options: ClientConfig = {
            "allow_http": True,
            "connect_timeout": _CONNECT_TIMEOUT,
            "read_timeout": _TIMEOUT,
            "timeout": _TRANSFER_TIMEOUT,
        }
        if bundle := self._settings.get_config_variable("ca_bundle"):
            options["root_certificate"] = Path(bundle).read_bytes()
        return S3Store(
            self.bucket,
            # Said in full, as obstore would take what is not said from the environment.
            config={
                "region": self.region,
                "endpoint": endpoint,
                "aws_endpoint_url_s3": endpoint,
                "virtual_hosted_style_request": False,
                "s3_express": False,
                "skip_signature": False,
            },
            credential_provider=Boto3CredentialProvider(self._session, ttl=_CREDENTIALS_FOR),
            client_options=options,
            retry_config={"max_retries": self._tries - 1, "retry_timeout": _TIMEOUT},
        )

    @contextlib.contextmanager
    def _explained(self, right: str, name: str, was_listed: bool = False) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            client = self.__dict__.get("_first_client")
            endpoint = client.meta.endpoint_url if client else ""
            key = self._prefix + name
            place = right, self.bucket, key, self._variable, endpoint, was_listed
            raise explain(error, *place) from error


def _region(session: Any) -> str:
    return str(session.region_name or "us-east-1")


def _parse_time(value: Any) -> Any:
    """Parse a time of S3's answers; botocore's own way is half the cost of a listing."""
    try:
        return dt.datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return parse_timestamp(value)
