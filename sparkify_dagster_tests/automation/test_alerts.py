import json
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dagster as dg
import pytest

from sparkify_dagster.automation import alerts
from sparkify_dagster.automation.alerts import AlertError, alert_sensors, post
from sparkify_dagster.definitions import build_defs, defs
from sparkify_dagster.settings import SettingError, load_settings
from sparkify_dagster.warehouse.base import BadLine, LoadError
from sparkify_dagster_tests.support.tiny_lake import TinyLake, event, song

SECRET = "T0-very-secret"


class Webhook(ThreadingHTTPServer):
    """A webhook that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.refusals: list[int] = []  # statuses of the next answers
        self.received: list[tuple[str, str, dict[str, str]]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/services/{SECRET}"


class Handler(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, self.headers["Content-Type"], json.loads(body)))
        refusals = self.server.refusals
        self.send_response(refusals.pop(0) if refusals else self.server.status)
        if self.server.status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self) -> None:
        self.server.received.append((self.path, "GET", {}))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webhook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(alerts, "PAUSES", (0, 0))
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@dg.asset
def raises() -> None:
    raise ValueError("a <bad> value & more\nsecond line")


@dg.asset(check_specs=[dg.AssetCheckSpec("never_right", asset="checked", blocking=True)])
def checked() -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    yield dg.MaterializeResult()
    yield dg.AssetCheckResult(check_name="never_right", passed=False)


@dg.asset(
    check_specs=[
        dg.AssetCheckSpec(name, asset="reported") for name in ("wrong", "doubtful", "right")
    ]
)
def reported() -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
    yield dg.MaterializeResult()
    yield dg.AssetCheckResult(check_name="wrong", passed=False, description="7 rows\nlike this")
    yield dg.AssetCheckResult(
        check_name="doubtful", passed=False, severity=dg.AssetCheckSeverity.WARN
    )
    yield dg.AssetCheckResult(check_name="right", passed=True)


class Failures:
    """An instance with failed runs, and the sensor that looks for them."""

    def __init__(self, instance: dg.DagsterInstance, environment: dict[str, str]) -> None:
        self.instance = instance
        self.sensor, self.checks = alert_sensors(load_settings(environment))
        self.cursors: dict[str, str | None] = {}
        self.tick()  # the first only notes what has failed before

    def tick(self) -> list[str]:
        """Evaluate both sensors once; return the reasons given for sending nothing."""
        return [reason for sensor in (self.sensor, self.checks) for reason in self._tick(sensor)]

    def _tick(self, sensor: dg.SensorDefinition) -> list[str]:
        cursor = self.cursors.get(sensor.name)
        context = dg.build_sensor_context(instance=self.instance, cursor=cursor)
        data = sensor.evaluate_tick(context)
        self.cursors[sensor.name] = data.cursor
        # What Dagster itself says where there is no run to look at is none of ours.
        said = data.skip_message or ""
        return [said] if said.startswith("Run ") else []

    def fail(self, *assets: dg.AssetsDefinition) -> str:
        result = dg.materialize(assets, instance=self.instance, raise_on_error=False)
        assert not result.success
        return result.run_id


@pytest.fixture
def failures(webhook: Webhook) -> Iterator[Failures]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Failures(
            instance,
            {"SPARKIFY_ALERT_WEBHOOK": webhook.url, "SPARKIFY_UI_URL": "https://ui.example/"},
        )


def test_a_failed_run_is_posted_once(failures: Failures, webhook: Webhook) -> None:
    run_id = failures.fail(raises)
    assert failures.tick() == []
    assert webhook.received == [
        (
            f"/services/{SECRET}",
            "application/json",
            {
                "text": (
                    f"__ephemeral_asset_job__ failed in run {run_id}\n"
                    "raises: ValueError: a &lt;bad&gt; value &amp; more\n"
                    f"https://ui.example/runs/{run_id}"
                )
            },
        )
    ]
    failures.tick()
    assert len(webhook.received) == 1


def test_a_failed_check_that_does_not_block_is_posted_once(
    failures: Failures, webhook: Webhook
) -> None:
    result = dg.materialize([reported], instance=failures.instance)
    assert result.success
    failures.tick()
    failures.tick()
    ((_, _, body),) = webhook.received
    assert body["text"].splitlines() == [
        f"__ephemeral_asset_job__ succeeded with failed checks in run {result.run_id}",
        "reported: check wrong failed. 7 rows like this",
        f"https://ui.example/runs/{result.run_id}",
    ]


def test_each_failed_run_is_posted(failures: Failures, webhook: Webhook) -> None:
    run_ids = [failures.fail(raises), failures.fail(checked)]
    failures.tick()
    failures.tick()
    texts = [text["text"] for _, _, text in webhook.received]
    assert [run_id in text for run_id, text in zip(run_ids, texts, strict=True)] == [True, True]
    assert "checked: DagsterAssetCheckFailedError: 1 blocking asset check failed" in texts[1]
    assert "checked: never_right" in texts[1]


def test_the_real_job_on_a_missing_lake_names_the_remedy(
    failures: Failures, webhook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPARKIFY_LAKE", str(tmp_path / "none"))
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(tmp_path / "sparkify.duckdb"))
    result = defs.resolve_job_def("sparkify_etl").execute_in_process(
        instance=failures.instance, raise_on_error=False
    )
    assert not result.success
    failures.tick()
    ((_, _, body),) = webhook.received
    lines = body["text"].splitlines()
    assert lines[0] == f"sparkify_etl failed in run {result.run_id}"
    assert f"staging_events: SPARKIFY_LAKE='{tmp_path}/none': holds no folder log_data/" in (
        lines[1] + lines[2]
    )


@pytest.mark.parametrize("status", [302, 404, 500])
def test_a_webhook_that_refuses_is_logged_without_its_address(
    failures: Failures,
    webhook: Webhook,
    status: int,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    run_id = failures.fail(raises)
    webhook.status = status
    message = f"Run {run_id}: no alert was sent: the webhook answered with HTTP {status}"
    assert failures.tick() == [message]
    output = "".join(capfd.readouterr()) + caplog.text
    assert message in output
    assert SECRET not in output
    assert webhook.url not in output
    # The sensor goes on with the next failure.
    webhook.status = 200
    later = failures.fail(raises)
    assert failures.tick() == []
    assert later in webhook.received[-1][2]["text"]
    assert "/elsewhere" not in [path for path, _, _ in webhook.received]


@pytest.mark.parametrize(
    ("refusals", "posts", "is_taken"),
    [
        ([500], 2, True),
        ([429, 503], 3, True),
        ([500, 500, 500], 3, False),
        ([404], 1, False),
    ],
)
def test_a_webhook_that_cannot_take_it_now_is_asked_again(
    webhook: Webhook, refusals: list[int], posts: int, is_taken: bool
) -> None:
    webhook.refusals = [*refusals]
    if is_taken:
        post(webhook.url, "text")
    else:
        with pytest.raises(AlertError, match=f"HTTP {refusals[-1]}"):
            post(webhook.url, "text")
    assert len(webhook.received) == posts


def test_the_first_bad_line_is_named(failures: Failures, webhook: Webhook) -> None:
    bad = [
        BadLine("log_data/2018/11/2018-11-02-events.json", line, "ts", "no", "![x](http://x)\x1b")
        for line in (7, 8)
    ]

    @dg.asset
    def staging_events() -> None:
        raise dg.Failure(str(LoadError("staging_events", bad)), allow_retries=False)

    failures.fail(staging_events)
    failures.tick()
    ((_, _, body),) = webhook.received
    [line] = [line for line in body["text"].splitlines() if line.startswith("staging_events: ")]
    assert "2018-11-02-events.json, line 7, column ts: no (value '![x] (http://x)\\x1b')" in line
    assert "line 8" not in line


def test_the_first_bad_line_of_a_file_left_out_is_named(
    failures: Failures, webhook: Webhook, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = TinyLake(tmp_path / "lake")
    lake.write_songs("A/A/A/TR1", [song()])
    lake.write_events("2018-11-01", [event()])
    lake.write_events("2018-11-02", [event(status="a|*b* <b> ![x](http://x)"), event(status="no")])
    monkeypatch.setenv("SPARKIFY_LAKE", str(lake.folder))
    monkeypatch.setenv("SPARKIFY_DUCKDB_PATH", str(tmp_path / "sparkify.duckdb"))
    monkeypatch.setenv("SPARKIFY_BAD_FILES", "skip")
    job = build_defs(load_settings()).resolve_job_def("sparkify_etl")
    assert job.execute_in_process(instance=failures.instance).success
    failures.tick()
    ((_, _, body),) = webhook.received
    named = (
        "staging_events: check all_files_loaded failed. 1 file(s) left out: "
        "log_data/2018/11/2018-11-02-events.json, line 1, column status: whole number expected "
        "(value 'a|*b* &lt;b&gt; ![x] (http://x)') "
    )
    assert [line for line in body["text"].splitlines() if line.startswith(named)]


def test_a_webhook_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/{SECRET}"
        with pytest.raises(AlertError) as raised:
            post(url, "text")
    assert str(raised.value) == "the webhook could not be reached (ConnectionRefusedError)"
    assert raised.value.__context__ is None
    assert raised.value.__cause__ is None


def test_a_webhook_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(alerts, "TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{SECRET}"
        with pytest.raises(AlertError, match=r"^the webhook did not answer within 0\.1 s$"):
            post(url, "text")


def test_a_webhook_that_talks_nonsense(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(f"{SECRET}\r\n\r\n".encode())

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(AlertError, match=r"^the webhook could not be reached \(BadStatusLine"):
            post(f"http://127.0.0.1:{server.getsockname()[1]}/{SECRET}", "text")
        thread.join()


def test_without_an_address_there_is_no_sensor() -> None:
    assert alert_sensors(load_settings({})) == []
    assert alert_sensors(load_settings({"SPARKIFY_ALERT_WEBHOOK": ""})) == []


@pytest.mark.parametrize("switch", ["on", "off"])
def test_the_sensor_starts_with_the_others(switch: str) -> None:
    sensors = alert_sensors(
        load_settings(
            {"SPARKIFY_ALERT_WEBHOOK": "https://hooks.example/x", "SPARKIFY_AUTOMATION": switch}
        )
    )
    wanted = {"on": "RUNNING", "off": "STOPPED"}[switch]
    assert [sensor.default_status.value for sensor in sensors] == [wanted, wanted]


@pytest.mark.parametrize(
    "address",
    [
        f"hooks.example/{SECRET}",
        f"ftp://hooks.example/{SECRET}",
        f"https:///{SECRET}",
        f"https://hooks.example/{SECRET} more",
        f"https://hooks.example:port/{SECRET}",
        f"https://[hooks.example/{SECRET}",
    ],
)
def test_a_wrong_address_is_an_error_that_does_not_show_it(address: str) -> None:
    with pytest.raises(SettingError) as raised:
        load_settings({"SPARKIFY_ALERT_WEBHOOK": address})
    assert raised.value.message.startswith("SPARKIFY_ALERT_WEBHOOK (its value is a secret")
    assert SECRET not in raised.value.message


def test_settings_do_not_show_the_address() -> None:
    settings = load_settings({"SPARKIFY_ALERT_WEBHOOK": f"https://hooks.example/{SECRET}"})
    assert settings.alert_webhook == f"https://hooks.example/{SECRET}"
    assert SECRET not in repr(settings)


def test_a_long_error_is_cut(failures: Failures, webhook: Webhook) -> None:
    @dg.asset
    def long_winded() -> None:
        raise dg.Failure("x" * 5000, allow_retries=False)

    failures.fail(long_winded)
    failures.tick()
    ((_, _, body),) = webhook.received
    assert f"long_winded: {'x' * 299}…" in body["text"].splitlines()
