"""What is made, in order, and the four commands over it: plan, up, status, down.

`up` brings each resource, one after the other, to what the settings say: it is looked up, made
where it is absent, and repaired where it differs. Nothing is remembered between two runs but what
AWS itself answers, so an interrupted `up` or `down` goes on from wherever it stopped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sparkify_dagster.infra import network, provisioned, role, secret, serverless
from sparkify_dagster.infra.aws import Aws, Difference, Facts, Found, Waiter
from sparkify_dagster.infra.errors import InfraError, error_code
from sparkify_dagster.infra.settings import PORT, Kind, Names, Settings

# Network interfaces outlive a deleted warehouse for minutes; until then AWS refuses the deletion.
STILL_USED = frozenset(
    {
        "ConflictException",
        "DependencyViolation",
        "InvalidClusterParameterGroupState",
        "InvalidClusterParameterGroupStateFault",
        "InvalidClusterState",
        "InvalidClusterStateFault",
        "InvalidClusterSubnetGroupStateFault",
    }
)


@dataclass(frozen=True)
class Run:
    """One run of `up` or `down`: the account, how it waits, and who hears of each step."""

    aws: Aws
    waiter: Waiter
    say: Callable[[str], object]


@dataclass(frozen=True)
class Resource:
    """One kind of thing that is provisioned, as plain functions."""

    key: str
    label: str
    name: Callable[[Names], str]
    kinds: tuple[Kind, ...]
    find: Callable[[Aws, Names], Found | None]
    create: Callable[[Aws, Settings, Facts], None]
    differences: Callable[[Aws, Settings, Facts, Found], list[Difference]]
    delete: Callable[..., None]  # (aws, found), and the snapshot's name where it holds data
    holds_data: bool = False
    wanted: Callable[[Settings], bool] = lambda settings: True


BOTH: tuple[Kind, ...] = ("serverless", "provisioned")
RESOURCES = (
    Resource(
        "security-group",
        "security group",
        lambda names: names.security_group,
        BOTH,
        network.find,
        network.create,
        network.differences,
        network.delete,
    ),
    Resource(
        "role",
        "IAM role",
        lambda names: names.role,
        BOTH,
        role.find,
        role.create,
        role.differences,
        role.delete,
    ),
    Resource(
        "secret",
        "secret",
        lambda names: names.secret,
        BOTH,
        secret.find,
        secret.create,
        secret.differences,
        secret.delete,
    ),
    Resource(
        "parameter-group",
        "parameter group",
        lambda names: names.parameter_group,
        ("provisioned",),
        provisioned.find_parameter_group,
        provisioned.create_parameter_group,
        provisioned.parameter_group_differences,
        provisioned.delete_parameter_group,
    ),
    Resource(
        "subnet-group",
        "subnet group",
        lambda names: names.subnet_group,
        ("provisioned",),
        provisioned.find_subnet_group,
        provisioned.create_subnet_group,
        provisioned.subnet_group_differences,
        provisioned.delete_subnet_group,
        wanted=lambda settings: bool(settings.subnet_ids),
    ),
    Resource(
        "cluster",
        "cluster",
        lambda names: names.warehouse,
        ("provisioned",),
        provisioned.find_cluster,
        provisioned.create_cluster,
        provisioned.cluster_differences,
        provisioned.delete_cluster,
        holds_data=True,
    ),
    Resource(
        "namespace",
        "Serverless namespace",
        lambda names: names.warehouse,
        ("serverless",),
        serverless.find_namespace,
        serverless.create_namespace,
        serverless.namespace_differences,
        serverless.delete_namespace,
        holds_data=True,
    ),
    Resource(
        "workgroup",
        "Serverless workgroup",
        lambda names: names.warehouse,
        ("serverless",),
        serverless.find_workgroup,
        serverless.create_workgroup,
        serverless.workgroup_differences,
        serverless.delete_workgroup,
    ),
)


@dataclass(frozen=True)
class Step:
    """What `up` will do about one resource: create it, repair it, or keep it."""

    resource: Resource
    found: Found | None
    differences: list[Difference]

    @property
    def action(self) -> str:
        """One of create, wait, repair, keep."""
        if self.found is None or self.found.phase == "deleting":
            return "create"
        if self.found.phase == "busy":
            return "wait"
        return "repair" if self.differences else "keep"


def look_around(aws: Aws, settings: Settings) -> Facts:
    """Return account and network. InfraError where the network does not exist."""
    caller = aws.client("sts").get_caller_identity()
    partition = caller["Arn"].split(":")[1]
    return Facts(caller["Account"], partition, network.vpc_of(aws, settings.subnet_ids))


def plan(aws: Aws, settings: Settings) -> list[Step]:
    """Return what `up` would do, without any change.

    Raises InfraError where `up` could not finish: a name that is taken by something that we did
    not make, a warehouse of the other kind, or a difference that AWS cannot change in place.
    """
    return _survey(aws, settings)[1]


def _survey(aws: Aws, settings: Settings) -> tuple[Facts, list[Step]]:
    facts = look_around(aws, settings)
    steps = []
    for resource in RESOURCES:
        if settings.kind not in resource.kinds:
            _refuse_other_kind(aws, settings, resource)
        elif resource.wanted(settings):
            steps.append(_step(aws, settings, facts, resource))
    return facts, steps


def _step(aws: Aws, settings: Settings, facts: Facts, resource: Resource) -> Step:
    found = resource.find(aws, settings.names)
    if found is None:
        return Step(resource, None, [])
    _refuse_foreign(settings.names, resource, found)
    _refuse_failed(resource, found)
    facts.found[resource.key] = found
    if found.phase in ("busy", "deleting"):
        return Step(resource, found, [])
    differences = resource.differences(aws, settings, facts, found)
    fixed = [difference.text for difference in differences if difference.repair is None]
    if fixed:
        raise InfraError(
            f"the {resource.label} {found.name} cannot be changed in place: {'; '.join(fixed)}. "
            "Keep the old value, or delete it by `sparkify infra down` first"
        )
    return Step(resource, found, differences)


def _refuse_other_kind(aws: Aws, settings: Settings, resource: Resource) -> None:
    if not resource.holds_data:
        return
    found = resource.find(aws, settings.names)
    if found is not None and found.is_ours(settings.name):
        flag = "without --provisioned" if settings.kind == "provisioned" else "with --provisioned"
        raise InfraError(
            f"{settings.name} is a {resource.label} already, and a second warehouse would be "
            f"billed too: run {flag}, or `sparkify infra down --name {settings.name}` first"
        )


def _refuse_foreign(names: Names, resource: Resource, found: Found) -> None:
    if not found.is_ours(names.name):
        raise InfraError(
            f"the {resource.label} {found.name!r} exists and does not carry our tags (tags: "
            f"{found.tags or 'none'}): give another --name, or delete it yourself"
        )


def _refuse_failed(resource: Resource, found: Found) -> None:
    if found.phase == "failed":
        raise InfraError(
            f"the {resource.label} {found.name} is {found.state}: bring it back to available "
            "(resume it where it is paused), then run again"
        )


def up(run: Run, settings: Settings) -> dict[str, str]:
    """Make everything as the settings say and return the `.env` values.

    Raises InfraError as `plan` does, before any change, and past the time limit.
    """
    facts, steps = _survey(run.aws, settings)
    for step in steps:
        facts.found[step.resource.key] = _ensure(run, settings, facts, step.resource)
    return env_values(run.aws, settings, facts)


def _ensure(run: Run, settings: Settings, facts: Facts, resource: Resource) -> Found:
    name = f"{resource.label} {resource.name(settings.names)}"
    found = _settled(run, settings.names, resource)
    if found is None:
        run.say(f"create  {name}")
        resource.create(run.aws, settings, facts)
        found = _present(run, settings.names, resource)
    _refuse_foreign(settings.names, resource, found)
    repaired: set[str] = set()
    while differences := resource.differences(run.aws, settings, facts, found):
        fresh = [item for item in differences if item.text not in repaired]
        if not fresh:
            # Repaired, and AWS does not show it yet: look again, up to the time limit.
            run.waiter.until(name, _no_difference(run, settings, facts, resource))
        elif fresh[0].repair is None:
            raise InfraError(f"the {name} cannot be changed in place: {fresh[0].text}")
        else:
            run.say(f"set     {name}: {fresh[0].text}")
            fresh[0].repair()
            repaired.add(fresh[0].text)
        found = _present(run, settings.names, resource)
    run.say(f"ready   {name}")
    return found


def _no_difference(
    run: Run, settings: Settings, facts: Facts, resource: Resource
) -> Callable[[], tuple[bool, str]]:
    def look() -> tuple[bool, str]:
        found = resource.find(run.aws, settings.names)
        if found is None:
            return False, "not shown by AWS"
        left = resource.differences(run.aws, settings, facts, found)
        return not left, f"still showing: {'; '.join(item.text for item in left)}"

    return look


def _settled(run: Run, names: Names, resource: Resource) -> Found | None:
    """Return the resource once no change of it is under way, None where it is absent."""
    found: Found | None = None

    def look() -> tuple[bool, str]:
        nonlocal found
        found = resource.find(run.aws, names)
        if found is None:
            return True, "absent"
        _refuse_failed(resource, found)
        return found.phase not in ("busy", "deleting"), found.state

    run.waiter.until(f"{resource.label} {resource.name(names)}", look)
    return found


def _present(run: Run, names: Names, resource: Resource) -> Found:
    """Return the resource once AWS shows it and no change of it is under way."""
    shown: list[Found] = []

    def look() -> tuple[bool, str]:
        found = _settled(run, names, resource)
        shown.extend([found] if found else [])
        return found is not None, "not shown by AWS"

    run.waiter.until(f"{resource.label} {resource.name(names)}", look)
    return shown[-1]


def env_values(aws: Aws, settings: Settings, facts: Facts) -> dict[str, str]:
    """Return what the platform reads from `.env` to use this warehouse; no password."""
    serverless_kind = settings.kind == "serverless"
    warehouse = facts.found["workgroup" if serverless_kind else "cluster"]
    own = "REDSHIFT_WORKGROUP" if serverless_kind else "REDSHIFT_CLUSTER_ID"
    return {
        "SPARKIFY_TARGET": "redshift",
        "SPARKIFY_LAKE": settings.lake.url,
        "SPARKIFY_MANIFEST_PREFIX": settings.manifests.url,
        "AWS_REGION": aws.region,
        "REDSHIFT_HOST": warehouse.endpoint.rpartition(":")[0],
        "REDSHIFT_PORT": str(PORT),
        "REDSHIFT_DATABASE": settings.database,
        own: settings.names.warehouse,
        "REDSHIFT_SECRET_ARN": facts.found["secret"].arn,
        "REDSHIFT_IAM_ROLE": facts.role_arn(settings),
    }


def present(aws: Aws, names: Names) -> list[tuple[Resource, Found]]:
    """Return all that exists under the names of this installation, ours or not."""
    pairs = [(resource, resource.find(aws, names)) for resource in RESOURCES]
    return [(resource, found) for resource, found in pairs if found is not None]


def to_delete(aws: Aws, names: Names) -> list[tuple[Resource, Found]]:
    """Return what `down` deletes, in its order: only what carries our tags."""
    return [
        (resource, found)
        for resource, found in reversed(present(aws, names))
        if found.is_ours(names.name) and found.phase != "scheduled"
    ]


def down(
    run: Run, names: Names, doomed: list[tuple[Resource, Found]], final_snapshot: str | None
) -> None:
    """Delete `doomed` one after the other, each awaited; InfraError past the time limit.

    With `final_snapshot` the data is kept under that name. The tags are read again just before
    each deletion, as the answer to a question may take long.
    """
    if final_snapshot and any(
        resource.holds_data and found.phase != "deleting" for resource, found in doomed
    ):
        for module in (serverless, provisioned):
            if module.find_snapshot(run.aws, names, final_snapshot):
                raise InfraError(
                    f"--final-snapshot: {final_snapshot} exists already, from an earlier time: "
                    "give another name"
                )
    for resource, shown in doomed:
        _delete(run, names, resource, shown, final_snapshot)
    if final_snapshot:
        _keep_snapshot(run, names, final_snapshot)


def _keep_snapshot(run: Run, names: Names, snapshot: str) -> None:
    """Tag the snapshot that was made by the deletion, where the tags are not there yet."""
    for module in (serverless, provisioned):
        found = module.find_snapshot(run.aws, names, snapshot)
        if found is None:
            continue
        if not found.is_ours(names.name) or found.tags.get("Name") != snapshot:
            module.tag_snapshot(run.aws, names, found)
        run.say(f"kept    snapshot {snapshot}, until you delete it")


def _delete(
    run: Run, names: Names, resource: Resource, shown: Found, final_snapshot: str | None
) -> None:
    name = f"{resource.label} {shown.name}"

    def look() -> tuple[bool, str]:
        found = resource.find(run.aws, names)
        if _is_gone(found, shown):
            return True, "deleted"
        assert found is not None
        if not found.is_ours(names.name):
            raise InfraError(f"the {name} no longer carries our tags: left as it is")
        if found.phase in ("busy", "deleting"):
            return False, found.state
        extra: dict[str, Any] = {"final_snapshot": final_snapshot} if resource.holds_data else {}
        try:
            resource.delete(run.aws, found, **extra)
        except Exception as error:
            if error_code(error) not in STILL_USED:
                raise
            return False, f"still in use ({error_code(error)})"
        return _is_gone(resource.find(run.aws, names), shown), "being deleted"

    run.waiter.until(name, look)
    run.say(f"deleted {name}")


def _is_gone(found: Found | None, shown: Found) -> bool:
    """Whether nothing is left of `shown`; another of its name may be there."""
    return found is None or found.phase == "scheduled" or found.arn != shown.arn
