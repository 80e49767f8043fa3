"""Chromium without a screen, told by its own protocol what to click and asked what it shows."""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

# The smallest visible element with a text, alone or as a part of it.
FIND = """(text => {
  const seen = [...document.querySelectorAll('a, button, label, span, div, td')].filter(each =>
    each.textContent.trim() === text && each.getClientRects().length);
  const found = seen.at(-1);
  if (!found) return null;
  found.scrollIntoView({block: 'center'});
  const box = found.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
})"""
SECONDS = 90.0


def browser() -> str:
    """The program, or a skip that says what is missing."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium or google-chrome is installed (Debian: chromium)")
    return program


class Page:
    """The one page of a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket, self.sent = socket, 0

    async def tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return what comes of it."""
        self.sent += 1
        await self.socket.send_json({"id": self.sent, "method": method, "params": parameters})
        while True:
            answer = await self.socket.receive_json(timeout=SECONDS)
            if answer.get("id") == self.sent:
                assert "error" not in answer, answer
                return dict(answer["result"])

    async def evaluate(self, script: str) -> Any:
        """The value of an expression in the page."""
        return (await self.tell("Runtime.evaluate", expression=script, returnByValue=True))["result"].get("value")

    async def wait_for(self, script: str) -> Any:
        """Wait until an expression is true, and return its value."""
        end = time.monotonic() + SECONDS
        while not (value := await self.evaluate(script)):
            assert time.monotonic() < end, f"{script}\n{await self.evaluate('location.href + document.body.innerText')}"
        return value

    async def shows(self, *texts: str) -> None:
        """Wait until the page shows each of the texts."""
        for text in texts:
            await self.wait_for(f"document.body.innerText.includes({json.dumps(text)})")

    async def click(self, text: str) -> None:
        """Click, with a mouse, what has just this text, when it has come to rest."""
        before, found = None, await self.wait_for(f"{FIND}({json.dumps(text)})")
        while found != before:
            await asyncio.sleep(0.2)
            before, found = found, await self.wait_for(f"{FIND}({json.dumps(text)})")
        x, y = found
        for kind in ("mousePressed", "mouseReleased"):
            await self.tell("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


@asynccontextmanager
async def opened(address: str, folder: Path) -> AsyncIterator[Page]:
    """A browser that has never been anywhere, at an address; its files are in the folder."""
    command = [
        browser(),
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
    ]
    command += ["--disable-component-update", "--disable-sync", "--window-size=1600,1000", f"--user-data-dir={folder}"]
    command += ["--remote-debugging-port=0", address]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
        try:
            told = folder / "DevToolsActivePort"
            while not told.exists() or not told.read_text().strip():
                assert running.poll() is None
                time.sleep(0.1)
            port = told.read_text().splitlines()[0]
            async with aiohttp.ClientSession() as session:
                while True:
                    pages = await (await session.get(f"http://127.0.0.1:{port}/json")).json()
                    if found := [each for each in pages if each["type"] == "page"]:
                        break
                async with session.ws_connect(found[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                    yield Page(socket)
        finally:
            running.kill()
