"""SET, RESET and SHOW: the session's parameters."""

from . import lexical
from .errors import ServerError, not_emulated, syntax_error
from .lexical import Token

DEFAULTS = {
    "search_path": '"$user", public',
    "query_group": "default",
    "statement_timeout": "0",
    "application_name": "",
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "client_encoding": "UTF8",
    "enable_result_cache_for_session": "on",
    "enable_case_sensitive_identifier": "off",
    "error_on_nondeterministic_update": "off",
    "wlm_query_slot_count": "1",
    "analyze_threshold_percent": "10",
    "extra_float_digits": "0",
    "server_version": "8.0.2",
}
_FIXED = {"timezone": {"utc"}, "enable_case_sensitive_identifier": {"off", "false"}}


def _known(name: str) -> str:
    if name not in DEFAULTS:
        raise ServerError("42704", f'unrecognized configuration parameter "{name}"')
    return name


def _value(tokens: list[Token]) -> str:
    parts = []
    for token in tokens:
        if token.text != ",":
            parts.append(token.value if token.kind == "string" else token.text)
    if not parts:
        raise syntax_error("")
    return ", ".join(parts)


def parse_set(tokens: list[Token]) -> tuple[str, str]:
    """Read SET name TO value; give name and value.

    Raises ServerError 42601, 42704 for an unknown name, 0A000 for a value that would
    change how the double reads SQL.
    """
    start = 1 + (len(tokens) > 1 and tokens[1].upper in ("SESSION", "LOCAL"))
    if len(tokens) < start + 3 or tokens[start + 1].upper not in ("TO", "="):
        raise syntax_error(tokens[start + 1].text if len(tokens) > start + 1 else "")
    name = _known(tokens[start].value)
    rest = tokens[start + 2 :]
    value = (
        DEFAULTS[name] if rest[0].upper == "DEFAULT" and rest[0].kind == "word" else _value(rest)
    )
    if name in _FIXED and value.lower() not in _FIXED[name]:
        raise not_emulated(f"SET {name} TO {value}")
    if name == "statement_timeout" and not value.isdigit():
        raise ServerError("22023", 'parameter "statement_timeout" requires a numeric value')
    return name, value


def parse_name(tokens: list[Token]) -> str:
    """Read the parameter's name of SHOW or RESET."""
    if len(tokens) != 2:
        raise syntax_error(tokens[-1].text)
    return _known(tokens[1].value)


def search_path(value: str) -> list[str]:
    """Split a search_path, without the user's own schema."""
    names = [token.value for token in lexical.tokens(value) if token.text != ","]
    return [name for name in names if name != "$user"]


def named_path(tokens: list[Token]) -> list[str]:
    """Give the schemas that SET search_path names; a string is one name, commas and all."""
    names = [token.value for token in tokens[3:] if token.text != ","]
    words = [token.upper for token in tokens[3:]]
    return [name for name in names if name != "$user" and words != ["DEFAULT"]]
