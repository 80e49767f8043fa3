"""Downloads that go on where they broke off, from one mirror after the other."""

import hashlib
import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import requests
from pooch import HTTPDownloader

from snn2ann.data.download_progress import Meter, say
from snn2ann.data.identity import Identity
from snn2ann.errors import UserError

# Attempts in a row that bring nothing new before a mirror is given up.
ATTEMPTS = 4
# Pause before the second attempt; it doubles from one attempt to the next.
BACKOFF_SECONDS = 1.0
# A server that is silent for longer is given up.
TIMEOUT_SECONDS = 30.0
# A mirror that brings less than so many bytes in so many seconds is left for the next one.
WINDOW_SECONDS = 60.0
LEAST_BYTES = 60_000


class _MirrorFailed(Exception):
    """A mirror cannot give the file; the message says why."""


class _Broken(Exception):
    """An attempt failed in a way that another one may mend."""


def download(identity: Identity, mirrors: list[str], path: Path, dataset: str) -> str:
    """Download a declared file from the first mirror that has it, through proxies of the environment.

    Args:
        identity: what has to arrive.
        mirrors: URLs of the file, or of folders that hold it.
        path: where it goes.
        dataset: the data set's name, for messages.

    Returns:
        The URL that it came from.

    Raises:
        UserError: no mirror had it; the message says what to put where.
    """
    causes = []
    for mirror in mirrors:
        url = _file_url(mirror, identity.name)
        try:
            _from_mirror(identity, url, path)
        except _MirrorFailed as error:
            for part in path.parent.glob(f".{path.name}.*.part"):
                if not _size(part):
                    part.unlink()
            say(f"{url}: {error}; skipped")
            causes.append(f"\n  {url}: {error}")
        else:
            for part in path.parent.glob(f".{path.name}.*.part"):
                part.unlink()
            return url
    raise UserError(
        f"{dataset}: {identity.describe()} could not be downloaded. Get it on another machine and "
        f"put it at {path}, or give its path in params.yaml as datasets.{dataset}.local; "
        f"datasets.{dataset}.mirrors adds URLs. Tried:{''.join(causes) or ' nothing'}"
    )


def _file_url(mirror: str, name: str) -> str:
    if mirror.rpartition("/")[2] == name:
        return mirror
    return f"{mirror.rstrip('/')}/{name}"


def _from_mirror(identity: Identity, url: str, path: Path, *, afresh: bool = False) -> None:
    """Download until the file is whole, or the mirror is found to fail or to lie."""
    # A name of its own for each URL: what a lying mirror gave must not be continued elsewhere.
    mark = hashlib.sha256(url.encode()).hexdigest()[:8]
    part = path.with_name(f".{path.name}.{mark}.part")
    attempt, most = 0, _size(part)
    say(f"{url}: downloading" + (f", going on at {most:,} bytes" if most else ""))
    while True:
        started_at = _size(part)
        try:
            _transfer(identity, url, part)
            break
        except _Broken as error:
            # Whatever brings something new is worth another attempt at once.
            attempt = 1 if _size(part) > most else attempt + 1
            most = max(most, _size(part))
            if attempt >= ATTEMPTS:
                raise _MirrorFailed(str(error)) from error
            pause = BACKOFF_SECONDS * 2 ** (attempt - 1)
            say(f"{url}: {error}; attempt again in {pause:g} s")
            time.sleep(pause)
    cause = identity.defect(part)
    if cause is None:
        part.replace(path)
        return
    part.unlink()
    if not started_at or afresh:
        raise _MirrorFailed(cause)
    # The first bytes may have been those of another version of the file: once more, from none.
    _from_mirror(identity, url, path, afresh=True)


def _transfer(identity: Identity, url: str, part: Path) -> None:
    """One request, from the end of what is there to the end of the file."""
    offset = _size(part)
    if offset >= identity.size:
        return
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
    try:
        with part.open("ab") as file, Meter(identity.name, identity.size, bytes_=True) as meter:
            receiver = _Receiver(file, identity.size, meter)
            downloader = HTTPDownloader(
                # What has come of a chunk is lost when the connection breaks.
                chunk_size=2**13,
                timeout=TIMEOUT_SECONDS,
                headers=headers,
                hooks={"response": receiver.begin},
            )
            _watched(lambda: downloader(url, receiver, None), receiver)
    except requests.HTTPError as error:
        assert error.response is not None
        _judge_status(error.response.status_code, part)
    except (
        requests.ConnectionError,
        requests.Timeout,
        requests.exceptions.ChunkedEncodingError,
    ) as error:
        raise _Broken(f"the connection failed ({_innermost(error)})") from error
    except requests.RequestException as error:
        raise _MirrorFailed(str(error)) from error
    if _size(part) < identity.size and not identity.matches(part) and identity.is_kind(part):
        raise _Broken(f"it ended after {_size(part):,} of {identity.size:,} bytes")


def _watched(work: Callable[[], object], receiver: "_Receiver") -> None:
    """Do the work of a transfer, and leave it when it is too slow, whatever it waits for.

    A server that sends a byte now and then, of the file or of its headers, never runs into the time limit of a silent one;
    so the work has a thread of its own, which a word to the receiver ends.

    Raises:
        _MirrorFailed: too slow.
        Exception: what the work raises.
    """
    ended: queue.Queue[BaseException | None] = queue.Queue()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            ended.put(error)
        else:
            ended.put(None)

    threading.Thread(target=run, daemon=True).start()
    seen = 0
    while True:
        try:
            error = ended.get(timeout=WINDOW_SECONDS)
        except queue.Empty:
            if receiver.received - seen < LEAST_BYTES:
                receiver.close()
                speed = f"{LEAST_BYTES / WINDOW_SECONDS:,.0f} bytes a second over {WINDOW_SECONDS:g} s"
                raise _MirrorFailed(f"slower than {speed}") from None
            seen = receiver.received
            continue
        if error is not None:
            raise error
        return


class _Receiver:
    """What pooch's downloader writes to: knows where the answer begins and when it is too long.

    Attributes:
        received: bytes that have come.
    """

    def __init__(self, file: BinaryIO, limit: int, meter: Meter) -> None:
        self.file, self.limit, self.meter = file, limit, meter
        self.received = 0
        self._open, self._lock = True, threading.Lock()

    def close(self) -> None:
        """Take nothing more; a write under way is waited for."""
        with self._lock:
            self._open = False

    def _check_open(self) -> None:
        if not self._open:
            raise _MirrorFailed("left")

    def begin(self, response: requests.Response, **_: Any) -> None:
        """Start at nothing where the server sends the whole in the place of the rest."""
        with self._lock:
            self._check_open()
            self._begin(response)

    def _begin(self, response: requests.Response) -> None:
        if response.status_code == 206:
            content_range = response.headers.get("Content-Range", "")
            if not content_range.startswith(f"bytes {self.file.tell()}-"):
                self.file.truncate(0)
                raise requests.ConnectionError(f"another range was sent: {content_range!r}")
        elif response.ok and not response.is_redirect:
            self.file.truncate(0)
            self.file.seek(0)
        self.meter.set(self.file.tell())

    def write(self, block: bytes) -> None:
        """Append a block.

        Raises:
            _MirrorFailed: the answer is longer than the file can be.
        """
        with self._lock:
            self._check_open()
            self.file.write(block)
            self.received += len(block)
            self.meter.set(self.file.tell())
            if self.file.tell() > self.limit:
                self.file.truncate(0)
                raise _MirrorFailed(f"longer than the expected {self.limit:,} bytes")

    def flush(self) -> None:
        """Leave the flushing to the file."""


def _judge_status(status: int, part: Path) -> None:
    """Sort the answers of servers that are not the file."""
    if status == 416:
        part.unlink()
        raise _Broken("the rest of the file was refused")
    if status in (408, 429) or status >= 500:
        raise _Broken(f"the server answered {status}")
    raise _MirrorFailed(f"the server answered {status}")


def _innermost(error: BaseException) -> str:
    """The reason at the bottom of an error of requests, in a few words."""
    reason: Any = error.args[0] if error.args else error
    reason = getattr(reason, "reason", reason)
    return str(reason).rpartition(": ")[2] or type(error).__name__


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
