import pytest

from sparkify_dagster.infra.errors import InfraError
from sparkify_dagster.infra.settings import S3Prefix, check_cidr, check_name, parse_s3
from sparkify_dagster_tests.infra.conftest import settings_of


@pytest.mark.parametrize(
    ("cidr", "reason"),
    [
        ("0.0.0.0/0", "whole internet"),
        ("10.1.2.3/0", "whole internet"),
        ("::/0", "whole internet"),
        ("0.0.0.0/1", "wider than a /8"),
        ("2001:db8::/32", "IPv4 only"),
        ("10.0.0.0/33", "no network"),
        ("everybody", "no network"),
    ],
)
@pytest.mark.parametrize("public", [True, False])
def test_networks_that_are_refused_with_the_reason(cidr: str, reason: str, public: bool) -> None:
    with pytest.raises(InfraError, match=reason):
        settings_of(allow_cidr=cidr, publicly_accessible=public)


def test_public_needs_a_network() -> None:
    with pytest.raises(InfraError, match="--public needs --allow-cidr"):
        settings_of(publicly_accessible=True)


def test_networks_are_brought_to_their_normal_form() -> None:
    assert check_cidr("203.0.113.7") == "203.0.113.7/32"
    assert check_cidr("10.1.2.3/8") == "10.0.0.0/8"


@pytest.mark.parametrize("name", ["a", "ab", "Sparkify", "1st", "a--b", "ab-", "a_b", "a" * 41])
def test_names_that_some_service_would_refuse(name: str) -> None:
    with pytest.raises(InfraError, match="--name"):
        check_name(name)


def test_longest_and_shortest_name() -> None:
    assert check_name("a" * 40)
    assert check_name("a-b")


@pytest.mark.parametrize("url", ["data", "s3:/b/x", "s3://B/x", "s3://b", "s3://bu*cket/x"])
def test_addresses_that_are_none(url: str) -> None:
    with pytest.raises(InfraError, match=r"--lake.*no s3://"):
        parse_s3(url, "--lake")


@pytest.mark.parametrize("url", ["s3://lake/a*", "s3://lake/a?", "s3://lake/${x}", "s3://lake/a b"])
def test_prefixes_that_would_widen_the_policy(url: str) -> None:
    with pytest.raises(InfraError, match="wildcards in IAM"):
        parse_s3(url, "--lake")


def test_addresses_lose_their_outer_slashes() -> None:
    assert parse_s3("s3://lake", "--lake") == S3Prefix("lake", "")
    assert parse_s3("s3://lake/a/b/", "--lake") == S3Prefix("lake", "a/b/")
    assert S3Prefix("lake", "a/b/").url == "s3://lake/a/b"
    assert S3Prefix("lake", "").url == "s3://lake"


@pytest.mark.parametrize("prefix", ["", "raw/", "raw/log_data/", "raw/song_data/manifests/"])
def test_manifests_may_not_overlap_the_data(prefix: str) -> None:
    with pytest.raises(InfraError, match="--manifest-prefix"):
        settings_of(manifests=S3Prefix("sparkify-lake", prefix))


def test_manifests_may_lie_beside_the_data_or_in_another_bucket() -> None:
    for manifests in (
        S3Prefix("sparkify-lake", "raw/manifests/"),
        S3Prefix("other-bucket", "raw/"),
    ):
        assert settings_of(manifests=manifests).manifests == manifests


@pytest.mark.parametrize(
    ("change", "option"),
    [
        ({"base_rpu": 5}, "--base-rpu"),
        ({"max_rpu": 12}, "--max-rpu"),
        ({"base_rpu": 32}, "--max-rpu"),
        ({"usage_limit": 0}, "--usage-limit"),
        ({"node_count": 0}, "--nodes"),
        ({"snapshot_days": 0}, "--snapshot-days"),
        ({"database": "Spark-ify"}, "--database"),
    ],
)
def test_sizes_that_are_refused(change: dict[str, object], option: str) -> None:
    with pytest.raises(InfraError, match=option):
        settings_of(**change)
