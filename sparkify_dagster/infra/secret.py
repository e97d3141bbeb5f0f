"""The admin password: made here at random, kept in Secrets Manager, shown nowhere.

A tag on the secret names the warehouse that has this password. Where the tag does not name the
warehouse at hand (an interruption between the two calls, a secret that was deleted, a warehouse
that was made again), the password is set once more; so the two cannot part unnoticed.
"""

import json
import secrets
import string
from functools import partial

from sparkify_dagster.infra.aws import (
    Aws,
    Difference,
    Facts,
    Found,
    ask,
    missing_tags,
    tag_dict,
    tag_list,
)
from sparkify_dagster.infra.settings import ADMIN_USER, Names, Settings, tags_of

PASSWORD_OF_TAG = "sparkify:password-of"
PASSWORD_LENGTH = 32
RECOVERY_DAYS = 7  # the least that Secrets Manager offers


def find(aws: Aws, names: Names) -> Found | None:
    """Return the secret's description (never its value), or None."""
    client = aws.client("secretsmanager")
    raw = ask(lambda: client.describe_secret(SecretId=names.secret), "ResourceNotFoundException")
    if raw is None:
        return None
    tags = tag_dict(raw.get("Tags", []))
    if raw.get("DeletedDate"):
        state = f"deleted for good after {raw['DeletedDate']:%Y-%m-%d}"
        return Found(names.secret, raw["ARN"], "scheduled", state, tags, raw)
    return Found(names.secret, raw["ARN"], "ready", "exists", tags, raw)


def new_password() -> str:
    """Return 32 random letters and digits with one of each class, as Redshift demands.

    Rule: CreateNamespace, adminUserPassword: 8 to 64 characters, an upper-case and a lower-case
    letter and a digit, none of / @ " \\ ' and blanks.
    """
    alphabet = string.ascii_letters + string.digits
    while True:
        password = "".join(secrets.choice(alphabet) for _ in range(PASSWORD_LENGTH))
        classes = (string.ascii_lowercase, string.ascii_uppercase, string.digits)
        if all(any(character in group for character in password) for group in classes):
            return password


def create(aws: Aws, settings: Settings, facts: Facts) -> None:
    """Create the secret with the admin user and a new password."""
    password = aws.keep_secret(new_password())
    aws.client("secretsmanager").create_secret(
        Name=settings.names.secret,
        Description=f"Redshift admin of {settings.name}",
        SecretString=json.dumps({"username": ADMIN_USER, "password": password}),
        Tags=tag_list(tags_of(settings.name, settings.names.secret)),
    )


def differences(aws: Aws, settings: Settings, facts: Facts, found: Found) -> list[Difference]:
    """Compare tags; a secret that `down` scheduled for deletion is brought back."""
    client = aws.client("secretsmanager")
    if found.phase == "scheduled":
        restore = partial(client.restore_secret, SecretId=found.name)
        return [Difference("scheduled for deletion, to be restored", restore)]
    return missing_tags(
        found,
        tags_of(settings.name, found.name),
        lambda tags: client.tag_resource(SecretId=found.name, Tags=tag_list(tags)),
    )


def delete(aws: Aws, found: Found) -> None:
    """Schedule the deletion; the password can be had back for seven days."""
    aws.client("secretsmanager").delete_secret(
        SecretId=found.name, RecoveryWindowInDays=RECOVERY_DAYS
    )


def read_password(aws: Aws, names: Names) -> str:
    """Return the password, for the one call that sets it on the warehouse."""
    answer = aws.client("secretsmanager").get_secret_value(SecretId=names.secret)
    return aws.keep_secret(str(json.loads(answer["SecretString"])["password"]))


def belongs_to(aws: Aws, names: Names, warehouse_id: str) -> bool:
    """Whether the warehouse was given this secret's password."""
    found = find(aws, names)
    return found is not None and found.tags.get(PASSWORD_OF_TAG) == warehouse_id


def mark(aws: Aws, names: Names, warehouse_id: str) -> None:
    """Note on the secret that the warehouse has its password."""
    aws.client("secretsmanager").tag_resource(
        SecretId=names.secret, Tags=[{"Key": PASSWORD_OF_TAG, "Value": warehouse_id}]
    )
