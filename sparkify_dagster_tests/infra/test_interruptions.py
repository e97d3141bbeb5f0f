"""`up` and `down` are cut off at every call, before it is sent and after its answer is lost."""

import pytest

from sparkify_dagster.infra import engine
from sparkify_dagster.infra.aws import Aws
from sparkify_dagster.infra.engine import Run
from sparkify_dagster.infra.settings import Settings
from sparkify_dagster_tests.infra.conftest import settings_of
from sparkify_dagster_tests.infra.doubles import Cloud, Interrupted, empty_account
from sparkify_dagster_tests.infra.state import account_state, admin_password, warehouse_password

NAMES = settings_of().names
CASES = {
    "serverless": {"allow_cidr": "10.0.0.0/16"},
    "provisioned": {"kind": "provisioned", "allow_cidr": "10.0.0.0/16"},
}


def down(run: Run) -> None:
    engine.down(run, NAMES, engine.to_delete(run.aws, NAMES), "keep-me")


def calls_of_an_undisturbed(run: Run, settings: Settings, command: str) -> tuple[Cloud, str]:
    with empty_account() as cloud:
        if command == "down":
            engine.up(run, settings)
            cloud.calls.clear()
        engine.up(run, settings) if command == "up" else down(run)
        calls = list(cloud.calls)
        state = account_state(cloud, run.aws)
        cloud.calls[:] = calls
        return cloud, state


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("command", ["up", "down"])
@pytest.mark.parametrize("where", ["before", "after"])
def test_the_same_command_again_completes(
    case: str, command: str, where: str, run: Run, aws: Aws
) -> None:
    settings = settings_of(**CASES[case])
    whole, wanted = calls_of_an_undisturbed(run, settings, command)
    # A read whose answer is lost is as good as the next call not sent.
    numbers = [
        number for number, call in enumerate(whole.calls) if where == "before" or call.mutates
    ]
    assert len(numbers) > 5
    for number in numbers:
        with empty_account() as cloud:
            if command == "down":
                engine.up(run, settings)
                cloud.calls.clear()
            setattr(cloud, f"stop_{where}", number)
            with pytest.raises(Interrupted):
                engine.up(run, settings) if command == "up" else down(run)
            if command == "up":
                engine.up(run, settings)
                assert warehouse_password(cloud) == admin_password(aws)
            else:
                down(run)
            operation = whole.calls[number].operation
            assert account_state(cloud, aws) == wanted, f"{where} {number}: {operation}"
            if where == "after":
                cloud.calls.clear()
                engine.up(run, settings) if command == "up" else down(run)
                assert cloud.writes == []


@pytest.mark.parametrize("case", CASES)
def test_down_clears_up_what_an_interrupted_up_left(case: str, run: Run, aws: Aws) -> None:
    settings = settings_of(**CASES[case])
    whole, _ = calls_of_an_undisturbed(run, settings, "up")
    for number, call in enumerate(whole.calls):
        if not call.mutates:
            continue
        with empty_account() as cloud:
            cloud.stop_after = number
            with pytest.raises(Interrupted):
                engine.up(run, settings)
            engine.down(run, NAMES, engine.to_delete(aws, NAMES), None)
            assert [found.phase for _, found in engine.present(aws, NAMES)] in ([], ["scheduled"])
