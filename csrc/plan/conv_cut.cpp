// csrc/plan/conv_cut.cpp -- boxes of outputs that meet the same taps, and what their tiles take
#include "plan/conv_cut.h"

namespace nhwc {
namespace {

constexpr int64_t kMaxBoxes = 256;  // more are a large kernel on a small image: planning them would take longer
constexpr double kGain = 0.98;      // of the cycles: a cut that gains less is not worth its tables

/// The outputs [first, second) of an axis that meet a tap, of `ph`.
std::pair<int64_t, int64_t> meets(const ConvProblem& q, const AxisPhase& ph, int a, int64_t step, int64_t tap) {
  const int64_t base = ph.taps[tap].base, last = q.in[a] - 1 - base, end = ph.end();
  const int64_t from = base < 0 ? (-base + step - 1) / step : 0, to = last < 0 ? 0 : last / step + 1;
  const int64_t lo = std::clamp(from, ph.begin, end);
  return {lo, std::clamp(to, lo, end)};
}

/// The outputs from the j-th on that meet the taps that it meets: neighbours, as those of a phase go upwards.
AxisPhase run_from(const ConvProblem& q, const AxisPhase& ph, int a, int64_t step, int64_t j) {
  AxisPhase run = ph;
  int64_t end = ph.end();
  run.n_taps = 0;
  for (int64_t t = 0; t < ph.n_taps; ++t) {
    const auto [lo, hi] = meets(q, ph, a, step, t);
    if (lo > j) {
      if (lo < hi) end = std::min(end, lo);
    } else if (hi > j) {
      end = std::min(end, hi);
      if (run.n_taps++ == 0) run.taps = ph.taps + t;
    }
  }
  run.begin = j;
  run.count = end - j;
  return run;
}

template <class Visit>
void for_runs(const ConvProblem& q, const AxisPhase& ph, int a, int64_t step, Visit visit) {
  for (int64_t j = ph.begin, end = ph.end(); j < end;) {
    const AxisPhase run = run_from(q, ph, a, step, j);
    visit(run);
    j += run.count;
  }
}

/// Of the tiles along a row: the taps that one meets, and the share of those that a border cuts.
struct RowTiles {
  double taps = 0, uneven = 0;
};
RowTiles row_tiles(const ConvProblem& q, const AxisPhase& ph, int64_t step, const TileSplit& split) {
  RowTiles r;
  int64_t cut = 0, last[2] = {-1, -1};
  for (int64_t t = 0; t < ph.n_taps; ++t) {
    const auto [lo, hi] = meets(q, ph, 2, step, t);
    if (lo == hi) continue;
    r.taps += static_cast<double>(split.holder(hi - 1 - ph.begin) - split.holder(lo - ph.begin) + 1);
    const int64_t edges[] = {lo - ph.begin, hi - ph.begin};
    for (int e = 0; e < 2; ++e) {
      if (edges[e] == 0 || edges[e] == ph.count) continue;
      const int64_t tile = split.holder(edges[e]);
      if (split.holder(edges[e] - 1) == tile && tile != last[e]) last[e] = tile, ++cut;
    }
  }
  const double n = static_cast<double>(split.per_line);
  return {r.taps / n, std::min(1.0, static_cast<double>(cut) / n)};
}

}  // namespace

double mean_taps(const ConvProblem& q, const AxisPhase& ph, int a, int64_t step, double span) {
  double taps = 0;
  for (int64_t t = 0; t < ph.n_taps; ++t) {
    const auto [lo, hi] = meets(q, ph, a, step, t);
    if (lo < hi) taps += std::min(1.0, (static_cast<double>(hi - lo) + span) / static_cast<double>(ph.count));
  }
  return taps;
}

BoxWork work_of(const ConvProblem& q, const TileCosts& costs, const ConvBox& box, const int64_t (&step)[3]) {
  const AxisPhase *d = box.axis, *h = d + 1, *w = d + 2;
  const int64_t outputs = q.batch * d->count * h->count * w->count;
  if (outputs == 0) return {};
  const TileSplit split(w->count, outputs, costs.mr);
  const double n = static_cast<double>(outputs), tiles = static_cast<double>(split.tiles), size = n / tiles;
  double rows = 0, planes = 0;  // that a tile touches besides its first
  RowTiles row{0, 1};
  if (split.along_rows) {
    row = row_tiles(q, *w, step[2], split);
  } else {
    row.taps = mean_taps(q, *w, 2, step[2], size - 1);
    rows = (size - 1) / static_cast<double>(w->count);
    planes = rows / static_cast<double>(h->count);
  }
  if (!costs.even) row.uneven = 1;
  const double taps = row.taps * mean_taps(q, *h, 1, step[1], rows) * mean_taps(q, *d, 0, step[0], planes);
  const double tap = costs.even_tap + row.uneven * (costs.table_tap - costs.even_tap);
  const double panel = taps * (costs.tap * (std::max(size, costs.least) + costs.loads) + tap) + costs.tile;
  const double once = n * (costs.output + row.uneven * taps * costs.table_read);
  return {tiles * panel * costs.panels + once + costs.box, tiles, n * taps};
}

BoxWork cut_phase(const ConvProblem& q, const TileCosts& costs, const ConvBox& phase, const int64_t (&step)[3],
                  ConvBoxes& boxes) {
  const BoxWork whole = work_of(q, costs, phase, step);
  BoxWork all;
  boxes.clear();
  int64_t runs = 1;
  for (int a = 0; a < 3; ++a) {
    int64_t n = 0;
    for_runs(q, phase.axis[a], a, step[a], [&](const AxisPhase&) { ++n; });
    runs = std::min(runs, kMaxBoxes + 1) * std::min(n, kMaxBoxes + 1);
  }
  if (runs > 1 && runs <= kMaxBoxes) {
    ConvBox box = phase;
    for_runs(q, phase.axis[0], 0, step[0], [&](const AxisPhase& d) {
      box.axis[0] = d;
      for_runs(q, phase.axis[1], 1, step[1], [&](const AxisPhase& h) {
        box.axis[1] = h;
        box.axis[2] = phase.axis[2];
        const BoxWork rows = work_of(q, costs, box, step);
        const size_t first = boxes.size();
        BoxWork parts;
        for_runs(q, phase.axis[2], 2, step[2], [&](const AxisPhase& w) {
          box.axis[2] = w;
          boxes.push_back(box);
          parts += work_of(q, costs, box, step);
        });
        const bool gains = parts.cycles < kGain * rows.cycles;
        if (!gains) {
          boxes.resize(first + 1);
          boxes[first] = box;
          boxes[first].axis[2] = phase.axis[2];
        }
        all += gains ? parts : rows;
      });
    });
    if (all.cycles < kGain * whole.cycles) return all;
  }
  boxes.clear();
  boxes.push_back(phase);
  return whole;
}

ConvCut cut_conv(const ConvProblem& q, const TileCosts& costs) {
  const AxisPhases axes[3] = {{q, 0}, {q, 1}, {q, 2}};
  const int64_t step[3] = {axes[0].step, axes[1].step, axes[2].step};
  ConvCut cut;
  ConvBoxes boxes;
  for (int64_t d = 0; d < axes[0].phases(); ++d)
    for (int64_t h = 0; h < axes[1].phases(); ++h)
      for (int64_t w = 0; w < axes[2].phases(); ++w) {
        const ConvBox phase{{axes[0].phase(d), axes[1].phase(h), axes[2].phase(w)}};
        if (phase.axis[0].n_taps * phase.axis[1].n_taps * phase.axis[2].n_taps == 0)
          continue;  // filled, see conv_fill.cpp
        cut.work += cut_phase(q, costs, phase, step, boxes);
        cut.outputs += static_cast<double>(q.batch * phase.axis[0].count * phase.axis[1].count * phase.axis[2].count);
        cut.boxes += static_cast<int64_t>(boxes.size());
        ++cut.phases;
      }
  return cut;
}

}  // namespace nhwc
