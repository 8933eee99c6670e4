// csrc/kernels/conv_pack.cpp -- packs weights into the panels that the micro-kernels stream
#include "kernels/conv_pack.h"

#include <algorithm>
#include <cstring>

#include "base/allocator.h"
#include "base/divide.h"
#include "base/thread_pool.h"
#include "kernels/conv.h"
#include "kernels/conv_fft.h"
#include "kernels/conv_types.h"
#include "plan/conv_axis.h"

namespace nhwc {
namespace {

/// Where the stored weight of (group, output, tap, input) lies; the outputs of a folded problem are (fold, output).
template <class S>
struct Source {
  Source(const ConvProblem& p, const S* weights) : q(p), w(weights), taps(taps_of(p)), outputs(p.o / p.fold) {}
  /// Strides of outputs and inputs within a tap.
  int64_t o_step() const { return q.swapped ? 1 : taps * q.fold * q.c; }
  /// How many of n outputs from o on are evenly apart.
  int64_t even(int64_t o, int64_t n) const { return q.swapped ? n : std::min(n, outputs - o % outputs); }
  int64_t c_step() const { return q.swapped ? taps * q.o : 1; }
  const S* at(int64_t g, int64_t o, int64_t tap, int64_t c) const {
    int64_t t = tap;
    if (q.flip) t = taps - 1 - tap;  // reversing every axis reverses the row-major order
    if (q.swapped) return w + ((g * q.c + c) * taps + t) * q.o + o;
    const int64_t folded = o / outputs, f = q.flip ? folded : q.fold - 1 - folded;
    return w + (((g * outputs + o % outputs) * taps + t) * q.fold + f) * q.c + c;
  }
  const ConvProblem& q;
  const S* w;
  int64_t taps, outputs;
};

constexpr int64_t kBlock = 64;        // rows that are widened at a time
constexpr int64_t kTransformed = 16;  // channels that are transformed at a time

/// The outputs and input channels of a panel, or of a part of it.
struct PanelPart {
  int64_t g, o0, n, width;  // n outputs from o0 on, `width` with the zeros behind them
  int64_t begin, end;       // input channels
};

/// Weights of one tap: dst[c][0..n), rows `width` apart.
template <class S, class T>
void pack_rows(const ConvKernels& k, const Source<S>& s, const PanelPart& p, int64_t tap, T* dst) {
  const int64_t channels = p.end - p.begin;
  if (s.q.swapped) {
    for (int64_t c = 0; c < channels; ++c) widen(k, s.at(p.g, p.o0, tap, p.begin + c), dst + c * p.width, p.n);
    return;
  }
  if constexpr (std::is_same_v<S, T>) {
    for (int64_t o = 0, n; o < p.n; o += n) {
      n = s.even(p.o0 + o, p.n - o);
      float_kernels<T>(k).transpose(s.at(p.g, p.o0 + o, tap, p.begin), s.o_step(), n, channels, dst + o, p.width);
    }
  } else {
    T row[kBlock];
    for (int64_t o = 0; o < p.n; ++o)
      for (int64_t c0 = 0; c0 < channels; c0 += kBlock) {
        const int64_t m = std::min(kBlock, channels - c0);
        widen(k, s.at(p.g, p.o0 + o, tap, p.begin + c0), row, m);
        for (int64_t c = 0; c < m; ++c) dst[(c0 + c) * p.width + o] = row[c];
      }
  }
}

/// One tap of a panel: dst[c][width], zero beyond n outputs.
template <class S, class T>
void pack_tap(const ConvKernels& k, const Source<S>& s, const PanelPart& p, int64_t tap, T* dst) {
  if (p.n < p.width) std::memset(dst, 0, static_cast<size_t>((p.end - p.begin) * p.width) * sizeof(T));
  pack_rows(k, s, p, tap, dst);
}

/// One tap of a panel of merged groups, the p.g-th of so many: their blocks of weights along a diagonal of zeros.
template <class S, class T>
void pack_merged_tap(const ConvKernels& k, const Source<S>& s, const PanelPart& p, int64_t groups, int64_t tap,
                     T* dst) {
  const int64_t c = s.q.c, o = s.q.o;
  std::memset(dst, 0, static_cast<size_t>(groups * c * p.width) * sizeof(T));
  for (int64_t i = 0; i < groups; ++i)
    pack_rows(k, s, {p.g * groups + i, 0, o, p.width, 0, c}, tap, dst + i * (c * p.width + o));
}

/// One tap of a panel of two groups whose outputs are half a vector each: dst[group][c / 2][outputs][2].
template <class S>
void pack_halves(const ConvKernels& k, const Source<S>& s, const PanelPart& p, int64_t tap, float* dst) {
  const int64_t c = s.q.c, o = s.q.o;
  alignas(kAlignment) float rows[8 * 8];
  for (int64_t g = 2 * p.g; g < 2 * p.g + 2; ++g) {
    pack_rows(k, s, {g, 0, o, o, 0, c}, tap, rows);
    for (int64_t i = 0; i < c; i += 2, dst += p.width) k.f32.transpose(rows + i * o, o, 2, o, dst, 2);
  }
}

/// One tap of a dot panel: dst[c / segment][outputs][segment], zero where there is none. With several outputs a last
/// segment overlaps the one before: both hold half the weight of what they share.
template <class S, class T>
void pack_dot_tap(const ConvKernels& k, const Source<S>& s, const PanelPart& p, int64_t segment, int64_t tap, T* dst) {
  const int64_t c = s.q.c, steps = (c + segment - 1) / segment, shared = p.width > 1 ? steps * segment - c : 0;
  std::fill(dst, dst + steps * segment * p.width, T(0));
  for (int64_t o = 0; o < p.n; ++o) {
    const auto at = [&](int64_t step) { return dst + (step * p.width + o) * segment; };
    for (int64_t step = 0; step < steps; ++step) {
      const int64_t first = step * segment - (step + 1 < steps ? 0 : shared), n = std::min(segment, c - first);
      if (s.q.swapped)
        for (int64_t i = 0; i < n; ++i) widen(k, s.at(p.g, p.o0 + o, tap, first + i), at(step) + i, 1);
      else
        widen(k, s.at(p.g, p.o0 + o, tap, first), at(step), n);
    }
    for (int64_t i = 0; i < shared; ++i) {
      at(steps - 1)[i] *= T(0.5);
      at(steps - 2)[segment - shared + i] *= T(0.5);
    }
  }
}

/// All weights of a dot plan of several groups. A group of fewer channels than a vector is a segment, or has zeros
/// behind it.
template <class S, class T>
void pack_dot_groups(const ConvKernels& k, const Source<S>& s, int64_t segments, int64_t lanes, T* dst) {
  const int64_t c = s.q.c, o = s.q.o, outputs = s.q.groups * o, wide = 2 * segments, segment = lanes / segments;
  for (int64_t next = 0; next < outputs; next += wide) {
    const int64_t first = std::min(next, outputs - wide);
    for (int64_t t = 0; t < s.taps; ++t)
      for (int64_t c0 = 0; c0 < c; c0 += lanes)
        for (int64_t v = 0; v < 2; ++v, dst += lanes) {
          std::fill(dst, dst + lanes, T(0));
          for (int64_t i = 0; i < segments; ++i) {
            const int64_t at = first + (o == 1 ? v * segments + i : v + i * o);
            for (int64_t j = 0; j < std::min(segment, c - c0); ++j)
              widen(k, s.at(at / o, at % o, t, c0 + j), dst + i * segment + j, 1);
          }
        }
  }
}

/// One tap of a panel whose vectors hold two terms (conv_terms.inl), of which `rows` holds the weights as [c][width].
template <class T>
void pack_terms(const ConvKernels& k, const T* rows, int64_t c, int64_t width, int64_t lanes, T* dst) {
  const int64_t step = kTermsVectors * lanes, outputs = step / kTerms;
  for (; c >= kTerms; c -= kTerms, rows += kTerms * width, dst += step)
    float_kernels<T>(k).transpose(rows, width, kTerms, outputs, dst, kTerms);
  for (int64_t o = 0; c > 0 && o < outputs; ++o) std::fill_n(dst + o * kTerms, kTerms, rows[o] / T(kTerms));
}

template <class S, class T>
void pack_depthwise(const ConvKernels& k, const Source<S>& s, T* dst) {
  const int64_t groups = s.q.groups, step = round_up(groups, float_kernels<T>(k).lanes);
  for (int64_t t = 0; t < s.taps; ++t) {
    T* row = dst + t * step;
    for (int64_t g = 0; g < groups; ++g) {
      T one;
      widen(k, s.at(g, 0, t, 0), &one, 1);
      row[g] = one;
    }
    std::fill(row + groups, row + step, T(0));
  }
}

/// The first input channel of the vectors that hold `span` channels from `base` on, of so many in all: at a multiple of
/// the lanes, where loads cross no line, if that takes no vector more; and where they end within the channels.
int64_t group_inputs_at(int64_t base, int64_t span, int64_t channels, int64_t lanes) {
  const int64_t width = span <= lanes ? lanes : 2 * lanes, even = base / lanes * lanes;
  const int64_t at = base + span <= even + width ? even : base;
  return channels >= width ? std::min(at, channels - width) : at;
}

/// Every tap as its channels follow one another in an interleaved plane, again and again.
template <class S, class T>
void pack_interleaved(const ConvKernels& k, const Source<S>& s, const PlanarCut& cut, int64_t block, T* dst) {
  for (int64_t t = 0; t < s.taps; ++t, dst += cut.weight_step)
    for (int64_t i = 0; i < cut.weight_step; ++i) {
      if (i < cut.groups)
        widen(k, s.at(block * cut.groups + i, 0, t, 0), dst + i, 1);
      else
        dst[i] = dst[i - cut.groups];
    }
}

template <class S, class T>
void pack_group_block(const ConvKernels& k, const Source<S>& s, int64_t block, T* dst) {
  using I = std::conditional_t<sizeof(T) == 4, int32_t, int64_t>;
  const ConvProblem& q = s.q;
  const int64_t lanes = float_kernels<T>(k).lanes, first = block * lanes, total = q.groups * q.o;
  const int64_t used = first / q.o * q.c, end = (std::min(first + lanes - 1, total - 1) / q.o + 1) * q.c;
  const int64_t base = group_inputs_at(used, end - used, q.groups * q.c, lanes);
  I* header = reinterpret_cast<I*>(dst);
  I* index = header + lanes;
  T* w = dst + (1 + q.c) * lanes;
  std::fill(header, header + lanes, I(0));
  header[0] = static_cast<I>(base);
  header[1] = static_cast<I>(end - base);
  for (int64_t c = 0; c < q.c; ++c)
    for (int64_t l = 0; l < lanes; ++l) {
      const int64_t ch = first + l, g = ch / q.o;
      const bool in = ch < total;
      index[c * lanes + l] = in ? static_cast<I>(g * q.c + c - base) : I(0);
      for (int64_t t = 0; t < s.taps; ++t) {
        T& to = w[(t * q.c + c) * lanes + l];
        to = 0;
        if (in) widen(k, s.at(g, ch % q.o, t, c), &to, 1);
      }
    }
}

/// Diagonals of the groups of a panel (conv_diagonal.h).
template <class S, class T>
void pack_diagonals(const ConvKernels& k, const Source<S>& s, int64_t first, int64_t groups, int64_t lanes, T* dst) {
  const ConvProblem& q = s.q;
  for (int64_t t = 0; t < s.taps; ++t)
    for (int64_t d = 0; d < q.c; ++d, dst += lanes) {
      std::fill(dst, dst + lanes, T(0));
      for (int64_t g = first; g < std::min(first + groups, q.groups); ++g)
        for (int64_t i = 0; i < q.c; ++i) widen(k, s.at(g, (i + d) % q.c, t, i), dst + (g - first) * q.c + i, 1);
    }
}

/// The tap of the weights that a transform has at tap `i` of its own in a phase, for one of those that are summed; -1
/// where there are fewer.
int64_t winograd_tap(const ConvProblem& q, const WinogradGeometry& w, int64_t phase, int64_t summed, int64_t i) {
  const int64_t taps[3] = {w.taps_along(0), w.taps_along(1), w.taps_along(2)};
  const int64_t at[3] = {i / (taps[1] * taps[2]), i / taps[2] % taps[1], i % taps[2]};
  int64_t tap = 0;
  for (int x = 0; x < 3; ++x) {
    int64_t t = x == w.slide ? summed / w.filter_parts() : at[x];
    if (w.axis[x].parts > 1) {
      t = w.tap_along(x, summed % w.filter_parts(), t);
      if (t >= q.kernel[x]) t = -1;
    }
    if (q.in_dilation[x] > 1) {
      const AxisPhases phases(q, x);
      const AxisPhase ph = phases.phase(w.phase_along(x, phase));
      t = t < ph.n_taps ? ph.taps[t].k : -1;
    }
    tap = t < 0 || tap < 0 ? -1 : tap * q.kernel[x] + t;
  }
  return tap;
}

/// A panel of transformed weights [phase][frequency][summed tap][c][width] (of winograd_terms as pack_halves has a
/// tap): the taps of each phase as a direct panel has them, zero where it has fewer, then transformed; few channels at
/// a time, into rows that share no cache sets: the frequencies of a panel do, and stores to all of them at once took
/// ten times as long. Its group counts merged groups, whose channels are its own; those go as a whole.
template <class S, class T>
void pack_winograd_panel(const CpuPlan& plan, const Source<S>& s, PanelPart p, T* dst) {
  if constexpr (std::is_same_v<T, float>) {
    const ConvKernels& k = table_for(plan.isa).conv;
    const ConvProblem& q = s.q;
    const WinogradGeometry& w = plan.winograd;
    const ConvProblem units = winograd_units(q, plan.lanes);
    const int64_t merged = q.groups / units.groups, terms = winograd_terms(q, plan.lanes);
    const int64_t elems = units.c / terms * p.width, summed_taps = w.summed_taps(q);
    const int64_t n_taps = w.taps_along(0) * w.taps_along(1) * w.taps_along(2);
    const int64_t at_once = merged > 1 ? units.c : std::min(units.c, kTransformed);
    const auto& kernels = k.winograd[w.points == 6][w.axes == 2][w.taps];
    const int64_t most = at_once * p.width, row = most + plan.lanes;
    const Scratch scratch(static_cast<size_t>(most * n_taps + row * w.frequencies()) * sizeof(float));
    float* const u = scratch.as<float>() + most * n_taps;
    for (int64_t phase = 0; phase < w.phases(); ++phase) {
      for (int64_t summed = 0; summed < summed_taps; ++summed) {
        ScratchVec<int64_t, 9> taps;
        for (int64_t i = 0; i < n_taps; ++i) taps.push_back(winograd_tap(q, w, phase, summed, i));
        for (p.begin = 0; p.begin < units.c; p.begin = p.end) {
          p.end = std::min(units.c, p.begin + at_once);
          const int64_t part = (p.end - p.begin) / terms * p.width;
          float* to = scratch.as<float>();
          for (const int64_t tap : taps) {
            if (tap < 0)
              std::memset(to, 0, static_cast<size_t>(part) * sizeof(float));
            else if (terms == 2)
              pack_halves(k, s, p, tap, to);
            else if (merged > 1)
              pack_merged_tap(k, s, p, merged, tap, to);
            else
              pack_tap(k, s, p, tap, to);
            to += part;
          }
          kernels.filter({scratch.as<float>(), part, u, row, part});
          for (int64_t f = 0; f < w.frequencies(); ++f)
            std::memcpy(dst + (f * summed_taps + summed) * elems + p.begin * p.width, u + f * row,
                        static_cast<size_t>(part) * sizeof(float));
        }
      }
      dst += w.frequencies() * summed_taps * elems;
    }
  }
}

/// A run of two or more values that begins with a tap: dst[pair][width][2], zero beyond n outputs.
void pack_pairs(const ConvKernels& k, const Source<BFloat16>& s, int64_t g, int64_t o0, int64_t n, int64_t tap,
                int64_t run, int64_t width, BFloat16* dst) {
  const int64_t c = s.q.c, pairs = run / 2;
  const auto at = [&](int64_t o, int64_t i) { return s.at(g, o0 + o, tap + i / c, i % c); };
  if (n < width)
    std::memset(static_cast<void*>(dst), 0, static_cast<size_t>(round_up(run, 2) * width) * sizeof(BFloat16));
  if (s.q.swapped) {
    for (int64_t p = 0; p < pairs; ++p) k.pairs->interleave(at(0, 2 * p), at(0, 2 * p + 1), dst + p * 2 * width, n);
  } else if (run == c && c % 2 == 0 && reinterpret_cast<uintptr_t>(at(0, 0)) % sizeof(float) == 0) {
    for (int64_t o = 0, m; o < n; o += m) {
      m = s.even(o0 + o, n - o);
      k.f32.transpose(reinterpret_cast<const float*>(at(o, 0)), s.o_step() / 2, m, pairs,
                      reinterpret_cast<float*>(dst) + o, width);  // which moves bits
    }
  } else {
    for (int64_t i = 0; i < 2 * pairs; ++i)
      for (int64_t o = 0; o < n; ++o) dst[(i / 2 * width + o) * 2 + i % 2] = *at(o, i);
  }
  if (run % 2 == 0) return;
  BFloat16* last = dst + pairs * 2 * width;
  for (int64_t o = 0; o < n; ++o, last += 2) {
    last[0] = last[1 - 2 * width] = BFloat16(0.5f * static_cast<float>(*at(o, run - 2)));
    last[1] = *at(o, run - 1);
  }
}

/// The panels of the matrix unit, by way of float32.
template <class S>
void pack_amx_panel(const CpuPlan& plan, const Source<S>& s, const PanelPart& p, BFloat16* dst) {
  const ConvKernels& k = table_for(plan.isa).conv;
  const AmxCut& cut = plan.amx;
  const int64_t at_once = cut.merged ? s.q.kernel[2] : 1, merged = s.q.groups / amx_units(s.q).groups;
  const Scratch rows(static_cast<size_t>(cut.run * p.width) * sizeof(float));
  for (int64_t t = 0; t < s.taps; t += at_once, dst += cut.values() * cut.parts * p.width) {
    for (int64_t i = 0; i < at_once; ++i) {
      float* const to = rows.as<float>() + i * p.end * p.width;
      merged > 1 ? pack_merged_tap(k, s, p, merged, t + i, to) : pack_tap(k, s, p, t + i, to);
    }
    k.amx->pack({rows.as<float>(), cut.run, p.width, cut.steps, cut.depth, cut.parts, dst});
  }
}

template <class S, class T>
void pack_panel(const CpuPlan& plan, const PackedLayout& layout, const Source<S>& s, int64_t panel, T* dst) {
  const ConvKernels& k = table_for(plan.isa).conv;
  if (plan.algorithm == ConvAlgorithm::depthwise) return pack_depthwise(k, s, dst);
  if (plan.algorithm == ConvAlgorithm::grouped) return pack_group_block(k, s, panel, dst);
  if (plan.algorithm == ConvAlgorithm::diagonal)
    return pack_diagonals(k, s, plan.diagonal.groups * panel, plan.diagonal.groups, plan.lanes, dst);
  if (plan.algorithm == ConvAlgorithm::planar && is_interleaved(s.q))
    return pack_interleaved(k, s, plan.planar, panel, dst);
  const int64_t g = panel / layout.per_group, o0 = panel % layout.per_group * layout.nr, width = layout.width(panel);
  if (is_winograd(plan.algorithm)) {
    const ConvProblem units = winograd_units(s.q, plan.lanes);
    return pack_winograd_panel(plan, s, {g, o0, std::min(width, units.o - o0), width, 0, units.c}, dst);
  }
  if constexpr (!std::is_same_v<S, double>)
    if (is_amx(plan.algorithm)) {
      const ConvProblem units = amx_units(s.q);
      const PanelPart part{g, o0, std::min(width, units.o - o0), width, 0, units.c};
      return pack_amx_panel(plan, s, part, reinterpret_cast<BFloat16*>(dst));
    }
  const int64_t n = std::min(width, s.q.o - o0);
  const PanelPart part{g, o0, n, width, 0, s.q.c};
  if (has_terms(plan)) {
    const Scratch rows(static_cast<size_t>(s.q.c * width) * sizeof(T));
    for (int64_t t = 0; t < s.taps; ++t, dst += terms_tap_elems(plan)) {
      pack_tap(k, s, part, t, rows.as<T>());
      pack_terms(k, rows.as<T>(), s.q.c, width, plan.lanes, dst);
    }
    return;
  }
  if (dot_segments(plan) > 0) return pack_dot_groups(k, s, dot_segments(plan), plan.lanes, dst);
  if (plan.algorithm == ConvAlgorithm::dot) {
    const DotForm f = dot_form(plan);
    const PanelPart dots{g, o0, n, f.outputs(), 0, s.q.c};
    const int64_t tap = dot_tap_elems(f, s.q.c, plan.lanes), segment = dot_channels(f, plan.lanes);
    for (int64_t t = 0; t < s.taps; ++t) pack_dot_tap(k, s, dots, segment, t, dst + t * tap);
    return;
  }
  if constexpr (std::is_same_v<S, BFloat16>) {
    if (is_pairs(plan.algorithm)) {
      const int64_t at_once = is_merged(plan.algorithm) ? s.q.kernel[2] : 1, run = at_once * s.q.c;
      BFloat16* to = reinterpret_cast<BFloat16*>(dst);
      for (int64_t t = 0; t < s.taps; t += at_once, to += round_up(run, 2) * width)
        pack_pairs(k, s, g, o0, n, t, run, width, to);
      return;
    }
  }
  for (int64_t t = 0; t < s.taps; ++t) pack_tap(k, s, part, t, dst + t * s.q.c * width);
}

}  // namespace

template <class S>
void pack_panels(const CpuPlan& plan, const S* w, int64_t begin, int64_t end, void* packed) {
  using T = Compute<S>;
  const PackedLayout layout(plan);
  const ConvProblem q = packed_problem(plan);
  const Source<S> source(q, w);
  const int64_t base = layout.offset(begin);
  const size_t element = packed_element_bytes(plan);
  // 16 flops stand for the load, shuffle and store of one weight.
  const double flops = 16.0 * static_cast<double>(end - begin) * static_cast<double>(layout.full_elems);
  parallel_for(end - begin, grain_of(end - begin, flops), [&](int64_t b, int64_t e) {
    for (int64_t p = begin + b; p < begin + e; ++p)
      pack_panel<S, T>(
          plan, layout, source, p,
          reinterpret_cast<T*>(static_cast<char*>(packed) + static_cast<size_t>(layout.offset(p) - base) * element));
  });
}

template void pack_panels(const CpuPlan&, const float*, int64_t, int64_t, void*);
template void pack_panels(const CpuPlan&, const double*, int64_t, int64_t, void*);
template void pack_panels(const CpuPlan&, const Float16*, int64_t, int64_t, void*);
template void pack_panels(const CpuPlan&, const BFloat16*, int64_t, int64_t, void*);

size_t widened_weight_bytes(const CpuPlan& plan) {
  const ConvProblem& q = plan.problem;
  return is_half(q.dtype) ? static_cast<size_t>(q.groups * q.o * taps_of(q) * q.c) * sizeof(float) : 0;
}

const void* widen_weights(const CpuPlan& plan, const void* w, float* to) {
  const size_t bytes = widened_weight_bytes(plan);
  if (bytes == 0) return w;
  widen(table_for(plan.isa).conv, plan.problem.dtype, static_cast<const AnyHalf*>(w), to,
        static_cast<int64_t>(bytes / sizeof(float)));
  return to;
}

void pack_conv_weights(const CpuPlan& plan, const void* w, void* packed) {
  if (plan.algorithm == ConvAlgorithm::empty) return;
  if (plan.algorithm == ConvAlgorithm::fft) {
    const Scratch wide(widened_weight_bytes(plan));
    return pack_fft_weights(plan, widen_weights(plan, w, wide.as<float>()), packed);
  }
  visit_float(plan.problem.dtype,
              [&]<class S>() { pack_panels(plan, static_cast<const S*>(w), 0, PackedLayout(plan).panels(), packed); });
}

}  // namespace nhwc
