// tests/apple/probe.metal -- kernels of test_runtime.py, one for each thing that the host code may get wrong

constant int factor [[function_constant(0)]];
constant bool negated [[function_constant(1)]];
constant float offset [[function_constant(2)]];
constant bool has_bias [[function_constant(3)]];

struct ProbeParams {
  int count;
  float add;
};

// y = x + add
[[kernel]] void probe_add(device const float* x [[buffer(0)]], device float* y [[buffer(1)]],
                          constant ProbeParams& p [[buffer(2)]], uint i [[thread_position_in_grid]]) {
  if (int(i) < p.count) y[i] = x[i] + p.add;
}

// y = +-x * factor + offset (+ bias, which is not bound where there is none)
[[kernel]] void probe_constants(device const float* x [[buffer(0)]], device const float* bias [[buffer(1), function_constant(has_bias)]],
                                device float* y [[buffer(2)]], constant ProbeParams& p [[buffer(3)]],
                                uint i [[thread_position_in_grid]]) {
  if (int(i) >= p.count) return;
  float v = (negated ? -x[i] : x[i]) * float(factor) + offset;
  if (has_bias) v += bias[i];
  y[i] = v;
}

// y = where each thread is in its threadgroup and grid
[[kernel]] void probe_grid(device int* y [[buffer(0)]], uint3 at [[thread_position_in_grid]],
                           uint3 size [[threads_per_grid]], uint3 group [[threadgroup_position_in_grid]]) {
  y[(at.z * size.y + at.y) * size.x + at.x] = int(group.x + 10 * group.y + 100 * group.z);
}
