# tools/macos/check.py -- what can be said of a macOS wheel without running it
"""Each check is a function of what it looks at, and gives problems: lines of text, none where all is well."""

import base64
import csv
import ctypes
import hashlib
import io
import pathlib
import re
import zipfile

import flatten_metal
from macos import macho, record, sdk

ROOT = pathlib.Path(__file__).resolve().parents[2]
ENTRY = "_PyInit__core"
# What zig's linker adds to every library; Apple's keeps both to itself. Nobody looks either up by name.
LINKERS_OWN = {"___dso_handle", "__mh_dylib_header"}
NEEDED = ["nhwc/__init__.py", "nhwc/py.typed", "nhwc/lib/libnhwc.a", "nhwc/_core/__init__.pyi"]


def version_text(version):
    return ".".join(map(str, version))


def check_name(wheel):
    """The tag says what the file is: this Python's, or the stable one of 3.12, on the oldest macOS."""
    platform = "macosx_{}_{}_arm64".format(*sdk.MIN_VERSION)
    if not re.fullmatch(rf"nhwc-[0-9.]+-(cp311-cp311|cp312-abi3)-{platform}\.whl", wheel.name):
        return [f"the wheel is called {wheel.name}, expected cp311-cp311 or cp312-abi3, and {platform}"]
    return []


def check_contents(archive):
    """Everything that the sources have is there, and the list of hashes is true."""
    names = set(archive.namelist())
    headers = [
        f"nhwc/include/nhwc/{p.name.removesuffix('.in')}" for p in (ROOT / "csrc" / "include" / "nhwc").iterdir()
    ]
    package = [f"nhwc/{p.name}" for p in (ROOT / "python" / "nhwc").iterdir() if p.suffix in (".py", ".pyi")]
    problems = [f"{name} is missing" for name in [*NEEDED, *headers, *package] if name not in names]
    (listing,) = (n for n in names if n.endswith(".dist-info/RECORD"))
    for name, digest, _ in csv.reader(io.StringIO(archive.read(listing).decode())):
        if digest:
            kind, _, expected = digest.partition("=")
            found = base64.urlsafe_b64encode(hashlib.new(kind, archive.read(name)).digest()).rstrip(b"=").decode()
            if found != expected:
                problems.append(f"{name} is not what RECORD says")
    return problems


def check_image(image, kinds):
    """Made for the right machine, and nothing of this one in it."""
    problems = []
    if image.cpu != macho.CPU_ARM64 or image.kind not in kinds or image.platform != macho.PLATFORM_MACOS:
        problems.append(f"cpu {image.cpu:#x}, kind {image.kind}, platform {image.platform}: expected macOS on arm64")
    if image.min_version != sdk.MIN_VERSION:
        problems.append(f"runs from macOS {version_text(image.min_version)}, expected {version_text(sdk.MIN_VERSION)}")
    if image.signature:
        problems.append(f"signature: {image.signature}")
    problems += [f"rpath {path}" for path in image.rpaths]
    known = set(record.LIBRARIES.values())
    problems += [f"links {path}, which is no library of macOS" for path in image.libraries if path not in known]
    if record.LIBRARIES["c++"] not in image.libraries:
        problems.append("does not link the libc++ of macOS")
    return problems


def check_exports(image):
    """Two libraries in one process must not mix."""
    others = image.exports - LINKERS_OWN - {ENTRY}
    missing = [] if ENTRY in image.exports else [f"does not export {ENTRY}"]
    return missing + [f"exports {name}" for name in sorted(others)[:5]]


def libsystem_names():
    """What zig's list of the newest libSystem has."""
    stub = pathlib.Path(sdk.zig()).parent / "lib" / "libc" / "darwin" / "libSystem.tbd"
    return set(re.findall(r"[\w$.]+", stub.read_text()))


def python_has(symbol):
    """Whether the running CPython has it: its interface is the same on every system."""
    return hasattr(ctypes.pythonapi, symbol[1:])


def check_imports(image, python):
    """(problems, counts): every symbol is one that a wheel for this macOS, or an older one, takes from that library."""
    recorded, of_system = record.read(), libsystem_names()
    problems, counts = [], {"CPython": 0}
    for i in image.imports:
        if not i.library:
            counts["CPython"] += 1
            if not python or not re.match(r"__?Py", i.symbol) or not python_has(i.symbol):
                problems.append(f"{i.symbol} is taken from wherever it is, and CPython has it not")
            continue
        library = record.NAMES.get(i.library, i.library)
        counts[library] = counts.get(library, 0) + 1
        seen = recorded.get(library, {}).get(i.symbol)
        if library == "System" and i.symbol in of_system:
            continue  # the headers say what is newer than MIN_VERSION, and that is an error
        if seen is None:
            problems.append(f"{i.symbol} of {library}: no known wheel takes it from there")
        elif seen > sdk.MIN_VERSION and not i.weak:
            known = "only where it may be missing" if seen == record.WEAK else f"only from {version_text(seen)}"
            problems.append(f"{i.symbol} of {library}: known {known}")
    return problems, counts


def check_static_library(data):
    """Objects for the same machine, with nothing of Python in them."""
    problems = []
    for name, member in macho.archive_members(data):
        if not macho.is_macho(member):
            continue
        image = macho.read_image(member)
        problems += check_object(name, image)
    return problems


def check_object(name, image):
    wrong = [] if image.cpu == macho.CPU_ARM64 and image.kind == macho.OBJECT else [f"{name} is no object for arm64"]
    return wrong + [f"{name} refers to {i.symbol}" for i in image.imports if re.match(r"__?Py[A-Z_]", i.symbol)]


def extension_of(archive):
    """(name, bytes) of the one extension module."""
    names = [n for n in archive.namelist() if n.endswith((".so", ".dylib"))]
    if len(names) != 1 or not re.fullmatch(r"nhwc/_core\.(cpython-\d+-darwin|abi3)\.so", names[0]):
        raise macho.MachoError(f"expected one extension module for macOS, found {', '.join(names) or 'none'}")
    return names[0], archive.read(names[0])


def metal_topics():
    """The libraries of kernels whose source belongs into the extension."""
    return sorted((ROOT / "metal").glob("*.metal"))


def check_metal(data, image):
    """Metal is linked, and the whole source of each topic is in the file, as the device's compiler will read it."""
    needed = ("Metal", "Foundation", "objc")
    problems = [f"does not link {n}" for n in needed if record.LIBRARIES[n] not in image.libraries]
    wanted = [path for path in metal_topics() if flatten_metal.flatten(path).encode() not in data]
    return problems + [f"{path.name} is not embedded" for path in wanted]


class Report:
    def __init__(self):
        self.failed = False

    def say(self, what, problems):
        self.failed |= bool(problems)
        print(f"{'WRONG' if problems else 'right'}  {what}")
        for problem in problems[:20]:
            print(f"       {problem}")


def report_imports(out, what, image, python):
    problems, counts = check_imports(image, python)
    text = ", ".join(f"{n} of {library}" for library, n in counts.items() if n)
    out.say(
        f"{what}: its {len(image.imports)} symbols are there on macOS {version_text(sdk.MIN_VERSION)}: {text}", problems
    )


def report(wheel, tests):
    """Prints every check; 1 where one failed."""
    out = Report()
    out.say(f"the name {wheel.name}", check_name(wheel))
    with zipfile.ZipFile(wheel) as archive:
        out.say("contents: package, stubs, headers, static library, hashes", check_contents(archive))
        name, data = extension_of(archive)
        image = macho.read_image(data)
        libraries = ", ".join(record.NAMES.get(p, p) for p in image.libraries)
        out.say(f"{name}: arm64, signed ad hoc, no rpath, {len(data)} bytes; links {libraries}",
                check_image(image, {macho.DYLIB, macho.BUNDLE}))  # fmt: skip
        out.say(f"{name}: exports {ENTRY} alone", check_exports(image))
        report_imports(out, name, image, python=True)
        topics = ", ".join(path.stem for path in metal_topics())
        out.say(f"{name}: Metal's host code, and the kernels' sources: {topics}", check_metal(data, image))
        out.say("libnhwc.a: objects for arm64, without Python",
                check_static_library(archive.read("nhwc/lib/libnhwc.a")))  # fmt: skip
    if tests:
        image = macho.read_image(tests.read_bytes())
        out.say(f"C++ tests: linked, {tests.stat().st_size} bytes", check_image(image, {macho.EXECUTE}))
        report_imports(out, "C++ tests", image, python=False)
    return int(out.failed)
