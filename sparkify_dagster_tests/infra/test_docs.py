"""docs/provisioning.md against the command and the calls that it sends."""

import re

import click

from sparkify_dagster.cli.infra import command
from sparkify_dagster.infra.options import OPTIONS
from sparkify_dagster_tests.conftest import REPOSITORY
from sparkify_dagster_tests.infra.cloud import Cloud

TEXT = (REPOSITORY / "docs/provisioning.md").read_text("utf-8")


def test_options_and_defaults() -> None:
    rows = dict(re.findall(r"^\| `(--[\w-]+)` \| `?(.*?)`? \|", TEXT, re.MULTILINE))
    params = [one for each in command.commands.values() for one in each.params]
    options = {one.opts[0]: one.name for one in params if isinstance(one, click.Option)}
    assert set(rows) == set(options)
    for flag, name in options.items():
        if name in OPTIONS and OPTIONS[name]["Default"]:
            assert rows[flag] == str(OPTIONS[name]["Default"])


def test_rights() -> None:
    named = re.findall(r"`(?:cloudformation|ec2|redshift|redshift-serverless):(\w+)`", TEXT)
    assert sorted(named) == sorted(name for name in vars(Cloud) if name[0].isupper())
