"""What assets and checks are handed by Dagster: the warehouse, the lake and the renderer.

Fields left out follow the environment, as everywhere else: where a variable is set, the resource
page shows its name, never its value.
"""

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import ConfigDict, Field, PrivateAttr

from sparkify_dagster.lake.base import Lake
from sparkify_dagster.presentation import asset_key
from sparkify_dagster.settings import Settings, load_settings
from sparkify_dagster.tables import TABLES
from sparkify_dagster.warehouse.base import Warehouse

if TYPE_CHECKING:
    from sparkify_dagster.report.renderer import Renderer


_LOGINS = {"host", "cluster_id", "workgroup", "secret_arn"}


def _follows(variable: str, description: str, **more: Any) -> Any:
    """Return a field that follows a variable of the environment."""
    extra = {"variable": variable, **more}
    return Field(default=None, description=description, json_schema_extra=extra)


class PlatformResource(dg.ConfigurableResource["PlatformResource"]):
    """A resource whose fields are variables of the environment under another name."""

    model_config = ConfigDict(extra="forbid")

    def __init__(self, **fields: Any) -> None:
        followed = {name: _variable(variable) for name, variable in self._variables().items()}
        super().__init__(**{**followed, **fields})

    @classmethod
    def _variables(cls) -> dict[str, str]:
        extras = {name: field.json_schema_extra for name, field in cls.model_fields.items()}
        return {name: str(extra["variable"]) for name, extra in extras.items() if extra}  # type: ignore[index]

    def environment(self) -> dict[str, str]:
        """Return the environment as the fields say it."""
        given = {variable: getattr(self, name) for name, variable in self._variables().items()}
        # Of a resource that no run has resolved, a field is the name of a variable still.
        values = {
            variable: field.get_value() if isinstance(field, dg.EnvVar) else field
            for variable, field in given.items()
        }
        return {**os.environ, **{variable: value for variable, value in values.items() if value}}


class WarehouseResource(PlatformResource):
    """The warehouse: a DuckDB file or Redshift."""

    target: str | None = _follows("SPARKIFY_TARGET", "duckdb (the default) or redshift.")
    path: str | None = _follows(
        "SPARKIFY_DUCKDB_PATH",
        "The DuckDB file, data/sparkify.duckdb by default. Given alone: DuckDB.",
    )
    lock_timeout: str | None = _follows(
        "SPARKIFY_LOCK_TIMEOUT", "Seconds to wait for another run that holds the warehouse; 300."
    )
    host: str | None = _follows("REDSHIFT_HOST", "Redshift: the endpoint, for a database user.")
    port: str | None = _follows("REDSHIFT_PORT", "Redshift: the port, 5439 by default.")
    database: str | None = _follows("REDSHIFT_DATABASE", "Redshift: the database.")
    user: str | None = _follows("REDSHIFT_USER", "Redshift: the database user.")
    password: str | None = _follows(
        "REDSHIFT_PASSWORD",
        'Redshift: a dg.EnvVar("NAME") that holds the password.',
        dagster__is_secret=True,
    )
    cluster_id: str | None = _follows(
        "REDSHIFT_CLUSTER_ID", "Redshift: the cluster to log in to by IAM."
    )
    workgroup: str | None = _follows(
        "REDSHIFT_WORKGROUP", "Redshift Serverless: the same by workgroup."
    )
    secret_arn: str | None = _follows("REDSHIFT_SECRET_ARN", "Redshift: the secret to log in with.")
    iam_role: str | None = _follows(
        "REDSHIFT_IAM_ROLE", "Redshift: the role that COPY reads S3 with."
    )
    manifest_prefix: str | None = _follows(
        "SPARKIFY_MANIFEST_PREFIX", "Redshift: s3://bucket/prefix for what COPY is told to read."
    )

    _engine: Warehouse | None = PrivateAttr(None)
    _run: ExitStack = PrivateAttr(default_factory=ExitStack)

    def __init__(self, **fields: Any) -> None:
        # Who names a file or an endpoint means that one, whatever the environment's warehouse is.
        if "path" in fields:
            fields = {"target": "duckdb", **fields}
        elif not _LOGINS.isdisjoint(fields):
            fields = {"target": "redshift", **fields}
        super().__init__(**{"target": _variable("SPARKIFY_TARGET") or "duckdb", **fields})

    def settings(self) -> Settings:
        """Return the settings with this warehouse in them.

        Raises:
            SettingError: a field or a variable is malformed.
        """
        return load_settings(self.environment())

    def open(self) -> Warehouse:
        """Return the engine, the same for a whole run; its first transaction connects."""
        if self._engine is None:
            # The engines are heavy to import; the UI and the daemon do without them.
            from sparkify_dagster.warehouse import open_warehouse

            self._engine = open_warehouse(self.settings(), self.environment())
            self._run.enter_context(self._engine.kept_open())
        return self._engine

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Note at the end of a run what its changes took, and disconnect."""
        if self._engine and context.run and context.instance:
            for label, costs in self._engine.costs(context.run.run_id).items():
                if (name := label.rpartition("/")[2]) in TABLES:
                    key = asset_key(self.settings(), name)
                    metadata = {f"engine/{name}": value for name, value in costs.items()}
                    context.instance.report_runless_asset_event(
                        dg.AssetObservation(key, metadata=metadata)
                    )
        self._run.close()
        self._engine = None


class LakeResource(PlatformResource):
    """The lake: where the event and song files are."""

    location: str | None = _follows(
        "SPARKIFY_LAKE", "A local folder, data/sample-lake by default, or s3://bucket/prefix."
    )

    def open(self) -> Lake:
        """Return the lake; nothing is read yet."""
        from sparkify_dagster.lake import open_lake

        return open_lake(load_settings(self.environment()).lake)


class RendererResource(dg.ConfigurableResource["RendererResource"]):
    """The renderer of charts; it wakes while the tables are loaded."""

    model_config = ConfigDict(extra="forbid")

    _renderer: "Renderer | None" = PrivateAttr(None)

    def open(self) -> "Renderer":
        """Return the renderer, the same for a whole run."""
        if self._renderer is None:
            from sparkify_dagster.report.renderer import Renderer

            self._renderer = Renderer()
        return self._renderer

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Wake it at the start of a run that draws charts."""
        self.open()

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """End it with the run."""
        if self._renderer:
            self._renderer.close()
            self._renderer = None


def _variable(name: str) -> dg.EnvVar | None:
    """Return a variable of the environment, if it is set."""
    return dg.EnvVar(name) if os.environ.get(name) else None
