"""AWS clients, what is found of a resource, and waiting."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from sparkify_dagster.infra.errors import InfraError, error_code
from sparkify_dagster.infra.settings import MANAGER, MANAGER_TAG, PROJECT_TAG, Settings

T = TypeVar("T")
Phase = Literal["ready", "busy", "deleting", "scheduled", "failed"]


class Aws:
    """The clients of one region. Knows every secret it saw, so that no message shows one."""

    def __init__(self, region: str | None) -> None:
        """Take credentials from the standard chain; `region` None takes the profile's.

        Raises InfraError where there is no region, botocore's ProfileNotFound for a wrong profile.
        """
        import boto3

        self._session: Any = boto3.session.Session(region_name=region)
        if not self._session.region_name:
            raise InfraError("no AWS region: give --region or set AWS_REGION")
        if not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d", self._session.region_name):
            raise InfraError(f"--region: {self._session.region_name!r} is no region like us-west-2")
        self.region: str = self._session.region_name
        self.last_service = "sts"
        self._session.events.register("before-parameter-build", self._remember_service)
        self._clients: dict[str, Any] = {}
        self._secrets: set[str] = set()

    def _remember_service(self, model: Any, **_: Any) -> None:
        self.last_service = model.service_model.signing_name

    def client(self, service: str) -> Any:
        """Return the client of one service, made on first use."""
        if service not in self._clients:
            self._clients[service] = self._session.client(service)
        return self._clients[service]

    def keep_secret(self, secret: str) -> str:
        """Return `secret`, and from now on leave it out of every message."""
        self._secrets.add(secret)
        return secret

    def redact(self, text: str) -> str:
        """Return `text` without any secret that was seen."""
        for secret in self._secrets:
            text = text.replace(secret, "[secret]")
        return text


@dataclass(frozen=True)
class Found:
    """One resource as AWS describes it now."""

    name: str
    arn: str  # the ARN, or what else tells it from another of the same name
    phase: Phase
    state: str
    tags: dict[str, str]
    raw: dict[str, Any] = field(repr=False)
    endpoint: str = ""

    def is_ours(self, name: str) -> bool:
        """Whether the installation `name` made it, told by its tags."""
        return self.tags.get(PROJECT_TAG) == name and self.tags.get(MANAGER_TAG) == MANAGER


@dataclass(frozen=True)
class Difference:
    """One thing that is not as the settings want it; `repair` None means AWS cannot change it."""

    text: str
    repair: Callable[[], object] | None


@dataclass
class Facts:
    """What the account says: who calls, which network, and what was found so far by key."""

    account: str
    partition: str
    vpc_id: str
    found: dict[str, Found] = field(default_factory=dict)

    def role_arn(self, settings: Settings) -> str:
        """The ARN that the COPY role has or will have."""
        return f"arn:{self.partition}:iam::{self.account}:role/{settings.names.role}"

    @property
    def security_group_id(self) -> str:
        """The security group's id, or a text that says there is none yet."""
        found = self.found.get("security-group")
        return found.raw["GroupId"] if found else "(not made yet)"


def ask(call: Callable[[], T], *absent: str) -> T | None:
    """Return the answer of one AWS call, None where its error code is one of `absent`."""
    try:
        return call()
    except Exception as error:
        if error_code(error) in absent:
            return None
        raise


def tag_list(tags: dict[str, str], key: str = "Key", value: str = "Value") -> list[dict[str, str]]:
    """Return tags in the list form of the AWS APIs."""
    return [{key: name, value: text} for name, text in tags.items()]


def tag_dict(tags: list[dict[str, str]], key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Return tags as a dict, from the list form of the AWS APIs."""
    return {tag[key]: tag[value] for tag in tags}


def missing_tags(
    found: Found, wanted: dict[str, str], repair: Callable[[dict[str, str]], object]
) -> list[Difference]:
    """Return a difference where a wanted tag is absent or has another value."""
    missing = {key: value for key, value in wanted.items() if found.tags.get(key) != value}
    return [Difference(f"tags {', '.join(missing)}", lambda: repair(missing))] if missing else []


def same_document(left: object, right: object) -> bool:
    """Whether two policy documents are equal as JSON."""
    return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)


@dataclass
class Waiter:
    """Polls AWS every `poll_seconds`, for at most `limit_seconds` in all."""

    limit_seconds: float = 2400
    poll_seconds: float = 5
    sleep: Callable[[float], object] = time.sleep
    clock: Callable[[], float] = time.monotonic
    show: Callable[[str], object] = lambda text: None
    _deadline: float | None = None

    def until(self, what: str, look: Callable[[], tuple[bool, str]]) -> None:
        """Poll `look`, which says whether it is done and the state, until done.

        InfraError past the limit: nothing is undone, and the same command goes on from there.
        """
        if self._deadline is None:
            self._deadline = self.clock() + self.limit_seconds
        while True:
            done, state = look()
            if done:
                return
            self.show(f"{what}: {state}")
            if self.clock() + self.poll_seconds > self._deadline:
                raise InfraError(
                    f"{what} is still {state} after {self.limit_seconds / 60:.0f} minutes. AWS "
                    "works on: run the same command again, it goes on from here (--timeout gives "
                    "it longer)"
                )
            self.sleep(self.poll_seconds)
