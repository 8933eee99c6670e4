# tests/tools/test_linux_wheel.py -- the toolchain of Linux wheels: what is linked with it loads on glibc 2.28
import os
import pathlib
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from linux import check, sysroot  # noqa: E402

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="for Linux alone")

# Younger than the floors: filesystem (GLIBCXX_3.4.26), log (GLIBC_2.29), dlsym (GLIBC_2.34), a timed wait (GLIBC_2.30),
# stat (GLIBC_2.33). pthread_atfork is in an archive.
SOURCE = """
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <dlfcn.h>
#include <filesystem>
#include <pthread.h>
#include <sstream>
extern "C" __attribute__((visibility("default"))) int PyInit__core(int n) {
  std::ostringstream s;
  s << std::log(static_cast<double>(n)) << std::filesystem::path("/a/b/c").filename().string();
  if (std::filesystem::exists("/nowhere") || pthread_atfork(nullptr, nullptr, [] {})) return -1;
  std::mutex m;
  std::condition_variable c;
  std::unique_lock lock(m);
  c.wait_for(lock, std::chrono::microseconds(n));
  try {
    if (n > 5) throw std::runtime_error(s.str());
  } catch (const std::exception& e) {
    return static_cast<int>(std::string(e.what()).size());
  }
  return dlsym(nullptr, "nothing") != nullptr;
}
"""


def cmake_value(toolchain, name):
    line = next(x for x in toolchain.read_text().splitlines() if x.startswith(f"set({name} "))
    return line.split(" ", 1)[1].strip('")').split()


@pytest.fixture(scope="module")
def modules(tmp_path_factory):
    """(linked with the toolchain, linked without)."""
    pytest.importorskip("ziglang")
    folder = tmp_path_factory.mktemp("linux")
    toolchain = sysroot.make(folder / "sysroot", os.uname().machine)
    (folder / "a.cpp").write_text(SOURCE)
    compiler = sysroot.compiler_for(os.uname().machine)[0]
    base = [compiler, "-std=c++20", "-O1", "-fPIC", "-shared", "-fvisibility=hidden", str(folder / "a.cpp")]
    old, new = folder / "old.so", folder / "new.so"
    flags = [f for n in ("CMAKE_CXX_FLAGS_INIT", "CMAKE_MODULE_LINKER_FLAGS_INIT") for f in cmake_value(toolchain, n)]
    script = ["-Wl,--version-script=" + str(ROOT / "python" / "src" / "exports.map")]
    libraries = cmake_value(toolchain, "CMAKE_CXX_STANDARD_LIBRARIES")
    subprocess.run([*base, *flags, *script, "-o", old, *libraries], check=True)
    subprocess.run([*base, *script, "-o", new], check=True)
    return old, new


def test_a_module_asks_for_nothing_younger_than_the_floor(modules):
    rows = {what: (figure, right) for what, figure, right in check.check_module(modules[0], os.uname().machine)}
    assert all(right for _, right in rows.values()), rows
    readelf = sysroot.compiler_for(os.uname().machine)[1]
    assert not any(map(check.too_new, check.versions(readelf, modules[0])))


def test_it_works(modules):
    program = f"import ctypes; f = ctypes.CDLL({str(modules[0])!r}).PyInit__core; print(f(9), f(2))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.split() == [str(len("2.19722c")), "0"]


def test_one_that_is_linked_as_usual_is_found_out(modules):
    readelf = sysroot.compiler_for(os.uname().machine)[1]
    found = [v for v in check.versions(readelf, modules[1]) if check.too_new(v)]
    if not found:
        pytest.skip("this system is as old as the floor")
    rows = {what: right for what, _, right in check.check_module(modules[1], os.uname().machine)}
    assert not rows["newest glibc it asks for"]


def test_versions():
    old = ["GLIBC_2.28", "GLIBC_2.2.5", "GLIBCXX_3.4.24", "CXXABI_1.3.11", "GCC_3.0"]
    young = ["GLIBC_2.29", "GLIBCXX_3.4.26", "CXXABI_1.3.13"]
    assert [v for v in old + young if check.too_new(v)] == young


def test_a_wheel_that_lacks_things_is_wrong(tmp_path, capsys):
    wheel = tmp_path / "nhwc-0.1.0-cp311-cp311-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as z:
        z.writestr("nhwc/py.typed", "")
    assert check.report(wheel) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(x.startswith("ok") and "py.typed" in x for x in lines)
    assert any(x.startswith("WRONG") and "archive" in x for x in lines)
    other = wheel.rename(tmp_path / "nhwc-0.1.0-cp311-cp311-win32.whl")
    with pytest.raises(SystemExit, match="no Linux wheel of x86_64 or aarch64"):
        check.report(other)
