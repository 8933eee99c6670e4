// csrc/kernels/conv_fft.cpp -- blocks x threads of convolutions by transforms; knows no instruction set
// Two blocks of outputs are one complex block; each is scaled to the same size by a power of two, so that neither is
// lost in the rounding of the other. What is not finite is left out, and computed directly afterwards.
#include "kernels/conv_fft.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <memory>
#include <span>

#include "base/allocator.h"
#include "base/thread_pool.h"
#include "kernels/conv_types.h"

namespace nhwc {
namespace {

/// A block by its coordinates: outputs [out, out + count) of a plane, which read inputs in + [lo, hi) of it.
struct Block {
  const float* x;  // input (0, 0) of the plane; nullptr where that is padding
  float* y;        // output (0, 0) of the plane
  int64_t n, depth;
  int64_t out[2], count[2], in[2], lo[2], hi[2];
};

/// The exponent of the power of two that a block is divided by, or kDirect: no transform can give its outputs.
constexpr int32_t kDirect = INT32_MAX;
using Exponents = std::span<std::atomic<int32_t>>;
constexpr int kMaxLanes = 16;

/// What all tasks share.
class FftRun {
 public:
  FftRun(const CpuPlan& p, const ConvOperands& operands, const float* header, Exponents scale)
      : plan(p),
        q(p.problem),
        a(operands),
        k(table_for(p.isa).conv.fft),
        f(table_for(p.isa).conv.f32),
        layout(p),
        grid(q, p.block),
        in(q.groups * q.c, k.lanes),
        out(q.groups * q.o, k.lanes),
        header_(header),
        scale_(scale),
        end(q.activation, operands.residual_from_y, false) {
    FftHeader h;
    std::memcpy(&h, header, sizeof h);
    weight_exponent_ = h.exponent;
  }

  Block block(int64_t b) const;
  void measure(int64_t begin, int64_t end) const;
  /// Brings the vector v of the columns of pairs [first, last) into x and transforms it. `rows`: see rows_bytes.
  void load(const FftColumns& c, int64_t first, int64_t last, int64_t v, float* x, float* rows) const;
  /// Transforms x back; stores those of its channels that are in [channel0, channel1).
  void store(const FftColumns& c, int64_t first, int64_t last, int64_t v, int64_t channel0, int64_t channel1, float* x,
             float* rows) const;

  void pointwise(const float* panels, int64_t begin, int64_t end) const;
  void dense(const float* panels, int64_t begin, int64_t end) const;
  void multiply_rows(const float* panels, int64_t begin, int64_t end, int64_t pairs, const float* z, float* y,
                     int64_t i0, int64_t i1) const;

  const CpuPlan& plan;
  const ConvProblem& q;
  const ConvOperands& a;
  const FftKernels& k;
  const FloatKernels<float>& f;
  FftLayout layout;
  FftGrid grid;
  FftColumns in, out;

 private:
  size_t block_bytes() const { return static_cast<size_t>(layout.block_points * 2 * k.lanes) * sizeof(float); }
  /// A block of one channel per lane, row by row, to be transposed.
  size_t rows_bytes() const {
    return q.groups * std::min(q.c, q.o) == 1 ? static_cast<size_t>(grid.points * k.lanes) * sizeof(float) : 0;
  }
  void load_side(int64_t b, int64_t channel, int n, float* x) const;
  void store_side(const FftColumns& c, int64_t b, int64_t channel, int n, const float* x, int64_t step) const;
  void transpose_in(int64_t b, float* rows) const;
  void mark_direct(int64_t b) const { exponent_of(b).store(kDirect, std::memory_order_relaxed); }
  int32_t exponent(int64_t b) const { return exponent_of(b).load(std::memory_order_relaxed); }
  std::atomic<int32_t>& exponent_of(int64_t b) const { return scale_[static_cast<size_t>(b)]; }
  static float power(int exponent) { return std::bit_cast<float>(static_cast<uint32_t>(127 + exponent) << 23); }

  const float* header_;
  Exponents scale_;
  int32_t weight_exponent_;
  Epilogue<float> end;
};

Block FftRun::block(int64_t b) const {
  Block r;
  const int64_t index[2] = {b / grid.blocks[1] % grid.blocks[0], b % grid.blocks[1]};
  const int64_t plane = b / grid.blocks[1] / grid.blocks[0];
  r.n = plane / q.out[0];
  r.depth = plane % q.out[0];
  const int64_t id = r.depth * q.stride[0] - q.pad[0];
  r.x = id >= 0 && id < q.in[0] ? static_cast<const float*>(a.x) + r.n * a.x_stride[0] + id * a.x_stride[1] : nullptr;
  r.y = static_cast<float*>(a.y) + plane * q.out[1] * q.out[2] * out.channels;
  for (int i = 0; i < 2; ++i) {
    r.out[i] = index[i] * grid.step[i];
    r.count[i] = std::min(grid.step[i], q.out[i + 1] - r.out[i]);
    r.in[i] = r.out[i] * q.stride[i + 1] - q.pad[i + 1];
    const int64_t need = r.count[i] + q.kernel[i + 1] - 1;
    r.lo[i] = std::clamp<int64_t>(-r.in[i], 0, need);
    r.hi[i] = r.x ? std::clamp<int64_t>(q.in[i + 1] - r.in[i], r.lo[i], need) : r.lo[i];
  }
  return r;
}

/// The exponents of blocks [begin, end).
void FftRun::measure(int64_t begin, int64_t end) const {
  const bool dense_rows = a.x_stride[3] == in.channels;
  for (int64_t b = begin; b < end; ++b) {
    const Block at = block(b);
    const int64_t columns = at.hi[1] - at.lo[1], runs = dense_rows ? 1 : columns;
    uint32_t peak = 0;
    for (int64_t r = at.lo[0]; r < at.hi[0] && columns > 0; ++r) {
      const float* row = at.x + (at.in[0] + r) * a.x_stride[2] + (at.in[1] + at.lo[1]) * a.x_stride[3];
      for (int64_t i = 0; i < runs; ++i)
        peak = std::max(peak, k.peak(row + i * a.x_stride[3], columns / runs * in.channels));
    }
    // Powers of both signs must be normal numbers, and so must those of the sum with the weights' exponent. A block
    // that is not brought down to about 1 would drown the other of its pair; its outputs overflow in any case.
    const int e = std::clamp(static_cast<int>(peak >> 23) - 126, -126, 126);
    const bool fits = peak < 0x7f800000u && e + weight_exponent_ <= 126;
    exponent_of(b).store(fits ? std::max(e, -126 - weight_exponent_) : kDirect, std::memory_order_relaxed);
  }
}

void FftRun::load_side(int64_t b, int64_t channel, int n, float* x) const {
  if (exponent(b) == kDirect) return;
  const Block at = block(b);
  const float scale = power(-exponent(b));
  for (int64_t r = at.lo[0]; r < at.hi[0]; ++r) {
    const float* row = at.x + (at.in[0] + r) * a.x_stride[2] + (at.in[1] + at.lo[1]) * a.x_stride[3] + channel;
    k.copy({row, a.x_stride[3], at.hi[1] - at.lo[1], n, scale, x + (r * layout.pitch + at.lo[1]) * 2 * k.lanes,
            2 * k.lanes});
  }
}

/// A block of the only channel, as rows without a gap; zeros outside.
void FftRun::transpose_in(int64_t b, float* rows) const {
  std::memset(rows, 0, static_cast<size_t>(grid.points) * sizeof(float));
  if (b >= grid.total || exponent(b) == kDirect) return;
  const Block at = block(b);
  const float scale = power(-exponent(b));
  const int64_t columns = at.hi[1] - at.lo[1], whole = columns / k.lanes * k.lanes;
  for (int64_t r = at.lo[0]; r < at.hi[0]; ++r) {
    const float* row = at.x + (at.in[0] + r) * a.x_stride[2] + (at.in[1] + at.lo[1]);
    float* to = rows + r * layout.n[1] + at.lo[1];
    k.copy({row, k.lanes, whole / k.lanes, k.lanes, scale, to, k.lanes});
    k.copy({row + whole, 0, 1, static_cast<int>(columns - whole), scale, to + whole, 0});
  }
}

void FftRun::load(const FftColumns& c, int64_t first, int64_t last, int64_t v, float* x, float* rows) const {
  const int64_t first_pair = first + v / c.vectors_per_pair * c.pairs_per_vector;
  const int64_t end_pair = std::min(last, first_pair + c.pairs_per_vector);
  const int64_t channel = v % c.vectors_per_pair * k.lanes, point = 2 * k.lanes;
  const int n = static_cast<int>(std::min<int64_t>(k.lanes, c.channels - channel));
  int64_t used = 0;
  for (int64_t b = 2 * first_pair; b < std::min(2 * end_pair, grid.total); ++b) used = std::max(used, block(b).hi[0]);
  if (c.channels == 1 && a.x_stride[3] == 1) {
    for (int side = 0; side < 2; ++side) {
      for (int64_t l = 0; l < k.lanes; ++l)
        transpose_in(first_pair + l < end_pair ? 2 * (first_pair + l) + side : grid.total, rows + l * grid.points);
      for (int64_t r = 0; r < layout.n[0]; ++r)
        f.transpose(rows + r * layout.n[1], grid.points, k.lanes, layout.n[1],
                    x + r * layout.pitch * point + side * k.lanes, point);
    }
  } else {
    std::memset(x, 0, block_bytes());
    for (int64_t p = first_pair; p < end_pair; ++p)
      for (int64_t side = 0; side < 2; ++side)
        if (2 * p + side < grid.total)
          load_side(2 * p + side, channel, n, x + (p - first_pair) * c.channels + side * k.lanes);
  }
  fft_block_forward(k, layout, header_, x, 0, used);
}

/// Outputs of one block: `step` floats from one to the next in x.
void FftRun::store_side(const FftColumns& c, int64_t b, int64_t channel, int n, const float* x, int64_t step) const {
  if (exponent(b) == kDirect) return;
  const Block at = block(b);
  const float scale = power(exponent(b) + weight_exponent_);
  float bias[kMaxLanes];
  for (int i = 0; i < n; ++i) bias[i] = q.has_bias ? static_cast<const float*>(a.bias)[channel + i] : -0.0f;
  for (int64_t r = 0; r < at.count[0]; ++r) {
    const float* from = x + r * (step == 1 ? layout.n[1] : layout.pitch * step);
    float* to = at.y + ((at.out[0] + r) * q.out[2] + at.out[1]) * c.channels + channel;
    bool finite = true;
    if (step == 1) {
      std::fill(bias, bias + k.lanes, bias[0]);
      const int64_t whole = at.count[1] / k.lanes * k.lanes;
      finite = k.finish({from, k.lanes, whole / k.lanes, k.lanes, scale, to, k.lanes}, bias, end.lo, end.hi);
      finite &= k.finish({from + whole, 0, 1, static_cast<int>(at.count[1] - whole), scale, to + whole, 0}, bias,
                         end.lo, end.hi);
    } else {
      finite = k.finish({from, step, at.count[1], n, scale, to, c.channels}, bias, end.lo, end.hi);
    }
    if (!finite) return mark_direct(b);
    if (!end.pass) continue;
    const int64_t runs = n == c.channels ? 1 : at.count[1];
    for (int64_t i = 0; i < runs; ++i) end.finish(f, to + i * c.channels, at.count[1] / runs * n);
  }
}

void FftRun::store(const FftColumns& c, int64_t first, int64_t last, int64_t v, int64_t channel0, int64_t channel1,
                   float* x, float* rows) const {
  const int64_t first_pair = first + v / c.vectors_per_pair * c.pairs_per_vector;
  const int64_t end_pair = std::min(last, first_pair + c.pairs_per_vector);
  const int64_t origin = v % c.vectors_per_pair * k.lanes, point = 2 * k.lanes;
  const int64_t channel = std::max(origin, channel0);
  const int n = static_cast<int>(std::min({origin + k.lanes, c.channels, channel1}) - channel);
  if (n <= 0) return;
  const int64_t needed = std::min(grid.step[0], q.out[1]);
  fft_block_inverse(k, layout, header_, x, needed);
  for (int64_t side = 0; side < 2; ++side) {
    if (c.channels == 1)
      for (int64_t r = 0; r < needed; ++r)
        f.transpose(x + r * layout.pitch * point + side * k.lanes, point, grid.step[1], k.lanes, rows + r * layout.n[1],
                    grid.points);
    for (int64_t p = first_pair; p < end_pair; ++p) {
      if (2 * p + side >= grid.total) continue;
      if (c.channels == 1)
        store_side(c, 2 * p + side, 0, 1, rows + (p - first_pair) * grid.points, 1);
      else
        store_side(c, 2 * p + side, channel, n, x + (p - first_pair) * c.channels + side * k.lanes + channel - origin,
                   point);
    }
  }
}

/// Vectors of channels [begin, end), each with all its blocks: its spectrum stays in L2.
void FftRun::pointwise(const float* panels, int64_t begin, int64_t end) const {
  const int64_t per_panel = in.vectors(grid.pairs) / layout.panels, tasks = per_panel * (end - begin);
  const int64_t point = 2 * k.lanes;
  parallel_for(tasks, grain_of(tasks, 2e2 * static_cast<double>(tasks * grid.points)), [&](int64_t t0, int64_t t1) {
    const Scratch x(block_bytes()), rows(rows_bytes());
    for (int64_t t = t0; t < t1; ++t) {
      const int64_t panel = begin + t / per_panel, v = t % per_panel * layout.panels + panel;
      load(in, 0, grid.pairs, v, x.as<float>(), rows.as<float>());
      const float* w = panels + (panel - begin) * layout.panel_row;
      for (int64_t r = 0; r < layout.n[0]; ++r)
        k.multiply(x.as<float>() + r * layout.pitch * point, w + r * layout.pitch * point, layout.n[1]);
      store(in, 0, grid.pairs, v, 0, in.channels, x.as<float>(), rows.as<float>());
    }
  });
}

/// Frequency pairs [i0, i1) times panels [begin, end): rows are the pairs of blocks, f and -f, real and imaginary part.
void FftRun::multiply_rows(const float* panels, int64_t begin, int64_t end, int64_t pairs, const float* z, float* y,
                           int64_t i0, int64_t i1) const {
  // Taps are the real and the imaginary part of the spectrum w; which parts of z meet them (FftRows), for
  // re = z.re w.re - z.im w.im, im = z.im w.re + z.re w.im, and with the conjugate of w at -f.
  static constexpr int kParts[2][4] = {{0, 1, 3, 4}, {2, 0, 4, 5}};
  const int64_t z_part = in.vectors(pairs) * k.lanes, y_part = out.vectors(pairs) * k.lanes;
  const int32_t* at = reinterpret_cast<const int32_t*>(header_ + layout.at);
  const int64_t ids[2] = {0, 1};
  const float inf = static_cast<float>(__builtin_inf());
  const float* table[2 * kMaxTilePixels];
  float* to[kMaxTilePixels];
  DirectTile<float> d{table, ids, 2, q.c, 0, nullptr, 0, 0, to, 0, nullptr, -inf, inf, 0, false};
  for (int64_t i = i0; i < i1; ++i) {
    const int64_t rows = pairs * (at[2 * i] == at[2 * i + 1] ? 2 : 4), tiles = (rows + plan.mr - 1) / plan.mr;
    const float* zi = z + i * 6 * z_part;
    float* yi = y + i * 4 * y_part;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t m0 = rows * t / tiles, mr = rows * (t + 1) / tiles - m0;
      for (int64_t m = 0; m < mr; ++m) {
        const int64_t part = (m0 + m) / pairs, pair = (m0 + m) % pairs;
        for (int tap = 0; tap < 2; ++tap) table[tap * mr + m] = zi + kParts[tap][part] * z_part + in.offset(pair);
        to[m] = yi + part * y_part + out.offset(pair);
      }
      for (int64_t p = begin; p < end; ++p) {
        const int64_t g = p / layout.per_group, o0 = p % layout.per_group * layout.nr, width = layout.width(p);
        d.a_offset = g * q.c;
        d.w = panels + (layout.panel_offset(p) - layout.panel_offset(begin)) + i * 2 * q.c * width;
        d.w_tap = q.c * width;
        d.w_step = width;
        d.y_offset = g * q.o + o0;
        d.n = static_cast<int>(std::min(width, q.o - o0));
        f.direct[width > k.lanes][mr](d);
      }
    }
  }
}

/// Chunks of pairs: transforms, one matrix product per frequency, transforms back of the panels' channels.
void FftRun::dense(const float* panels, int64_t begin, int64_t end) const {
  const auto row_floats = [this](const FftColumns& c, int64_t pairs) { return c.vectors(pairs) * k.lanes; };
  const int64_t most = std::min(plan.block_pairs, grid.pairs);
  const Scratch z(static_cast<size_t>(layout.half * 6 * row_floats(in, most)) * sizeof(float));
  const Scratch y(static_cast<size_t>(layout.half * 4 * row_floats(out, most)) * sizeof(float));
  const int32_t* at = reinterpret_cast<const int32_t*>(header_ + layout.at);
  const auto channel_of = [this](int64_t p) { return p / layout.per_group * q.o + p % layout.per_group * layout.nr; };
  const int64_t first_channel = channel_of(begin), last_channel = end == layout.panels ? out.channels : channel_of(end);
  // Of the channels in a vector, those that are multiplied here.
  const auto channels_of = [&](int64_t v) {
    const int64_t channel = v % out.vectors_per_pair * k.lanes;
    return std::min(channel + k.lanes, last_channel) - std::max(channel, first_channel);
  };
  for (int64_t first = 0; first < grid.pairs; first += most) {
    const int64_t last = std::min(first + most, grid.pairs), pairs = last - first;
    const int64_t z_part = row_floats(in, pairs), y_part = row_floats(out, pairs);
    const int64_t inputs = in.vectors(pairs), outputs = out.vectors(pairs);
    parallel_for(inputs, grain_of(inputs, 1e2 * static_cast<double>(inputs * grid.points)),
                 [&](int64_t v0, int64_t v1) {
                   const Scratch x(block_bytes()), rows(rows_bytes());
                   for (int64_t v = v0; v < v1; ++v) {
                     load(in, first, last, v, x.as<float>(), rows.as<float>());
                     k.to_rows({x.as<float>(), at, layout.half, z.as<float>() + v * k.lanes, 6 * z_part, z_part});
                   }
                 });
    const double flops = 16.0 * static_cast<double>(pairs * layout.half) * static_cast<double>(q.c) *
                         static_cast<double>((end - begin) * layout.nr);
    parallel_for(layout.half, grain_of(layout.half, flops), [&](int64_t i0, int64_t i1) {
      // Lanes that get no sum are transformed with the others, and subnormal numbers in them would cost time.
      for (int64_t v = 0; v < outputs; ++v) {
        const int64_t of_a_pair = channels_of(v);
        const int64_t held =
            out.vectors_per_pair > 1 ? 1 : std::min(out.pairs_per_vector, pairs - v * out.pairs_per_vector);
        if (of_a_pair <= 0 || of_a_pair * held == k.lanes) continue;
        for (int64_t i = 4 * i0; i < 4 * i1; ++i) std::fill_n(y.as<float>() + i * y_part + v * k.lanes, k.lanes, 0.0f);
      }
      multiply_rows(panels, begin, end, pairs, z.as<float>(), y.as<float>(), i0, i1);
    });
    parallel_for(outputs, grain_of(outputs, 1e2 * static_cast<double>(outputs * grid.points)),
                 [&](int64_t v0, int64_t v1) {
                   const Scratch x(block_bytes()), rows(rows_bytes());
                   for (int64_t v = v0; v < v1; ++v) {
                     if (channels_of(v) <= 0) continue;
                     k.from_rows({x.as<float>(), at, layout.half, y.as<float>() + v * k.lanes, 4 * y_part, y_part});
                     store(out, first, last, v, first_channel, last_channel, x.as<float>(), rows.as<float>());
                   }
                 });
  }
}

/// Outputs that a transform cannot give, by the best of the other algorithms.
class DirectRun {
 public:
  DirectRun(const CpuPlan& plan, const ConvOperands& a) : a_(a) {
    ConvProblem q = plan.problem;
    q.highest_precision = true;
    DeviceFacts facts;
    facts.isa = plan.isa;
    facts.workspace_limit = plan.workspace_limit;
    plan_ = plan_conv(q, facts);
    a_.packed = nullptr;
  }
  void whole() const { run_conv(plan_, a_); }
  void blocks(const FftRun& run, Exponents scale) {
    const size_t bytes = packed_weight_bytes(plan_);
    const bool pack = bytes <= plan_.workspace_limit / 2;  // else block by block, once for every one of them
    const Scratch packed(pack ? bytes : 0);
    if (pack) pack_conv_weights(plan_, a_.w, packed.as<void>());
    if (pack) a_.packed = packed.as<void>();
    for (int64_t b = 0; b < run.grid.total; ++b)
      if (scale[static_cast<size_t>(b)] == kDirect) block(run.block(b));
    a_.packed = nullptr;
  }

 private:
  void block(const Block& b) const {
    const ConvProblem& q = plan_.problem;
    const bool rows = b.count[1] == q.out[2];  // whole rows follow one another
    CpuPlan part = plan_;
    ConvOperands a = a_;
    a.x = static_cast<const float*>(a.x) + b.n * a.x_stride[0];
    part.problem.batch = part.problem.out[0] = 1;
    part.problem.out[1] = rows ? b.count[0] : 1;
    part.problem.out[2] = b.count[1];
    part.problem.pad[0] -= b.depth * q.stride[0];
    part.problem.pad[2] -= b.out[1] * q.stride[2];
    for (int64_t r = 0; r < (rows ? 1 : b.count[0]); ++r) {
      part.problem.pad[1] = q.pad[1] - (b.out[0] + r) * q.stride[1];
      a.y = b.y + ((b.out[0] + r) * q.out[2] + b.out[1]) * q.groups * q.o;
      run_conv(part, a);
    }
  }

  CpuPlan plan_;
  ConvOperands a_;
};

/// Panels [begin, end) from here on in memory.
void run_panels(const FftRun& run, const float* panels, int64_t begin, int64_t end) {
  if (run.layout.pointwise)
    run.pointwise(panels, begin, end);
  else
    run.dense(panels, begin, end);
}

}  // namespace

void run_fft(const CpuPlan& plan, const ConvOperands& a) {
  const FftLayout layout(plan);
  const FftGrid grid(plan.problem, plan.block);
  const Scratch own_header(a.packed ? 0 : static_cast<size_t>(layout.header) * sizeof(float));
  const float* w = static_cast<const float*>(a.w);
  if (!a.packed) pack_fft_header(plan, w, own_header.as<float>());
  const float* header = a.packed ? static_cast<const float*>(a.packed) : own_header.as<float>();
  FftHeader h;
  std::memcpy(&h, header, sizeof h);
  if (!h.finite) return DirectRun(plan, a).whole();
  const Scratch of_blocks(static_cast<size_t>(grid.total) * sizeof(std::atomic<int32_t>));
  const Exponents scales(of_blocks.as<std::atomic<int32_t>>(), static_cast<size_t>(grid.total));
  std::uninitialized_value_construct(scales.begin(), scales.end());
  const FftRun run(plan, a, header, scales);
  parallel_for(grid.total, grain_of(grid.total, static_cast<double>(grid.total * grid.points * run.in.channels)),
               [&](int64_t begin, int64_t end) { run.measure(begin, end); });
  if (a.packed) {
    run_panels(run, header + layout.header, 0, layout.panels);
  } else {
    const size_t largest = static_cast<size_t>(layout.panel_row * (layout.pointwise ? 1 : layout.nr)) * sizeof(float);
    const int64_t at_once =
        std::clamp<int64_t>(static_cast<int64_t>(plan.workspace_limit / 4 / largest), 1, layout.panels);
    const Scratch panels(static_cast<size_t>(at_once) * largest);
    for (int64_t p = 0; p < layout.panels; p += at_once) {
      const int64_t end = std::min(p + at_once, layout.panels);
      pack_fft_panels(plan, w, header, p, end, panels.as<float>());
      run_panels(run, panels.as<float>(), p, end);
    }
  }
  const int64_t direct = std::count(scales.begin(), scales.end(), kDirect);
  if (direct == grid.total)
    DirectRun(plan, a).whole();
  else if (direct > 0)
    DirectRun(plan, a).blocks(run, scales);
}

}  // namespace nhwc
