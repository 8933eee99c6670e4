# tests/embed/test_routes.py -- C++ and C programs find the library by every route, and run
"""Builds the library twice, which takes minutes: .ci/run asks for this folder by name."""

import re
import shlex

import numpy as np
import pytest
from building import EXAMPLES, ROOT, build_examples, configure, pkg_config, run, wheel_folder


def read_pgm(path):
    data = path.read_bytes()
    kind, width, height, most = data.split(None, 4)[:4]
    assert kind in (b"P5", b"P6")
    assert most == b"255"
    shape = (int(height), int(width), 3) if kind == b"P6" else (int(height), int(width))
    return np.frombuffer(data[-np.prod(shape) :], np.uint8).reshape(shape).astype(np.float64) / 255


def sobel(photo):
    """The strength of edges by the definition."""
    grey = np.pad(photo.mean(axis=-1), 1)
    rows = grey[:-2] + 2 * grey[1:-1] + grey[2:]
    columns = grey[:, :-2] + 2 * grey[:, 1:-1] + grey[:, 2:]
    strength = np.hypot(rows[:, 2:] - rows[:, :-2], columns[2:] - columns[:-2])
    return strength / strength.max()


def check_examples(folder, trained, tmp_path):
    run(folder / "edges", trained / "photo.ppm", tmp_path / "edges.pgm")
    edges, expected = read_pgm(tmp_path / "edges.pgm"), sobel(read_pgm(trained / "photo.ppm"))
    np.testing.assert_allclose(edges, expected, atol=0.51 / 255)
    assert edges.std() > 0.05
    said = run(folder / "diffusion", 200)
    heat, distance = map(
        float, re.fullmatch(r"200 steps: heat ([\d.]+), mean squared distance ([\d.]+)\n", said).groups()
    )
    assert heat == pytest.approx(1000, abs=0.1)  # nothing has reached the border
    assert distance == pytest.approx(200 * 0.5, rel=1e-3)  # half of it moves by one, each step
    assert "in the middle 2.000, in the corner 0.222" in run(folder / "plan")
    said = run(folder / "digits", trained / "digits.safetensors", trained / "digits.npz")
    assert float(re.search(r"of 357 digits read right: ([\d.]+) %", said)[1]) >= 97
    assert "usage" in run(folder / "edges", succeeds=False)
    assert "is no binary PPM" in run(folder / "edges", EXAMPLES / "edges.cpp", "out", succeeds=False)
    assert "digits.npz" in run(folder / "digits", *[trained / "digits.npz"] * 2, succeeds=False)


def test_add_subdirectory(subdirectory, trained, tmp_path):
    check_examples(subdirectory, trained, tmp_path)


def test_fetch_content(trained, tmp_path):
    commit = run("git", "-C", ROOT, "rev-parse", "HEAD").strip()
    folder = build_examples(tmp_path / "build", NHWC_FROM="fetch", NHWC_SOURCE=ROOT.as_uri(), NHWC_TAG=commit)
    check_examples(folder, trained, tmp_path)


def test_find_package_in_a_prefix(prefix, trained, tmp_path):
    check_examples(build_examples(tmp_path / "build", CMAKE_PREFIX_PATH=prefix), trained, tmp_path)


def test_find_package_in_the_wheel(trained, tmp_path):
    check_examples(build_examples(tmp_path / "build", nhwc_DIR=wheel_folder("cmake")), trained, tmp_path)


def compile_by_pkg_config(folder, to):
    for name in ("edges", "diffusion", "digits"):
        flags = pkg_config(folder, "--cflags", "--libs")
        run("c++", "-std=c++20", "-Wall", "-Wextra", "-Werror", EXAMPLES / f"{name}.cpp", "-o", to / name, *flags)
    flags = pkg_config(folder, "--cflags", "--libs", "--static")
    run("cc", "-std=c99", "-Wall", "-Werror", "-pedantic", EXAMPLES / "plan.c", "-o", to / "plan", *flags)


def test_pkg_config_in_a_prefix(prefix, trained, tmp_path):
    (folder,) = {path.parent for path in prefix.rglob("nhwc.pc")}
    compile_by_pkg_config(folder, tmp_path)
    check_examples(tmp_path, trained, tmp_path)


def test_pkg_config_in_the_wheel(trained, tmp_path):
    compile_by_pkg_config(wheel_folder("pkgconfig"), tmp_path)
    check_examples(tmp_path, trained, tmp_path)
    assert (wheel_folder("include") / "nhwc" / "nhwc.h").exists()


@pytest.mark.parametrize("version", ["0.2", "1.0", "0.0.9"])
def test_another_version_is_not_taken(prefix, tmp_path, version):
    (tmp_path / "CMakeLists.txt").write_text(
        f"cmake_minimum_required(VERSION 3.20)\nproject(p CXX)\nfind_package(nhwc {version} CONFIG REQUIRED)\n"
    )
    said = configure(tmp_path, tmp_path / "build", succeeds=False, CMAKE_PREFIX_PATH=prefix)
    assert f'requested version "{version}"' in said, said


@pytest.mark.parametrize("flags", ["", "-O2 -ffunction-sections -fdata-sections -Wl,--gc-sections"])
@pytest.mark.parametrize("name", ["diffusion.cpp", "digits.cpp", "plan.c"])
def test_headers_of_another_version_do_not_link(prefix, tmp_path, name, flags):
    (header,) = prefix.rglob("version.h")
    other = tmp_path / "include" / "nhwc"
    other.mkdir(parents=True)
    for path in header.parent.iterdir():
        text = re.sub(r"nhwc_headers_\w+", "nhwc_headers_0_7_need_library_0_7", path.read_text())
        (other / path.name).write_text(text)
    (library,) = prefix.rglob("libnhwc.a")
    compiler = ["cc", "-std=c99"] if name.endswith(".c") else ["c++", "-std=c++20"]
    command = [*compiler, *shlex.split(flags), EXAMPLES / name, "-o", tmp_path / "program", "-I"]
    rest = [library, "-pthread", "-ldl", "-lstdc++", "-lm"]
    said = run(*command, other.parent, *rest, succeeds=False)
    assert "nhwc_headers_0_7_need_library_0_7" in said
    run(*command, header.parent.parent, *rest)


def test_code_of_the_readme(prefix, trained, tmp_path):
    """What each block stands on is declared around it."""
    readme = (ROOT / "README.md").read_text()
    declared = """
    std::vector<float> x(480 * 640 * 3), y(240 * 320 * 16), of_weights(16 * 27), of_bias(16), of_pixels(64);
    [[maybe_unused]] const float *weights = of_weights.data(), *bias = of_bias.data();
    [[maybe_unused]] float* pixels = of_pixels.data();
    """
    blocks = re.findall(r"```cpp\n(.*?)```", readme, re.DOTALL)
    assert len(blocks) == 2
    for i, block in enumerate(blocks):
        includes = "\n".join(re.findall("^#include.*$", block, re.MULTILINE))
        body = re.sub("^#include.*$", "", block, flags=re.MULTILINE)
        program = f"#include <vector>\n{includes}\nint main() {{\n{declared}\n{{\n{body}\n}}\n}}\n"
        (tmp_path / f"readme{i}.cpp").write_text(program)
        (folder,) = {path.parent for path in prefix.rglob("nhwc.pc")}
        flags = pkg_config(folder, "--cflags", "--libs")
        run("c++", "-std=c++20", tmp_path / f"readme{i}.cpp", "-o", tmp_path / f"readme{i}", *flags)
        run(tmp_path / f"readme{i}", cwd=trained)
