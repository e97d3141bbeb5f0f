"""A process that draws charts while this one goes on.

The renderer takes a quarter of a second to wake and holds Python's lock meanwhile, so a thread
would not do.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import IO, cast

from sparkify_dagster.report import drawing
from sparkify_dagster.report.drawing import Specification


class RendererError(Exception):
    """The process that draws charts has ended."""


class Renderer:
    """Draws each chart once; the drawing begins when it is first asked for."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            # -P: the modules beside it must not hide others of their names.
            [sys.executable, "-P", drawing.__file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,  # an interrupt from the keyboard is for this process to handle
        )
        # One thread, so that requests and answers take turns.
        self._turns = ThreadPoolExecutor(1)
        self._begun: dict[str, Future[str]] = {}

    def svg(self, chart: Specification) -> Callable[[], str]:
        """Begin to draw a chart; return what waits for it as SVG."""
        return self._begin("svg", chart)

    def png(self, chart: Specification) -> Callable[[], str]:
        """Begin to draw a chart; return what waits for it as PNG in base64."""
        return self._begin("png", chart)

    def close(self) -> None:
        """End the process, be it at work or still waking."""
        self._process.kill()
        self._turns.shutdown(cancel_futures=True)
        self._process.communicate()

    def _begin(self, form: str, chart: Specification) -> Callable[[], str]:
        request = json.dumps({"form": form, "chart": chart})
        if request not in self._begun:
            self._begun[request] = self._turns.submit(self._ask, request)
        return self._begun[request].result

    def _ask(self, request: str) -> str:
        try:
            requests = cast("IO[str]", self._process.stdin)
            requests.write(f"{request}\n")
            requests.flush()
            answer = cast("IO[str]", self._process.stdout).readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise RendererError(
                f"the process that draws charts ended with status {self._process.wait()}; what it "
                "said is in the run's output. Run again; if it happens again, the chart is at fault"
            )
        return str(json.loads(answer))
