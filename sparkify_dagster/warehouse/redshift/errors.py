"""What goes wrong on the way to Redshift and in it; errors.yaml has what passes and what helps."""

import re
from pathlib import Path

import yaml

from sparkify_dagster.warehouse.base import WarehouseError

LOAD_FAILED = re.compile(r"Check '(stl_load_errors|sys_load_error_detail)'", re.IGNORECASE)
MISSING_RELATION = ("42P01", "3F000")
CANCELLED = "57014"

_FACTS = yaml.load(
    Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"), yaml.CSafeLoader
)
PASSING_AWS = frozenset(_FACTS["passing_aws"])
_QUERY = re.compile(r"query:\s*(\d+)")


class ServerError(WarehouseError):
    """Redshift answered a statement with an error."""

    def __init__(self, place: str, sqlstate: str, message: str, detail: str = "") -> None:
        self.sqlstate = sqlstate
        self.message = message
        self.detail = detail
        self.passes = self._said("passing")
        self.transient = bool(self.passes)
        text = f"{place}: {message} (SQLSTATE {sqlstate})"
        if detail:
            text += f"\n  {detail.strip()}"
        super().__init__(f"{text}\n{self._said('remedies')}".rstrip())

    def _said(self, what: str) -> str:
        for fact in _FACTS[what]:
            if (
                re.fullmatch(fact.get("sqlstate", ".*"), self.sqlstate)
                and re.fullmatch(fact.get("message", "(?s).*"), self.message.strip(), re.I)
                and re.search(fact.get("text", ""), self.message + self.detail, re.I)
            ):
                return str(fact["says"])
        return ""


class ConnectionLost(WarehouseError):
    """The connection broke; what became of the transaction is not known from here."""

    transient, passes = True, "the connection was lost"


class Unreachable(WarehouseError):
    """No connection could be made, for a reason that may pass."""

    transient, passes = True, "the cluster does not answer"


class Overtaken(WarehouseError):
    """What the run took for granted has changed: the transaction is done again, and looks anew."""

    transient, passes = True, "what it rests on has changed"


class NoAnswer(WarehouseError):
    """The server has not answered for longer than its own timeouts allow."""


def failed_query(error: ServerError) -> int | None:
    """Return the number of the query that failed, where the error's detail says it."""
    found = _QUERY.search(error.detail)
    return int(found[1]) if found else None
