# tests/apple/emulator/bitcode.py -- kernels that Apple's compiler built, out of a metallib, as modules of the emulator
"""The bitcode is LLVM's: clang reads it. Address spaces are taken away, a few `air.*` functions are defined
(include/msl/air.cpp), and the metadata says how arguments are bound."""

import hashlib
import os
import pathlib
import re
import struct
import tempfile

import rewrite
import toolchain

HEADER = struct.Struct("<4s20x8Q")  # magic; offset and size of: functions, public and private metadata, bitcode
MMA = "air.simdgroup_matrix_8x8_multiply_accumulate.v64f32.v64f32.v64f32.v64f32"
# A lane's two elements stand first in the 64 of its argument.
MMA_BODY = f"""
declare void @msl_air_mma(ptr, ptr, ptr, ptr)
define internal <64 x float> @{MMA}(<64 x float> %a, <64 x float> %b, <64 x float> %c) alwaysinline {{
  %pa = alloca <2 x float>
  %pb = alloca <2 x float>
  %pc = alloca <2 x float>
  %pd = alloca <2 x float>
  %a2 = shufflevector <64 x float> %a, <64 x float> poison, <2 x i32> <i32 0, i32 1>
  %b2 = shufflevector <64 x float> %b, <64 x float> poison, <2 x i32> <i32 0, i32 1>
  %c2 = shufflevector <64 x float> %c, <64 x float> poison, <2 x i32> <i32 0, i32 1>
  store <2 x float> %a2, ptr %pa
  store <2 x float> %b2, ptr %pb
  store <2 x float> %c2, ptr %pc
  call void @msl_air_mma(ptr %pa, ptr %pb, ptr %pc, ptr %pd)
  %d = load <2 x float>, ptr %pd
  %wide = shufflevector <2 x float> %d, <2 x float> poison, <64 x i32> <i32 0, i32 1{", i32 poison" * 62}>
  ret <64 x float> %wide
}}
"""


def read_functions(data):
    """{name: (offset, size)} of the bitcode of every function in a metallib."""
    magic, start, _, _, _, _, _, code, _ = HEADER.unpack_from(data)
    assert magic == b"MTLB"
    functions, at = {}, start + 4
    for _ in range(struct.unpack_from("<I", data, start)[0]):
        end, tag_at, tags = at + struct.unpack_from("<I", data, at)[0], at + 4, {}
        while tag_at < end and data[tag_at : tag_at + 4] != b"ENDT":
            (length,) = struct.unpack_from("<H", data, tag_at + 4)
            tags[data[tag_at : tag_at + 4]] = data[tag_at + 6 : tag_at + 6 + length]
            tag_at += 6 + length
        name = tags[b"NAME"].rstrip(b"\0").decode()
        functions[name] = (code + struct.unpack("<3Q", tags[b"OFFT"])[2], struct.unpack("<Q", tags[b"MDSZ"])[0])
        at = end
    return functions


def flat(text):
    """Without address spaces, and for this machine."""
    text = re.sub(r" ?\baddrspace\(\d\)", "", text)
    text = re.sub(r'^target (?:triple|datalayout) = ".*"\n', "", text, flags=re.M)
    text = re.sub(r"^@llvm\.global_ctors = .*\n", "", text, flags=re.M)
    # What threadgroup arrays hold at first is not known; zero is what a module has.
    return re.sub(r"(= internal unnamed_addr global \[[^\]]*\]) undef", r"\1 zeroinitializer", text)


ARGUMENT = re.compile(r'!\{i32 \d+, !"air\.(\w+)"(?:.*!"air\.location_index", i32 (\d+))?')


def bindings(text):
    """(kind, index, builtin) of each argument, in order, from the metadata."""
    kernel = re.search(r"^!air\.kernel = !\{!(\d+)\}", text, re.M)[1]
    arguments = re.search(rf"^!{kernel} = !\{{ptr @[^,]+, !\d+, !(\d+)", text, re.M)[1]
    nodes = re.findall(r"!(\d+)", re.search(rf"^!{arguments} = !\{{(.*)\}}", text, re.M)[1])
    for node in nodes:
        found = ARGUMENT.search(re.search(rf"^!{node} = (.*)$", text, re.M)[1])
        kind, index = found[1], found[2] or "0"
        if kind == "buffer":
            space = re.search(rf'^!{node} = .*"air\.address_space", i32 (\d)', text, re.M)
            yield ("shared" if space and space[1] == "3" else "buffer"), index, "none"
        else:
            yield "builtin", index, kind


def caller(text):
    """(LLVM's text of msl_air_call, the types of the arguments)."""
    head = re.search(r"^define [^@]*@(\S+?)\((.*)\) local_unnamed_addr", text, re.M)
    types = [re.match(r"\s*(<[^>]*>|\w+)", part)[1] for part in rewrite.split(head[2])]
    out = ["define void @msl_air_call(ptr %slots) {"]
    for i, kind in enumerate(types):
        out += [f"  %s{i} = getelementptr ptr, ptr %slots, i64 {i}", f"  %p{i} = load ptr, ptr %s{i}"]
        out.append(f"  %a{i} = load {kind}, ptr %p{i}, align 4")
    arguments = ", ".join(f"{kind} %a{i}" for i, kind in enumerate(types))
    return "\n".join([*out, f"  call void @{head[1]}({arguments})", "  ret void", "}", ""]), types


def shape(kind):
    """(elements, bytes of one) of an argument's type."""
    found = re.match(r"<(\d+) x i(\d+)>|i(\d+)|ptr", kind)
    return (int(found[1]), int(found[2]) // 8) if found[1] else (1, int(found[3] or 64) // 8)


def compile_function(metallib, name):
    """The module of one kernel of a metallib, from the cache where it is there."""
    data = pathlib.Path(metallib).read_bytes()
    offset, size = read_functions(data)[name]
    code = data[offset : offset + size]
    folder = toolchain.prepared("plain")
    air = folder / "include" / "msl" / "air.cpp"
    key = hashlib.sha256(code + pathlib.Path(__file__).read_bytes()).hexdigest()[:32]
    where = folder / "modules" / f"air-{key}.so"
    if where.exists():
        return where
    where.parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=where.parent) as build:
        build = pathlib.Path(build)
        (build / "kernel.bc").write_bytes(code)
        clang, target = toolchain.compiler(), toolchain.machine_flags()
        toolchain.run([*clang, "-cc1", "-x", "ir", "-emit-llvm", "-disable-llvm-passes", "-triple",
                       "x86_64-unknown-linux-gnu", build / "kernel.bc", "-o", build / "kernel.ll"])  # fmt: skip
        text = flat((build / "kernel.ll").read_text())
        call, types = caller(text)
        arguments = [
            f"{{Bind::{kind}, {index}, Builtin::{what}, {elements}, {size}}}"
            for (kind, index, what), (elements, size) in zip(bindings(text), map(shape, types), strict=True)
        ]
        declared = re.compile(rf"^declare <64 x float> @{re.escape(MMA)}\(.*\n", re.M)
        text = declared.sub("", text) + (MMA_BODY if declared.search(text) else "") + call
        (build / "flat.ll").write_text(text)
        toolchain.run([*clang, "-x", "ir", *target, "-O1", "-fPIC", "-Wno-override-module", "-c", build / "flat.ll",
                       "-o", build / "kernel.o"])  # fmt: skip
        toolchain.run([*clang, "-x", "c++", *toolchain.FLAGS, *target, "-O1", f"-DAIR_ARGUMENTS={', '.join(arguments)}",
                       f'-DAIR_NAME="{name}"', "-c", air, "-o", build / "air.o"])  # fmt: skip
        toolchain.run([*toolchain.linker(), build / "kernel.o", build / "air.o", folder / "plain.support.o",
                       folder / "libm.so", "-o", build / "module.so"])  # fmt: skip
        os.replace(build / "module.so", where)
    return where
