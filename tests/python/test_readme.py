# tests/python/test_readme.py -- the code in README.md runs
import pathlib
import re

import pytest

README = pathlib.Path(__file__).resolve().parents[2] / "README.md"


@pytest.mark.skipif(not README.exists(), reason="not in a checkout")
def test_code_of_the_readme(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    exec(compile(code, str(README), "exec"), {})
    assert "(16, 3, 3, 3) (16,)" in capsys.readouterr().out
