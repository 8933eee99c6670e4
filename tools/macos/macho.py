# tools/macos/macho.py -- reads Mach-O files: what they link, import, export, and whether their signature holds
"""Only what the cross-build asks of 64-bit little-endian files (arm64), after Apple's <mach-o/loader.h>, <nlist.h> and
<kern/cs_blobs.h>."""

import dataclasses
import hashlib
import struct

MAGIC, FAT_MAGIC = 0xFEEDFACF, b"\xca\xfe\xba\xbe"
CPU_ARM64 = 0x0100000C
OBJECT, EXECUTE, DYLIB, BUNDLE = 1, 2, 6, 8
ARCHIVE = b"!<arch>\n"
LC_SYMTAB, LC_LOAD_DYLIB = 0x2, 0xC
LC_LOAD_WEAK_DYLIB, LC_RPATH, LC_REEXPORT_DYLIB = 0x80000018, 0x8000001C, 0x8000001F
LC_CODE_SIGNATURE, LC_DYLD_INFO, LC_DYLD_INFO_ONLY = 0x1D, 0x22, 0x80000022
LC_VERSION_MIN_MACOSX, LC_BUILD_VERSION, LC_DYLD_EXPORTS_TRIE = 0x24, 0x32, 0x80000033
N_STAB, N_PEXT, N_TYPE, N_EXT = 0xE0, 0x10, 0x0E, 0x01
N_UNDF = 0
FLAT_LOOKUP, SELF, EXECUTABLE = 0xFE, 0x00, 0xFF  # library ordinals with a meaning of their own
PLATFORM_MACOS = 1


class MachoError(ValueError):
    """The file is no Mach-O file, or one that was cut off."""


@dataclasses.dataclass(frozen=True)
class Import:
    symbol: str
    library: str  # its install name; "" where it is looked up in whatever is loaded
    weak: bool


@dataclasses.dataclass
class Image:
    """One architecture of a file."""

    cpu: int
    kind: int
    platform: int = 0
    min_version: tuple = (0, 0)
    libraries: list = dataclasses.field(default_factory=list)
    rpaths: list = dataclasses.field(default_factory=list)
    imports: list = dataclasses.field(default_factory=list)
    exports: set = dataclasses.field(default_factory=set)
    signature: str = "none"  # what is wrong with it; "" nothing


def slices(data):
    """The images of a file: itself, or those of a universal one."""
    if data[:4] != FAT_MAGIC:
        yield data
        return
    (count,) = struct.unpack_from(">I", data, 4)
    if count > 16:  # a class of Java begins with the same four bytes
        return
    for i in range(count):
        _, _, offset, size, _ = struct.unpack_from(">5I", data, 8 + 20 * i)
        yield data[offset : offset + size]


def is_macho(data):
    return data[:4] in (FAT_MAGIC, struct.pack("<I", MAGIC))


def archive_parts(data):
    """(name, start, end) of each member of a static library."""
    at = len(ARCHIVE)
    while at + 60 <= len(data):
        name, size = data[at : at + 16].decode().rstrip(), int(data[at + 48 : at + 58])
        start, end = at + 60, at + 60 + size
        if name.startswith("#1/"):  # it stands before the member
            start += int(name[3:])
            name = data[at + 60 : start].rstrip(b"\0").decode()
        yield name, start, end
        at = end + size % 2


def archive_members(data):
    """(name, bytes) of each."""
    return ((name, data[start:end]) for name, start, end in archive_parts(data))


def load_commands(data):
    """(command, offset, size) of each."""
    if len(data) < 32 or struct.unpack_from("<I", data)[0] != MAGIC:
        raise MachoError("not a 64-bit Mach-O file")
    (count,) = struct.unpack_from("<I", data, 16)
    at = 32
    for _ in range(count):
        command, size = struct.unpack_from("<2I", data, at)
        yield command, at, size
        at += size


def cpu_of(data):
    return struct.unpack_from("<I", data, 4)[0]


def text_at(data, at):
    return data[at : data.index(b"\0", at)].decode()


def version(packed):
    return packed >> 16, packed >> 8 & 0xFF


def read_image(data):
    """An Image of the bytes of one architecture."""
    try:
        return _read_image(data)
    except (struct.error, IndexError, ValueError) as error:
        raise MachoError(f"damaged: {error}") from None


def _read_image(data):
    image = Image(*struct.unpack_from("<I4xI", data, 4))
    symbols = trie = b""
    for command, at, _ in load_commands(data):
        if command in (LC_LOAD_DYLIB, LC_LOAD_WEAK_DYLIB, LC_REEXPORT_DYLIB):
            image.libraries.append(text_at(data, at + struct.unpack_from("<I", data, at + 8)[0]))
        elif command == LC_RPATH:
            image.rpaths.append(text_at(data, at + struct.unpack_from("<I", data, at + 8)[0]))
        elif command == LC_BUILD_VERSION:
            image.platform, packed = struct.unpack_from("<2I", data, at + 8)
            image.min_version = version(packed)
        elif command == LC_VERSION_MIN_MACOSX:
            image.platform, image.min_version = PLATFORM_MACOS, version(struct.unpack_from("<I", data, at + 8)[0])
        elif command == LC_SYMTAB:
            symbols = struct.unpack_from("<4I", data, at + 8)
        elif command in (LC_DYLD_INFO, LC_DYLD_INFO_ONLY):
            trie = struct.unpack_from("<2I", data, at + 40)
        elif command == LC_DYLD_EXPORTS_TRIE:
            trie = struct.unpack_from("<2I", data, at + 8)
        elif command == LC_CODE_SIGNATURE:
            image.signature = signature_problem(data, *struct.unpack_from("<2I", data, at + 8))
    if symbols:
        image.imports = list(imports(data, symbols, image.libraries))
    if trie and trie[1]:
        image.exports = set(exports(data[trie[0] : trie[0] + trie[1]]))
    return image


def symbol_table(data, symtab):
    """(offset of the entry, name, type, description) of each symbol that is no debug entry."""
    offset, count, strings, _ = symtab
    for i in range(count):
        at = offset + 16 * i
        name, kind, _, description = struct.unpack_from("<IBBH", data, at)
        if not kind & N_STAB:
            yield at, text_at(data, strings + name), kind, description


def imports(data, symtab, libraries):
    for _, name, kind, description in symbol_table(data, symtab):
        if kind & N_TYPE == N_UNDF and kind & N_EXT:
            ordinal = description >> 8
            known = ordinal not in (FLAT_LOOKUP, SELF, EXECUTABLE) and ordinal <= len(libraries)
            yield Import(name, libraries[ordinal - 1] if known else "", bool(description & 0x40))


def uleb(data, at):
    """(value, offset behind it)."""
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value, at


def exports(trie):
    """Names of an exports trie."""
    todo = [(0, "")]
    while todo:
        at, prefix = todo.pop()
        terminal, at = uleb(trie, at)
        if terminal:
            yield prefix
        at += terminal
        children, at = trie[at], at + 1
        for _ in range(children):
            edge = text_at(trie, at)
            child, at = uleb(trie, at + len(edge) + 1)
            todo.append((child, prefix + edge))


def signature_problem(data, offset, size):
    """What is wrong with an ad-hoc signature, "" if nothing: an arm64 Mac ends a process that maps a page of which the
    hash differs."""
    magic, _, count = struct.unpack_from(">3I", data, offset)
    if magic != 0xFADE0CC0:
        return "no signature where one should be"
    at = next(
        (
            offset + start
            for kind, start in (struct.unpack_from(">2I", data, offset + 12 + 8 * i) for i in range(count))
            if kind == 0
        ),
        None,
    )
    if at is None:
        return "a signature without a code directory"
    _, _, _, flags, hashes, _, _, slots, limit = struct.unpack_from(">9I", data, at)
    hash_bytes, hash_kind, _, page_shift = struct.unpack_from(">4B", data, at + 36)
    if (hash_kind, hash_bytes) != (2, 32):
        return f"hashes of kind {hash_kind}, expected SHA-256"
    if not flags & 2:
        return "not marked as ad hoc"
    page = 1 << page_shift
    if limit != offset or slots != -(-limit // page):
        return f"{slots} pages up to {limit} are signed, of {offset} bytes"
    for i in range(slots):
        code = data[i * page : min(limit, (i + 1) * page)]
        if hashlib.sha256(code).digest() != data[at + hashes + 32 * i : at + hashes + 32 * (i + 1)]:
            return f"page {i} is not what was signed"
    return ""


def make_archive_private(data, keep):
    """A static library of which every member is made private: the same places, other bits."""
    changed = bytearray(data)
    for _, start, end in archive_parts(data):
        if is_macho(data[start:end]):
            changed[start:end] = make_private(data[start:end], keep)
    return bytes(changed)


def make_private(data, keep):
    """An object file of which only the symbols that `keep(name)` names are seen outside of what it is linked into:
    what ld's -exported_symbol does, which zig's linker does not know."""
    data = bytearray(data)
    for command, at, _ in load_commands(bytes(data)):
        if command == LC_SYMTAB:
            for entry, name, kind, _ in symbol_table(bytes(data), struct.unpack_from("<4I", data, at + 8)):
                if kind & N_EXT and kind & N_TYPE != N_UNDF and not keep(name):
                    data[entry + 4] |= N_PEXT
    return bytes(data)
