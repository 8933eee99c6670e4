# tests/apple/emulator/build_cache.py -- the folder of what tests compile and fetch: its entries, and their removal
"""An entry is a file or a folder that is made once under a name of what it depends on. Who uses one claims it first;
what nobody has claimed for long is removed by prune(), and so is the oldest where all together are too large."""

import contextlib
import fcntl
import functools
import os
import pathlib
import shutil
import tempfile
import time

MOST_BYTES = int(os.environ.get("NHWC_EMULATOR_CACHE_BYTES", 1 << 30))
DAY = 86400
OLD = 14 * DAY
IN_USE = DAY / 4  # seconds for which a claim holds, whatever the size
REMOVED = "removed"
SHELVES = ("objects", "embedded", "defects", "modules")  # folders of entries; any other folder of the root is one


def root():
    """The folder, which NHWC_EMULATOR_CACHE names; else one of the user's, a temporary one where that is read-only."""
    named = os.environ.get("NHWC_EMULATOR_CACHE")
    if not named:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
        if not os.access(base if os.path.isdir(base) else os.path.dirname(base), os.W_OK):
            base = os.path.join(tempfile.gettempdir(), f"cache-{os.getuid()}")
        named = os.path.join(base, "nhwc-emulator")
    folder = pathlib.Path(named)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def shelf(name):
    """A folder of entries."""
    folder = root() / name
    folder.mkdir(exist_ok=True)
    return folder


@contextlib.contextmanager
def locked(path):
    """Holds the lock file at `path`, over all processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def claim(entry):
    """Whether the entry is there; it then stays for hours."""
    with locked(root() / "claim.lock"), contextlib.suppress(FileNotFoundError):
        os.utime(entry)
        return True
    return False


def entries():
    """Every entry that prune may remove."""
    for child in root().iterdir():
        shelves = [child] if child.name in SHELVES else [child / name for name in SHELVES if (child / name).is_dir()]
        for folder in shelves:
            yield from folder.iterdir()
        if child.is_dir() and child.name not in (*SHELVES, REMOVED):
            yield child


def size(entry):
    """Bytes of an entry, without those of the entries inside."""
    if not entry.is_dir():
        return entry.stat().st_size
    inner = [path for path in entry.rglob("*") if "modules" not in path.relative_to(entry).parts]
    return sum(path.stat().st_size for path in inner if path.is_file())


def prune(now=None, most_bytes=MOST_BYTES):
    """Removes the entries that are old, and then the oldest until the rest has at most so many bytes."""
    now = time.time() if now is None else now
    grave, found = pathlib.Path(tempfile.mkdtemp(dir=shelf(REMOVED))), []
    for entry in entries():
        with contextlib.suppress(FileNotFoundError):
            found.append((entry.stat().st_mtime, size(entry), entry))
    total = sum(bytes_ for _, bytes_, _ in found)
    for number, (used, bytes_, entry) in enumerate(sorted(found)):
        if used >= now - IN_USE or (used >= now - OLD and total <= most_bytes):
            break
        total -= bytes_
        with locked(root() / "claim.lock"), contextlib.suppress(FileNotFoundError):  # another process was quicker
            if entry.stat().st_mtime == used:
                entry.rename(grave / str(number))
    shutil.rmtree(grave, ignore_errors=True)


@functools.cache
def prune_sometimes():
    """prune() at most once an hour over all processes."""
    stamp = root() / "pruned"
    with locked(root() / "prune.lock"):
        if stamp.exists() and time.time() - stamp.stat().st_mtime < 3600:
            return
        stamp.touch()
    prune()
