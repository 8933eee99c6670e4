# tests/apple/test_build_cache.py -- what the emulator's cache keeps and what it removes
import os
import time

import build_cache
import pytest

NOW = time.time()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NHWC_EMULATOR_CACHE", str(tmp_path))
    return tmp_path


def entry(path, days, size=1000):
    """An entry that was claimed so many days ago: a file, or a folder with a file in it."""
    folder = build_cache.root() / path
    folder.parent.mkdir(parents=True, exist_ok=True)
    if folder.suffix:
        folder.write_bytes(bytes(size))
    else:
        folder.mkdir()
        (folder / "made").write_bytes(bytes(size))
    os.utime(folder, (NOW, NOW - days * build_cache.DAY))
    return folder


def test_what_nobody_claimed_for_long_goes():
    old = [entry(path, 20) for path in ("objects/a.o", "embedded/b", "runtime-c", "0123/modules/d.so")]
    kept = [entry(path, 10) for path in ("objects/e.o", "embedded/f", "runtime-g", "4567/modules/h.so")]
    build_cache.prune(NOW)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in kept)


def test_the_oldest_go_where_all_are_too_large():
    paths = [entry(f"objects/{days}.o", days) for days in (4, 3, 2, 1)]
    build_cache.prune(NOW, most_bytes=2500)
    assert [path.exists() for path in paths] == [False, False, True, True]


def test_the_modules_of_a_compiler_count_on_their_own():
    old, new = entry("0123/modules/old.so", 3, 10**6), entry("0123/modules/new.so", 1)
    os.utime(build_cache.root() / "0123", (NOW, NOW - build_cache.DAY))
    build_cache.prune(NOW, most_bytes=5000)
    assert not old.exists()
    assert new.exists()


def test_what_was_claimed_stays_whatever_its_size_and_age():
    path = entry("objects/a.o", 20, 10**6)
    assert build_cache.claim(path)
    build_cache.prune(NOW, most_bytes=1)
    assert path.exists()


def test_an_entry_that_is_claimed_while_others_are_removed_stays(monkeypatch):
    """A process that claims what prune has already found to be old keeps it."""
    first, second = entry("objects/a.o", 30), entry("objects/b.o", 20)
    locked = build_cache.locked

    def claimed_meanwhile(path):
        if not claimed:
            claimed.append(os.utime(second))
        return locked(path)

    claimed = []
    monkeypatch.setattr(build_cache, "locked", claimed_meanwhile)
    build_cache.prune(NOW)
    assert (first.exists(), second.exists()) == (False, True)


def test_nothing_to_claim():
    assert not build_cache.claim(build_cache.root() / "objects" / "none.o")


def test_once_an_hour():
    path = entry("objects/a.o", 20)
    (build_cache.root() / "pruned").touch()
    build_cache.prune_sometimes.__wrapped__()
    assert path.exists()
    os.utime(build_cache.root() / "pruned", (NOW, NOW - 4000))
    build_cache.prune_sometimes.__wrapped__()
    assert not path.exists()
