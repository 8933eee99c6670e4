# tests/apple/test_macos_tools.py -- the cross-build's parts: the reader of Mach-O files, stubs, linker options, wheels
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from macos import check, compiler, macho, record, sdk  # noqa: E402

SOURCE = """
#include <string>
#include <vector>
std::string shown(int);
struct Thrown { std::string text; };
std::string hidden_away(int n) { if (n > 3) throw Thrown{"no"}; return std::to_string(n); }
extern "C" int PyLong_AsLong();
extern "C" __attribute__((visibility("default"))) long PyInit__core(int n) {
  return static_cast<long>(hidden_away(n).size()) + PyLong_AsLong();
}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """(folder of the toolchain, object, archive, extension module)."""
    pytest.importorskip("ziglang")
    folder = tmp_path_factory.mktemp("macos")
    sdk.make(folder / "sdk")
    (folder / "a.cpp").write_text(SOURCE)
    clang, ar = folder / "sdk" / "bin" / "clang++", folder / "sdk" / "bin" / "ar"

    def run(*command):
        subprocess.run(list(map(str, command)), check=True, cwd=folder)

    run(clang, "-std=c++20", "-O1", "-c", "a.cpp", "-o", "a.o")
    run(ar, "rcs", "a.a", "a.o")
    for name, linked in (("object.so", "a.o"), ("archive.so", "a.a")):
        force = ["-Wl,-u,_PyInit__core"] if linked == "a.a" else []
        run(clang, "-bundle", "-Wl,@python.sym", "-Wl,-exported_symbol,_PyInit__core", *force, linked, "-o", name)
    return folder


def image_of(path):
    return macho.read_image(path.read_bytes())


def test_an_extension_is_what_a_mac_expects(built):
    for name in ("object.so", "archive.so"):
        image = image_of(built / name)
        assert check.check_image(image, {macho.DYLIB}) == []
        assert check.check_exports(image) == []
        problems, counts = check.check_imports(image, python=True)
        assert problems == []
        assert counts["CPython"] == 1
        assert counts["c++"] > 3
        assert counts["System"] > 0


def test_the_object_itself_shows_more(built):
    data = (built / "a.o").read_bytes()

    def visible(data):
        (symtab,) = (
            macho.struct.unpack_from("<4I", data, at + 8)
            for command, at, _ in macho.load_commands(data)
            if command == macho.LC_SYMTAB
        )
        return {
            name
            for _, name, kind, _ in macho.symbol_table(data, symtab)
            if kind & macho.N_EXT and not kind & macho.N_PEXT and kind & macho.N_TYPE != macho.N_UNDF
        }

    assert "__Z11hidden_awayi" in visible(data)
    assert visible(macho.make_private(data, {"_PyInit__core"}.__contains__)) == {"_PyInit__core"}


def test_a_changed_byte_breaks_the_signature(built):
    data = bytearray((built / "object.so").read_bytes())
    data[0x800] ^= 1
    assert macho.read_image(bytes(data)).signature == "page 0 is not what was signed"


def test_cut_files_are_refused(built):
    data = (built / "object.so").read_bytes()
    for size in (4, 31, 40, 400, len(data) // 2):
        with pytest.raises(macho.MachoError):
            macho.read_image(data[:size])


def test_wrong_images_are_named(built):
    image = image_of(built / "object.so")
    assert "expected macOS on arm64" in check.check_image(image, {macho.EXECUTE})[0]
    image.min_version, image.rpaths = (15, 0), ["/somebody/lib"]
    image.libraries.append("/usr/local/lib/libomp.dylib")
    text = "\n".join(check.check_image(image, {macho.DYLIB}))
    for part in ("runs from macOS 15.0", "rpath /somebody/lib", "links /usr/local/lib/libomp.dylib"):
        assert part in text
    image.exports.add("_stray")
    assert check.check_exports(image) == ["exports _stray"]
    image.exports.clear()
    assert check.check_exports(image) == ["does not export _PyInit__core"]


@pytest.mark.parametrize(
    ("library", "symbol", "weak", "says"),
    [
        ("Metal", "_MTLCreateSystemDefaultDevice", False, None),
        ("Metal", "_MTLNoSuchThing", False, "no known wheel takes it"),
        ("Metal", "_MTLTensorDomain", True, None),  # of macOS 26, and asked for only
        ("Metal", "_MTLTensorDomain", False, "known only"),
        ("Foundation", "_MTLCreateSystemDefaultDevice", False, "no known wheel takes it"),
        ("", "_PyLong_AsLong", False, None),
        ("", "_PyNoSuchThing", False, "CPython has it not"),
        ("", "_malloc", False, "CPython has it not"),
    ],
)
def test_imports_are_held_against_what_is_known(library, symbol, weak, says):
    pytest.importorskip("ziglang")
    image = macho.Image(macho.CPU_ARM64, macho.DYLIB)
    image.imports = [macho.Import(symbol, record.LIBRARIES.get(library, ""), weak)]
    problems, _ = check.check_imports(image, python=True)
    assert bool(problems) == bool(says)
    assert not says or says in problems[0]


def test_the_record_can_be_read():
    found = record.read()
    assert set(found) <= set(record.LIBRARIES)
    assert found["c++"]["__Znwm"] <= sdk.MIN_VERSION
    assert found["Metal"]["_MTLCreateSystemDefaultDevice"] <= sdk.MIN_VERSION
    assert sum(map(len, found.values())) > 1000


def test_a_stub_names_classes_apart():
    text = sdk.stub("/usr/lib/libobjc.A.dylib", ["_b", "_a", "_OBJC_CLASS_$_NSObject", "_OBJC_METACLASS_$_NSObject"])
    assert "install-name: '/usr/lib/libobjc.A.dylib'" in text
    assert "symbols: [ '_a', '_b' ]" in text
    assert "objc-classes: [ 'NSObject' ]" in text


def test_linker_words():
    given = [
        "-bundle",
        "-Wl,@x/darwin-ld-cpython.sym",
        "-Wl,-exported_symbol,_f",
        "-Wl,-dead_strip",
        "a.o",
        "-o",
        "b.so",
    ]
    words, exported = compiler.linker_words(given)
    assert words == ["-shared", "-Wl,-undefined,dynamic_lookup", "-Wl,-dead_strip", "a.o", "-o", "b.so"]
    assert exported == {"_f"}


def test_pyconfig_is_that_of_macos(tmp_path):
    sdk.write_python_headers(tmp_path)
    text = (tmp_path / "python" / "pyconfig.h").read_text()
    assert "#define SIZEOF_LONG_DOUBLE 8\n" in text
    assert "#define SIZEOF_PTHREAD_KEY_T 8\n" in text
    assert "#define PTHREAD_KEY_T_IS_COMPATIBLE_WITH_INT" not in text
    assert (tmp_path / "python" / "Python.h").exists()
