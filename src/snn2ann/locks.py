"""Locks of files, also where the file system has none: NFS without its lock daemon, Lustre without the option."""

import errno
import fcntl
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from filelock import FileLock

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}


def warn_of_no_locks(path: Path, error: OSError) -> None:
    """Say that a file can't be locked and what that means; any other fault is raised."""
    if error.errno not in _NO_LOCKS:
        raise error
    said = f"this file system has no locks ({error.strerror}); run one snakemake at a time here"
    print(f"warning: {path}: {said}", file=sys.stderr, flush=True)


def file_lock(path: Path, seconds: float = -1) -> AbstractContextManager[object]:
    """A lock of a file that is entered by one process at a time, and again by the one that is within.

    Args:
        path: the lock's own file, made where it is missing.
        seconds: how long to wait for it; below 0 for ever.

    Returns:
        The lock; a context without any where the file system has none, which is said.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        except OSError as error:
            warn_of_no_locks(path, error)
            return nullcontext()
    return FileLock(path, seconds)
