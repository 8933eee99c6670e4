# tests/apple/test_strict.py -- the .metal files keep Metal's rules, and breaches of each rule are found
import pathlib

import pytest
import strict

ROOT = pathlib.Path(__file__).resolve().parents[2]
SOURCES = sorted(path.name for path in (ROOT / "metal").glob("*.metal"))


@pytest.mark.parametrize("name", SOURCES)
def test_source_keeps_the_rules(name):
    assert strict.check(ROOT / "metal" / name, include=[ROOT / "metal", ROOT]) == []


KERNEL = (
    "[[kernel]] void k(device float* a [[buffer(0)]], constant float* c [[buffer(1)]],"
    " uint i [[thread_position_in_grid]])"
)
FIBONACCI = "int f(int n) { return n < 2 ? n : f(n - 1) + f(n - 2); }\n"
MUTUAL = "int f(int n);\nint g(int n) { return f(n); }\nint f(int n) { return n ? g(n - 1) : 0; }\n"
CONSTANT = "constant int n [[function_constant(0)]];\n"
GOOD = {
    "plain": KERNEL + " { a[i] = c[i] + 1; }",
    "shared": KERNEL
    + " { threadgroup float t[8]; t[i] = c[i]; threadgroup_barrier(mem_flags::mem_threadgroup); a[i] = t[0]; }",
    "references": "void g(thread float& x) { x = 1; }\n" + KERNEL + " { float v = a[i]; g(v); a[i] = v; }",
    "methods": "struct S { float x; float twice() const { return 2 * x; } };\n"
    + KERNEL
    + " { S s = {c[i]}; a[i] = s.twice(); }",
    "struct copies": "struct S { int x[4]; };\n[[kernel]] void k(device S* a [[buffer(0)]]) { S s = a[0]; a[1] = s; }",
    "atomics": "[[kernel]] void k(device atomic_float* a [[buffer(0)]]) "
    "{ atomic_fetch_add_explicit(a, 1.0f, memory_order_relaxed); }",
    "bfloat": "[[kernel]] void k(device bfloat* a [[buffer(0)]]) { a[0] = bfloat(float(a[1]) + 1.0bf); }",
    "choice of a bfloat": "[[kernel]] void k(device bfloat* a [[buffer(0)]]) { a[0] = a[1] < a[2] ? a[1] : 1.0bf; }",
    "vectors": KERNEL + " { float4 v = float4(c[0], c[1], c[2], c[3]); a[i] = dot(v.xyz, v.wzy) + max(v, 0.0f).x; }",
    "loops of templates": "template <typename T, int N> struct L { static T f(T x) { return N > 0 ? x : T(0); } };\n"
    + KERNEL
    + " { a[i] = L<float, 3>::f(c[i]); }",
}
# What is wrong: the text, and a word of the message.
BAD = {
    "device and threadgroup mixed": ("void g(device float* a, threadgroup float* b) { b = a; }", "__local"),
    "thread and device mixed": ("void g(device float* a) { thread float* p = a; p[0] = 1; }", "__private"),
    "device element as thread reference": ("void g(thread float& x) { x = 1; }\n" + KERNEL + " { g(a[0]); }", "g"),
    "threadgroup as thread": ("void g(threadgroup float* b) { thread float* q = b; *q = 1; }", "__private"),
    "constant to device": (KERNEL + " { device const float* p = c; a[0] = p[0]; }", "__constant"),
    "write to constant": ("void g(constant float* a) { a[0] = 1; }", "const"),
    "double": (KERNEL + " { double d = 1.0; a[0] = d; }", "double"),
    "throw": (KERNEL + " { throw 1; }", "exceptions"),
    "try": (KERNEL + " { try { a[0] = 1; } catch (...) {} }", "exceptions"),
    "unqualified pointer": (KERNEL + " { float* p = a; p[0] = 1; }", "no address space"),
    "unqualified parameter": ("void g(float* p) { p[0] = 1; }", "no address space"),
    "unqualified reference": ("void g(float& p) { p = 1; }", "no address space"),
    "unqualified field": ("struct S { float* p; };", "no address space"),
    "std": ("void g(device float* a) { std::sort(a, a + 1); }", "std"),
    "recursion": (FIBONACCI + KERNEL + " { a[0] = f(3); }", "recursion"),
    "mutual recursion": (MUTUAL + KERNEL + " { a[0] = g(3); }", "recursion"),
    "new": (KERNEL + " { thread float* p = new float[3]; a[0] = p[0]; }", "new"),
    "function pointer": (KERNEL + " { int (*f)(int) = nullptr; a[0] = f(1); }", "function"),
    "static variable": (KERNEL + " { static int n = 0; a[0] = n++; }", "error"),
    "virtual": ("struct V { virtual int f(); };", "virtual"),
    "lambda": (KERNEL + " { auto f = [](float x) { return x; }; a[0] = f(1); }", "lambda"),
    "goto": (KERNEL + " { goto end; end: a[0] = 1; }", "goto"),
    "threadgroup variable in a function": ("float g() { threadgroup float t[4]; return t[0]; }", "outside a kernel"),
    "bool in a simdgroup": ("bool g(long b) { return simd_sum(b); }", "simd_sum"),
    "mixed arguments": ("float g(float x, int y) { return max(x, y); }", "ambiguous"),
    "float atomic in threadgroup memory": ("void g(threadgroup atomic_float* a) "
        "{ atomic_fetch_add_explicit(a, 1.0f, memory_order_relaxed); }", "atomic_fetch_add"),
    "matrix from the wrong memory": ("void g(thread float* a) { simdgroup_float8x8 m; simdgroup_load(m, a); }", "load"),
    "function constant as a size": (CONSTANT + KERNEL + " { float t[n]; a[0] = t[0]; }", "error"),
    "no binding": ("[[kernel]] void k(uint i) {}", "binding"),
}  # fmt: skip


def problems(tmp_path, text):
    path = tmp_path / "source.metal"
    path.write_text("#include <metal_stdlib>\nusing namespace metal;\n" + text + "\n")
    return strict.check(path)


@pytest.mark.parametrize("name", GOOD)
def test_good(name, tmp_path):
    assert problems(tmp_path, GOOD[name]) == []


@pytest.mark.parametrize("name", BAD)
def test_bad(name, tmp_path):
    text, word = BAD[name]
    found = problems(tmp_path, text)
    assert any(word in problem for problem in found), found
    assert all("source.metal:" in problem or "recursion" in problem for problem in found)
