"""What goes wrong on the way to Redshift and in it: which faults pass, and what helps otherwise.

Redshift reports most failures under SQLSTATE XX000, so code and message are both looked at.
"""

import re

from sparkify_dagster.warehouse.base import WarehouseError

LOAD_FAILED = re.compile(r"Check '(stl_load_errors|sys_load_error_detail)'", re.IGNORECASE)
MISSING_RELATION = ("42P01", "3F000")
CANCELLED = "57014"

_CLASS_CONNECTION = "08"
_SERVER_CLOSES = ("57P01", "57P02", "57P03")
# Each ends the transaction and is gone when that is done anew. The numbers are whole messages:
# 1023 is a serializable isolation violation, 1018 a relation that another transaction dropped.
_CONCURRENT = re.compile(
    r"1023|1018"
    r"|could not complete because of conflict with concurrent transaction.*"
    r"|could not open relation with OID.*"
    r"|table \S+ dropped by concurrent transaction.*",
    re.IGNORECASE | re.DOTALL,
)
_DEADLOCK = "40P01"
_QUERY = re.compile(r"query:\s*(\d+)")
_THROTTLED = re.compile(r"SlowDown|reduce your request rate|Status 503", re.IGNORECASE)
_REMEDIES = (
    (
        r"NoSuchKey|Status 404|does not exist.*s3|s3.*does not exist|mandatory",
        "A file of the lake has gone since it was listed; run again, which lists it anew.",
    ),
    (
        r"AccessDenied|Access Denied|Status 403",
        "The role of REDSHIFT_IAM_ROLE needs s3:GetObject and s3:ListBucket on the lake and on "
        "SPARKIFY_MANIFEST_PREFIX.",
    ),
    (
        r"not authorized to (assume|get credentials)|IAM role|default iam role",
        "Attach the role of REDSHIFT_IAM_ROLE to the cluster or namespace; `default` needs a "
        "default role there.",
    ),
    (
        r"PermanentRedirect|Status 301|must be addressed using",
        "The bucket is in another region than COPY was told.",
    ),
    (
        r"permission denied for database",
        "Let an admin run `sparkify grants --loader USER` first, which makes the schemas.",
    ),
    (r"permission denied", "The database user lacks a right; its owner has to GRANT it."),
)


class ServerError(WarehouseError):
    """Redshift answered a statement with an error."""

    def __init__(self, place: str, sqlstate: str, message: str, detail: str = "") -> None:
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.transient = bool(passing_reason(self))
        text = f"{place}: {message} (SQLSTATE {sqlstate})"
        if detail:
            text += f"\n  {detail.strip()}"
        super().__init__(f"{text}\n{_remedy(sqlstate, message + detail)}".rstrip())


class ConnectionLost(WarehouseError):
    """The connection broke; what became of the transaction is not known from here."""

    transient = True


class Unreachable(WarehouseError):
    """No connection could be made, for a reason that may pass."""

    transient = True


class Overtaken(WarehouseError):
    """What the run took for granted has changed: the transaction is done again, and looks anew."""

    transient = True


_PASSING: dict[type[WarehouseError], str] = {
    ConnectionLost: "the connection was lost",
    Unreachable: "the cluster does not answer",
    Overtaken: "what it rests on has changed",
}


def passing_reason(error: WarehouseError) -> str:
    """Return why a fault may be gone at the next try; empty where it will not."""
    if type(error) in _PASSING:
        return _PASSING[type(error)]
    if isinstance(error, ServerError):
        if error.sqlstate.startswith(_CLASS_CONNECTION) or error.sqlstate in _SERVER_CLOSES:
            return "the cluster is restarting or resuming"
        if error.sqlstate == _DEADLOCK or _CONCURRENT.fullmatch(error.message.strip()):
            return "another transaction changed the same tables"
        if error.sqlstate == "XX000" and _THROTTLED.search(error.message + error.detail):
            return "S3 throttles requests"
    return ""


def failed_query(error: ServerError) -> int | None:
    """Return the number of the query that failed, where the error's detail says it."""
    found = _QUERY.search(error.detail)
    return int(found[1]) if found else None


def _remedy(sqlstate: str, text: str) -> str:
    if sqlstate == CANCELLED:
        return (
            "It was cancelled: by REDSHIFT_STATEMENT_TIMEOUT (seconds), by a workload rule or by "
            "an administrator."
        )
    if _THROTTLED.search(text):
        return "S3 throttles requests; run again later."
    return next(
        (remedy for pattern, remedy in _REMEDIES if re.search(pattern, text, re.IGNORECASE)), ""
    )
