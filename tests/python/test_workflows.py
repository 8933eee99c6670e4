# tests/python/test_workflows.py -- the workflows are YAML, ask for no secrets, and name what exists
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
yaml = pytest.importorskip("yaml")
if not FILES:
    pytest.skip("not in a checkout", allow_module_level=True)


def steps_of(path):
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        assert job["timeout-minutes"] <= 120
        yield from job["steps"]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_workflow(path):
    text = path.read_text()
    parsed = yaml.safe_load(text)
    assert parsed["permissions"] == {"contents": "read"}
    assert "secrets." not in text
    assert "pull_request_target" not in text
    steps = list(steps_of(path))
    assert all(("uses" in s) != ("run" in s) for s in steps)
    for step in steps:
        if "uses" in step:  # a commit, since a tag can be moved
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
            assert re.search(re.escape(step["uses"]) + r"  # v\d+\.\d+\.\d+\n", text)
    named = re.findall(r"(?:tools|bench|\.ci)/[\w./]+", "\n".join(s.get("run", "") for s in steps))
    assert named or "sphinx-build -W docs" in text
    for name in named:
        assert (ROOT / name).is_file(), name


def test_macs_run_all_tests_on_both_devices():
    steps = list(steps_of(ROOT / ".github" / "workflows" / "macos.yml"))
    runs = [s for s in steps if "pytest" in s.get("run", "")]
    assert len(runs) == 2
    assert {s.get("env", {}).get("NHWC_TEST_DEVICE", "gpu") for s in runs} == {"gpu", "cpu"}
