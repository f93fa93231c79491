"""A headless Chromium: how it is found and started, and a page in it that a test asks and clicks."""

import itertools
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

AT_MOST_S = 120
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    # A page that asked for anything from a network would wait for it here.
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
DARK = ["--force-dark-mode", "--blink-settings=preferredColorScheme=0"]
# The browser has the pipe as its files 3 and 4; either may be the other's number before.
TAKES_PIPE = """
import fcntl, os, sys
down, up = (fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3])
os.dup2(down, 3), os.dup2(up, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def program() -> str:
    """The browser of this machine."""
    found = next(filter(None, map(shutil.which, ["chromium", "chromium-browser", "google-chrome"])), None)
    assert found, "no Chromium; .ci/need chromium says how to get it"
    return found


class Page:
    """One page, driven through the pipe of developers' tools: messages in JSON, each ended by a zero."""

    def __init__(self, url: str, profile: Path, *options: str) -> None:
        down, self._write = os.pipe()
        self._read, up = os.pipe()
        flags = [*FLAGS, *options, f"--user-data-dir={profile}", "--remote-debugging-pipe", "about:blank"]
        command = [sys.executable, "-c", TAKES_PIPE, str(down), str(up), program(), *flags]
        self._log = (profile.parent / "browser.log").open("wb")
        self._browser = subprocess.Popen(command, pass_fds=(down, up), stderr=self._log, start_new_session=True)
        os.close(down)
        os.close(up)
        self._numbers = itertools.count(1)
        self._unread = b""
        self._session: dict[str, str] = {}
        self._url = url
        self.faults: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _open(self) -> None:
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        self._call("Runtime.enable")
        self._call("Page.navigate", url=self._url)

    def __exit__(self, *_: object) -> None:
        os.killpg(self._browser.pid, signal.SIGKILL)  # and all that it started
        self._browser.wait(AT_MOST_S)
        for file in (self._read, self._write):
            os.close(file)
        self._log.close()

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        number = next(self._numbers)
        request = {"id": number, "method": method, "params": parameters} | self._session
        os.write(self._write, json.dumps(request).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("method") == "Runtime.exceptionThrown":
                self.faults.append(json.dumps(answer["params"]["exceptionDetails"]))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + AT_MOST_S
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._read], [], [], max(0, until - time.monotonic()))
            assert ready, f"the browser says nothing for {AT_MOST_S} s"
            some = os.read(self._read, 1 << 16)
            assert some, "the browser has ended"
            self._unread += some
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)

    def ask(self, expression: str) -> Any:
        """What an expression is worth on the page."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> None:
        """Returns when the expression holds, which the page looks at in each of its frames."""
        until = time.monotonic() + AT_MOST_S
        while not self.ask(f"new Promise((told) => setTimeout(() => told(Boolean({expression})), 20))"):
            assert time.monotonic() < until, f"{expression}; {self.faults}"

    def picture(self) -> str:
        """What is to be seen, as a PNG in base 64."""
        return self._call("Page.captureScreenshot")["data"]

    def click(self, selector: str) -> None:
        """Presses and releases the mouse in the middle of an element."""
        place = f"JSON.stringify(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        self.ask(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        box = json.loads(self.ask(place))
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
