# tests/apple/test_standin.py -- the stand-in for Objective-C and Metal: right programs run, wrong ones are named
import os
import pathlib
import re
import subprocess

import build_runtime
import pytest

PROGRAMS = pathlib.Path(__file__).resolve().parent / "programs"
pytestmark = pytest.mark.skipif(not build_runtime.available(), reason="needs ziglang, or NHWC_STANDIN_CXX")


def cases(name):
    """(case, what its report says) of a file of programs."""
    text = (PROGRAMS / name).read_text()
    found = re.findall(r"((?:^// .+\n)+)CASE\((\w+)\)", text, re.MULTILINE)
    return [(" ".join(line[3:] for line in comment.splitlines()), case) for comment, case in found]


FILES = ("correct.cpp", "misuse.cpp", "hazards.cpp", "faults.cpp")
ALL_CASES = [case for name in FILES for case in cases(name)]


@pytest.fixture(scope="session")
def program():
    sanitizer = os.environ.get("NHWC_STANDIN_SANITIZER")  # "address" (with NHWC_STANDIN_CXX) or "thread"
    return build_runtime.build_program("standin_cases", sorted(PROGRAMS.glob("*.cpp")), sanitizer)


def run(program, case, **environment):
    return subprocess.run(
        [program, case],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "NHWC_STANDIN_TIMEOUT": "1", **environment},
    )


def check_clean(done):
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ended\n", done.stdout + done.stderr


@pytest.mark.parametrize(("expected", "case"), ALL_CASES, ids=[case for _, case in ALL_CASES])
def test_report(program, expected, case):
    done = run(program, case)
    if expected == "nothing":
        check_clean(done)
    elif expected.startswith("alive"):
        assert done.returncode == 0
        assert done.stdout.splitlines() == [expected, "ended"]
    else:
        assert done.returncode < 0, done.stdout + done.stderr  # abort
        assert done.stderr.startswith(f"stand-in Metal: {expected}"), done.stderr


def test_every_case_says_what_it_expects(program):
    listed = subprocess.run([program], capture_output=True, text=True, check=True).stdout.split()
    assert sorted(listed) == sorted(case for _, case in ALL_CASES)


def test_reports_can_be_recorded(program):
    done = run(program, "no_barrier", NHWC_STANDIN_ON_ERROR="record")
    assert done.returncode == 0
    assert done.stdout.startswith("misuse: hazard: scale reads ")
