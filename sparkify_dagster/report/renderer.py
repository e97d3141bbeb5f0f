"""A process that draws charts while this one goes on.

The renderer takes a quarter of a second to wake and holds Python's lock meanwhile, so a thread
would not do.
"""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, cast

from sparkify_dagster.report import drawing
from sparkify_dagster.report.drawing import Specification

_RESTARTS = 2

_log = logging.getLogger(__name__)


class Renderer:
    """Draws each chart once; the drawing begins when it is first asked for.

    A process that dies is started anew, a few times. A chart that cannot be drawn is an empty text:
    the tables are worth more than their pictures.
    """

    def __init__(self) -> None:
        self._process = _start()
        self._starts_left = _RESTARTS
        # One thread, so that requests and answers take turns.
        self._turns = ThreadPoolExecutor(1)
        self._begun: dict[str, Future[str]] = {}

    def svg(self, chart: Specification) -> Callable[[], str]:
        """Begin to draw a chart; return what waits for it as SVG, or empty."""
        return self._begin("svg", chart)

    def png(self, chart: Specification) -> Callable[[], str]:
        """Begin to draw a chart; return what waits for it as PNG in base64, or empty."""
        return self._begin("png", chart)

    def close(self) -> None:
        """End the process, be it at work or still waking."""
        self._starts_left = 0
        self._process.kill()
        self._turns.shutdown(cancel_futures=True)
        self._process.communicate()

    def _begin(self, form: str, chart: Specification) -> Callable[[], str]:
        request = json.dumps({"form": form, "chart": chart})
        if request not in self._begun:
            self._begun[request] = self._turns.submit(self._draw, request)
        return self._begun[request].result

    def _draw(self, request: str) -> str:
        answer = self._ask(request)
        while not answer and self._starts_left:
            self._starts_left -= 1
            status = self._process.wait()
            _log.warning("the process that draws charts ended with status %s; again", status)
            self._process.communicate()
            self._process = _start()
            answer = self._ask(request)
        return str(json.loads(answer or '""'))

    def _ask(self, request: str) -> str:
        try:
            requests = cast("IO[str]", self._process.stdin)
            requests.write(f"{request}\n")
            requests.flush()
            return cast("IO[str]", self._process.stdout).readline()
        except (BrokenPipeError, ValueError):  # it has died, or is closed
            return ""


def _start() -> subprocess.Popen[str]:
    return subprocess.Popen(
        # -P: the modules beside it must not hide others of their names.
        [sys.executable, "-P", drawing.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,  # an interrupt from the keyboard is for this process to handle
    )
