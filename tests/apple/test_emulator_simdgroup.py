# tests/apple/test_emulator_simdgroup.py -- simdgroup and quadgroup functions, matrices, vectors and atomics
import functools

import emu
import ml_dtypes
import numpy as np
import pytest

HEAD = "#include <metal_stdlib>\n#include <metal_simdgroup_matrix>\nusing namespace metal;\n"
SEEDS = range(4)


@functools.cache
def compiled(text):
    return emu.Library(HEAD + text)


def shifted(x, source):
    """x[source] where that is a lane of 32, else anything."""
    return np.array([x[s] if 0 <= s < len(x) else np.nan for s in source], np.float64)


LANE = np.arange(32)
# Expression of x, and what 32 lanes get; NaN: undefined.
SIMD = {
    "simd_sum(x)": lambda x: np.full(32, x.sum()),
    "simd_product(x)": lambda x: np.full(32, x.prod()),
    "simd_max(x)": lambda x: np.full(32, x.max()),
    "simd_min(x)": lambda x: np.full(32, x.min()),
    "simd_prefix_inclusive_sum(x)": lambda x: np.cumsum(x),
    "simd_prefix_exclusive_sum(x)": lambda x: np.cumsum(x) - x,
    "simd_prefix_inclusive_product(x)": lambda x: np.cumprod(x),
    "simd_prefix_exclusive_product(x)": lambda x: np.cumprod(x) / x,
    "simd_broadcast(x, 5)": lambda x: np.full(32, x[5]),
    "simd_broadcast_first(x)": lambda x: np.full(32, x[0]),
    "simd_shuffle(x, ushort(31 - lane))": lambda x: x[::-1],
    "simd_shuffle_xor(x, 6)": lambda x: x[LANE ^ 6],
    "simd_shuffle_down(x, 3)": lambda x: shifted(x, LANE + 3),
    "simd_shuffle_up(x, 3)": lambda x: shifted(x, LANE - 3),
    "simd_shuffle_rotate_down(x, 3)": lambda x: np.roll(x, -3),
    "simd_shuffle_rotate_up(x, 3)": lambda x: np.roll(x, 3),
    "simd_shuffle_and_fill_down(x, K(x + 20), 3)": lambda x: np.concatenate([x[3:], x[:3] + 20]),
    "simd_shuffle_and_fill_up(x, K(x + 20), 3)": lambda x: np.concatenate([x[-3:] + 20, x[:-3]]),
    "quad_sum(x)": lambda x: x.reshape(8, 4).sum(1).repeat(4),
    "quad_max(x)": lambda x: x.reshape(8, 4).max(1).repeat(4),
    "quad_broadcast(x, 2)": lambda x: x[LANE // 4 * 4 + 2],
    "quad_shuffle_xor(x, 1)": lambda x: x[LANE ^ 1],
    "quad_shuffle_down(x, 1)": lambda x: np.where(LANE % 4 < 3, np.roll(x, -1), np.nan),
}


def simd_text(kind):
    return "".join(
        f"[[kernel]] void k{i}(device const {kind}* a [[buffer(0)]], device {kind}* y [[buffer(1)]],"
        " uint i [[thread_position_in_grid]], uint lane [[thread_index_in_simdgroup]])"
        f" {{ const {kind} x = a[i]; (void)lane; y[i] = {e.replace('K(', kind + '(')}; }}\n"
        for i, e in enumerate(SIMD)
    )


@pytest.mark.parametrize("expression", SIMD)
@pytest.mark.parametrize("kind", ["float", "half", "int", "ushort"])
def test_simd(expression, kind):
    dtype = {"float": np.float32, "half": np.float16, "int": np.int32, "ushort": np.uint16}[kind]
    rng = np.random.default_rng(5)
    if "product" in expression:
        x = rng.permutation([2, 2, 2] + [1] * 61).astype(dtype)
    else:
        x = rng.integers(1, 9, 64).astype(dtype)
    want = np.concatenate([SIMD[expression](half.astype(np.float64)) for half in (x[:32], x[32:])])
    for seed in SEEDS:
        y = np.zeros_like(x)
        compiled(simd_text(kind)).run(f"k{list(SIMD).index(expression)}", [x, y], threads=(64, 1, 1), seed=seed)
        known = ~np.isnan(want)
        np.testing.assert_array_equal(y[known], want[known])


VOTES = """
[[kernel]] void votes(device const int* a [[buffer(0)]], device ulong* y [[buffer(1)]],
                      uint i [[thread_position_in_grid]]) {
  y[8 * i + 0] = ulong(simd_ballot(a[i] > 2));
  y[8 * i + 1] = simd_all(a[i] > 0);
  y[8 * i + 2] = simd_any(a[i] > 8);
  y[8 * i + 3] = ulong(simd_active_threads_mask());
  y[8 * i + 4] = simd_is_first();
  y[8 * i + 5] = simd_and(a[i]);
  y[8 * i + 6] = simd_or(a[i]);
  y[8 * i + 7] = simd_xor(a[i]);
}
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_votes_of_a_partial_simdgroup(seed):
    a = np.random.default_rng(6).integers(0, 9, 52).astype(np.int32)
    y = np.zeros((52, 8), np.uint64)
    compiled(VOTES).run("votes", [a, y], threads=(52, 1, 1), seed=seed)
    for part, rows in ((a[:32], y[:32]), (a[32:], y[32:])):
        ballot = sum(1 << i for i, v in enumerate(part) if v > 2)
        logic = [np.bitwise_and.reduce(part), np.bitwise_or.reduce(part), np.bitwise_xor.reduce(part)]
        for lane, row in enumerate(rows):
            want = [ballot, (part > 0).all(), (part > 8).any(), (1 << len(part)) - 1, lane == 0, *logic]
            np.testing.assert_array_equal(row, np.array(want, np.uint64))


MATRIX = """
[[kernel]] void layout(device float* y [[buffer(0)]], uint lane [[thread_index_in_simdgroup]]) {
  simdgroup_float8x8 m;
  m.thread_elements()[0] = float(2 * lane);
  m.thread_elements()[1] = float(2 * lane + 1);
  simdgroup_store(m, y);
}
template <typename T>
[[kernel]] void product(device const T* a [[buffer(0)]], device const T* b [[buffer(1)]], device float* y [[buffer(2)]],
                        device T* copy [[buffer(3)]]) {
  simdgroup_matrix<T, 8, 8> p, q, t;
  simdgroup_load(p, a, 24, ulong2(8, 3));
  simdgroup_load(q, b, 10, ulong2(1, 0), true);
  simdgroup_matrix<float, 8, 8> c(2.0f), d = make_filled_simdgroup_matrix<float, 8, 8>(1.0f);
  simdgroup_multiply_accumulate(c, p, q, c);
  simdgroup_store(c, y, 8);
  simdgroup_multiply(d, p, q);
  simdgroup_store(d, y + 64, 8, 0, true);
  threadgroup T shared[8 * 9];
  simdgroup_store(q, shared, 9);
  simdgroup_barrier(mem_flags::mem_threadgroup);
  simdgroup_load(t, shared, 9);
  simdgroup_store(t, copy);
}
template [[host_name("product_float")]] [[kernel]] decltype(product<float>) product<float>;
template [[host_name("product_half")]] [[kernel]] decltype(product<half>) product<half>;
template [[host_name("product_bfloat")]] [[kernel]] decltype(product<bfloat>) product<bfloat>;
"""


def test_matrix_layout():
    """Apple's: lanes hold pairs of neighbours; 0..3 and 8..11 the upper rows of the left and right half, and so on."""
    y = np.zeros((8, 8), np.float32)
    compiled(MATRIX).run("layout", [y], threads=(32, 1, 1))
    holder = (y // 2).astype(int)[:, ::2]
    np.testing.assert_array_equal(holder[:2], [[0, 1, 8, 9], [2, 3, 10, 11]])
    np.testing.assert_array_equal(holder[4:6], [[16, 17, 24, 25], [18, 19, 26, 27]])


@pytest.mark.parametrize("kind", ["float", "half", "bfloat"])
@pytest.mark.parametrize("seed", SEEDS)
def test_matrix_product(kind, seed):
    dtype = {"float": np.float32, "half": np.float16, "bfloat": ml_dtypes.bfloat16}[kind]
    rng = np.random.default_rng(8)
    a, b = rng.integers(-4, 5, (11, 24)).astype(dtype), rng.integers(-4, 5, (9, 10)).astype(dtype)
    y, copy = np.zeros((2, 8, 8), np.float32), np.zeros((8, 8), dtype)
    compiled(MATRIX).run(f"product_{kind}", [a, b, y, copy], threads=(32, 1, 1), seed=seed)
    p, q = a[3:11, 8:16].astype(np.float64), b[:8, 1:9].astype(np.float64).T
    np.testing.assert_array_equal(y[0], p @ q + 2 * np.eye(8))
    np.testing.assert_array_equal(y[1], (p @ q).T)
    np.testing.assert_array_equal(copy.astype(np.float64), q)


VECTORS = """
struct Packed { packed_float3 a; float b; };
static_assert(sizeof(Packed) == 16 && sizeof(float3) == 16 && alignof(half4) == 8 && sizeof(packed_half3) == 6);
static_assert(numeric_limits<half>::max() == 65504.0h && numeric_limits<long>::min() < -9223372036854775807l);
constant float table[3] = {1, 2, 4};
[[kernel]] void vectors(device const float4* a [[buffer(0)]], device float* y [[buffer(1)]],
                        device const Packed* p [[buffer(2)]]) {
  float4 v = a[0];
  v.xz = v.zx;
  v.w += 2;
  float3 u = float3(v.yx, 7);
  u *= 2;
  const int4 i = int4(a[0]) << 1;
  const float2 low = min(v.xy, float2(1.5f)), s = select(low, v.zw, low < v.zw);
  const bool4 flags = a[0] > 2.0f && a[0] < 4;
  const half4 h = half4(a[0]) * 0.5h;
  array<float, 3> held = {{5, 6, 7}};
  float3 from = p[0].a;
  int k = 0;
  for (float x : {v.x, v.y, v.z, v.w, u.x, u.y, u.z, float(i.w), low.x, low.y, s.x, s.y}) y[k++] = x;
  y[k++] = any(flags);
  y[k++] = all(flags);
  y[k++] = h.w;
  y[k++] = held[2] + table[2];
  y[k++] = from.z + p[0].b;
  y[k++] = as_type<float>(as_type<uint>(v.x) ^ 0x80000000u);
  y[k++] = (v == a[0]).y;
  y[k++] = dot(a[0], float4(1)) + a[0].wzyx[0] + (-v).x;
}
"""


def test_vectors():
    a, y = np.array([1, 2, 3, 4], np.float32), np.zeros(20, np.float32)
    p = np.array([1, 2, 3, 0.5], np.float32)
    library = emu.Library(HEAD + VECTORS.replace("for (float x : {", "const float all_of[] = {").replace(
        "s.x, s.y}) y[k++] = x;", "s.x, s.y};\n  for (int j = 0; j < 12; ++j) y[k++] = all_of[j];"
    ))  # fmt: skip
    library.run("vectors", [a, y, p], threads=(1, 1, 1))
    want = [3, 2, 1, 6, 4, 6, 14, 8, 1.5, 1.5, 1.5, 6, 1, 0, 2, 11, 3.5, -3, 1, 10 + 4 - 3]
    np.testing.assert_array_equal(y, want)


ATOMICS = """
[[kernel]] void atomics(device atomic_int* a [[buffer(0)]], device atomic_uint* u [[buffer(1)]],
                        device atomic_float* f [[buffer(2)]], device const int* x [[buffer(3)]],
                        device atomic_uint* tickets [[buffer(4)]], device uint* taken [[buffer(5)]],
                        uint i [[thread_position_in_grid]]) {
  const int v = x[i];
  atomic_fetch_add_explicit(&a[0], v, memory_order_relaxed);
  atomic_fetch_sub_explicit(&a[1], v, memory_order_relaxed);
  atomic_fetch_max_explicit(&a[2], v, memory_order_relaxed);
  atomic_fetch_min_explicit(&a[3], v, memory_order_relaxed);
  atomic_fetch_or_explicit(&u[0], uint(v), memory_order_relaxed);
  atomic_fetch_and_explicit(&u[1], uint(v), memory_order_relaxed);
  atomic_fetch_xor_explicit(&u[2], uint(v), memory_order_relaxed);
  atomic_fetch_add_explicit(&f[0], float(v), memory_order_relaxed);
  float seen = atomic_load_explicit(&f[1], memory_order_relaxed);
  while (!atomic_compare_exchange_weak_explicit(&f[1], &seen, max(seen, float(v)), memory_order_relaxed,
                                                memory_order_relaxed)) {
  }
  taken[atomic_fetch_add_explicit(tickets, 1u, memory_order_relaxed)] = i;
}
"""


@pytest.mark.parametrize("seed", SEEDS)
def test_atomics(seed):
    x = np.random.default_rng(9).integers(1, 1000, 96).astype(np.int32)
    a, u = np.array([0, 0, -5, 5000], np.int32), np.array([0, ~0, 0], np.int64).astype(np.uint32)
    f, tickets, taken = np.zeros(2, np.float32), np.zeros(1, np.uint32), np.zeros(96, np.uint32)
    buffers = [a, u, f, x, tickets, taken]
    compiled(ATOMICS).run("atomics", buffers, groups=(3, 1, 1), threads=(32, 1, 1), seed=seed)
    np.testing.assert_array_equal(a, [x.sum(), -x.sum(), x.max(), x.min()])
    logic = [np.bitwise_or.reduce(x), np.bitwise_and.reduce(x), np.bitwise_xor.reduce(x)]
    np.testing.assert_array_equal(u, np.array(logic, np.uint32))
    np.testing.assert_array_equal(f, [x.sum(), x.max()])
    np.testing.assert_array_equal(np.sort(taken), np.arange(96))
    assert (taken == np.arange(96)).all() == (seed == 0)


GEOMETRY = """
[[kernel]] void geometry(device uint* y [[buffer(0)]], uint3 p [[thread_position_in_grid]],
    uint3 g [[threadgroup_position_in_grid]], ushort3 l [[thread_position_in_threadgroup]],
    uint3 size [[threads_per_grid]], uint3 groups [[threadgroups_per_grid]], uint3 t [[threads_per_threadgroup]],
    uint index [[thread_index_in_threadgroup]], ushort lane [[thread_index_in_simdgroup]],
    uint simd [[simdgroup_index_in_threadgroup]], uint simds [[simdgroups_per_threadgroup]],
    uint width [[threads_per_simdgroup]]) {
  device uint* q = y + 20 * (p.x + size.x * (p.y + size.y * p.z));
  q[0] = g.x; q[1] = g.y; q[2] = g.z; q[3] = l.x; q[4] = l.y; q[5] = l.z; q[6] = groups.x; q[7] = groups.y;
  q[8] = groups.z; q[9] = t.x; q[10] = t.y; q[11] = t.z; q[12] = index; q[13] = lane; q[14] = simd; q[15] = simds;
  q[16] = width;
}
"""


def test_positions_of_a_grid_that_groups_do_not_fill():
    y = np.zeros((2, 5, 10, 20), np.uint32)
    compiled(GEOMETRY).run("geometry", [y], grid=(10, 5, 2), threads=(8, 4, 1), seed=3)
    for z, row, x in np.ndindex(2, 5, 10):
        size = [min(8, 10 - x // 8 * 8), min(4, 5 - row // 4 * 4), 1]
        index = x % 8 + size[0] * (row % 4)
        want = [x // 8, row // 4, z, x % 8, row % 4, 0, 2, 2, 2, *size, index, index % 32, index // 32]
        np.testing.assert_array_equal(y[z, row, x, :17], [*want, -(-size[0] * size[1] // 32), 32])


DIVERGENT = """
[[kernel]] void divergent(device float* y [[buffer(0)]], uint i [[thread_position_in_grid]]) {
  float s = 0;
  if (i % 2) s = simd_sum(1.0f);
  else s = simd_max(1.0f);
  y[i] = s;
}
"""
CRASH = """
[[kernel]] void crash(device float* y [[buffer(0)]], uint i [[thread_position_in_grid]]) { y[i + (1ul << 40)] = 1; }
"""


def test_errors_name_the_place():
    y = np.zeros(32, np.float32)
    with pytest.raises(emu.KernelError, match=r"source\.metal:\d+: divergent simdgroup operation: other lanes wait at"):
        compiled(DIVERGENT).run("divergent", [y])
    for _ in range(2):  # and the emulator goes on
        with pytest.raises(emu.KernelError, match=r"\[crash\] crashed with signal 11"):
            compiled(CRASH).run("crash", [y])
    compiled(MATRIX).run("layout", [np.zeros(64, np.float32)], threads=(32, 1, 1))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[[kernel]] void k(device float* y [[buffer(0)]]) { y[0] = z; }", r"source\.metal:4:\d+: error: use of"),
        ("[[kernel]] void k(uint i) {}", r"source\.metal:4: error: kernel parameter 'uint i' has no binding attribute"),
        ("[[kernel]] void k(device float* y [[buffer(0)]]) { y[0] = simd_sum(true); }", r"source\.metal:4:.* error"),
        ('template <typename T> [[kernel]] void k(device T* y [[buffer(0)]]) { y[0] = T(1); }\n'
         'template [[host_name("a")]] [[kernel]] void k<float>(device int*);', r"source\.metal:5:.* error"),
    ],
)  # fmt: skip
def test_compile_errors_name_the_line(text, what):
    with pytest.raises(emu.metal_compile.CompileError, match=what):
        emu.Library(HEAD + text + "\n")
