// csrc/kernels/conv_kernels.h -- the micro-kernels of a convolution: what goes in, and the table of them
// T is the compute type, float or double; half types are widened before and narrowed after.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "base/half.h"
#include "kernels/conv_amx.h"
#include "kernels/conv_diagonal.h"
#include "kernels/fft.h"
#include "plan/conv_dot.h"
#include "plan/conv_planar.h"
#include "plan/conv_problem.h"
#include "plan/conv_tiles.h"

namespace nhwc {

/// What values of T are summed in: bfloat16 as the kernels for pairs of it read it in place, in float32.
template <class T>
constexpr bool kPairs = std::is_same_v<T, BFloat16>;
template <class T>
using Sum = std::conditional_t<kPairs<T>, float, T>;

/// y[m][y_offset + 0..n) = clamp(sum over taps and k of a[tap][m][a_offset + k] * w[tap_ids[tap] * w_tap + k * w_step
/// ..]
/// (+ y) (+ bias) (+ what lies `residual` behind y)), for mr pixels. The weights of a k are one or two whole vectors,
/// readable beyond n; with two terms side by side those of two k are three (conv_pack.h). NaN passes the clamp. Even
/// tiles have pixels at fixed steps: a[tap] + m * a_step, y[0] + m * y_step; `tiles` of them follow one another.
template <class T>
struct DirectTile {
  const T* const* a;       // [tap][mr]; even: [tap]
  const int64_t* tap_ids;  // [tap]: the kernel taps that these rows of `a` belong to
  int64_t taps, k, a_offset;
  const T* w;
  int64_t w_tap, w_step;
  Sum<T>* const* y;  // [mr]; even: one
  int64_t y_offset;
  const Sum<T>* bias;  // n values, or nullptr
  Sum<T> lo, hi;
  int n;
  bool add, clamp = true;
  int64_t a_step = 0, y_step = 0, tiles = 1;  // of even tiles
  int64_t k_step = 1;                         // of even tiles: from the pixel's value of one k to that of the next
  int64_t ahead = 0;                          // where not 0: from each of their pixels to one that is asked for
  bool prefetch_y = false;                    // y of the tile after the next
  bool weights_far = true;                    // and asked for; small tiles always do, those of one vector or four never
  int64_t residual = 0;
};

/// From a pixel to the one that is asked for where the next tile is `tile` further. Short pixels of one tap pass while
/// memory answers; of several taps most are in a cache.
template <class T>
int64_t ahead_of_tile(int64_t taps, int64_t tile) {
  return taps == 1 ? std::max<int64_t>(tile, 4096 / sizeof(T)) : tile;
}

/// The same for bfloat16, of one tap at least: the weights of a pair of neighbours are neighbours, 2 * w_step from
/// those of the next pair. The last pair of an odd k overlaps the one before: both hold half the weight of the value
/// that they share, which may lie before a_offset. y_offset is 0.
struct PairTile : DirectTile<BFloat16> {
  BFloat16* const* narrow;  // as y: where the result goes instead, or nullptr; several even tiles have it
  int64_t narrow_offset, narrow_step;
};

/// y[m][y_offset + j] = clamp(sum over taps and k of a[tap][m][a_offset + k] * w[tap_ids[tap] * w_tap + j * w_step + k]
/// + bias) for the outputs j of the kernel; weights are zero from k up to a whole vector. bias holds a number for each
/// (m, j), in whole vectors: -0 where there is none. Even tiles as above. Several outputs have one of kDotForms: the
/// weights of a tap are [k / segment, rounded up][outputs][segment], and the bias has any vector of its numbers; k is a
/// segment at least, a last one overlaps the one before. A table of fewer pixels than the tile has other pointers
/// behind it. Several groups (dot_segments): n outputs of all of them, two vectors of weights at a time,
/// [two vectors][tap][k / lanes, rounded up][2][lanes], w_step from two to the next, the last of which overlap those
/// before; bias may be nullptr; any mr and tiles, even where y_step is not 0.
template <class T>
struct DotTile {
  const T* const* a;
  const int64_t* tap_ids;
  int64_t taps, k, a_offset;
  const T* w;
  int64_t w_tap, w_step;
  T* const* y;
  int64_t y_offset;
  const T* bias;
  T lo, hi;
  int64_t a_step = 0, y_step = 0, tiles = 1;  // of even tiles
  bool prefetch = false;                      // the pixels of the next of them
  int n = 0, mr = 0;                          // segments: outputs that are there, pixels
  int outputs = 0;                            // of several groups: of each
};

/// y[i * outputs + j] = clamp(sum over k of x[i * step + k] * w[k / lanes][j][k % lanes] + bias) for n pixels i,
/// kMaxTilePixels at least, of the half type that the kernel is for. Of several outputs the last vector of channels
/// overlaps the one before; both hold half the weight of what they share. bias as above.
struct PixelDots {
  const void* x;
  int64_t step, n, k;
  const float* w;
  void* y;
  const float* bias;
  float lo, hi;
};

/// y[j * y_step + i] = sum over terms of x[term.x + i] * w[term.w * outputs + j] for the outputs j of the kernel and
/// all lanes i of `vectors`; reads and writes up to kPlanarSlack vectors more.
/// Interleaved, one output: weights w[term.w * w_step + i], of which `period` vectors repeat.
template <class T>
struct PlanarTile {
  const T* x;
  const PlanarTerm* terms;
  int64_t n_terms;
  const T* w;
  T* y;
  int64_t y_step, vectors;
  int64_t w_step = 0, period = 0;
};

/// y[j * y_step + i] = clamp(x[j * x_step + i] + bias[i]) for j < count, i < n, where `period` vectors of bias repeat.
/// Inputs `ahead` of those are asked for, where that is not 0.
template <class T>
struct RowPass {
  const T* x;
  int64_t x_step;
  T* y;
  int64_t y_step, count, n;
  const T* bias;
  int64_t period;
  T lo, hi;
  int64_t ahead = 0;
};

/// planes[c * plane_step + i] = x[i * pixel_step + c] for i < n and c < channels, at most a vector; overwrites up to a
/// whole vector where n is less. Backwards with clamp(+ bias), where n outputs exactly are written. Pixels `ahead` of
/// those are asked for, where that is not 0.
template <class T>
struct PlaneBlock {
  T* planes;
  int64_t plane_step;
  T* pixels;
  int64_t pixel_step, n;
  int channels;
  const T* bias;
  T lo, hi;
  int64_t ahead;
};

/// y[j * n + i] = clamp(sum over sources s of x[s][j * step + i], where i < values[s], + bias[i]) for j < count, i < n.
/// Reads, and writes behind the last, up to a whole vector more.
template <class T>
struct ProductSum {
  const T* const* x;
  const int64_t* values;
  int64_t sources, step;
  T* y;
  int64_t n, count;
  const T* bias;  // whole vectors
  T lo, hi;
};

/// A tile of pixels x all channels n. depthwise: y[m][ch] = sum over taps of a[tap][m][ch] * w[tap * w_step + ch].
/// grouped: w is the packed blocks (see conv_pack.cpp), n counts output channels and channels_in input channels.
template <class T>
struct ChannelTile {
  const T* const* a;       // [tap][mr]
  const int64_t* tap_ids;  // [tap]: the kernel taps that these rows of `a` belong to
  int64_t taps;
  const T* w;
  int64_t w_step;
  T* const* y;
  const T* bias;
  T lo, hi;
  int64_t n, channels_in, c, kernel;  // grouped: c input channels per group, kernel taps in all
};

/// Taps of a kernel row that go together: a segment of as many adjacent ones as the kernel has columns, or a single
/// one.
struct DepthwisePiece {
  int64_t x, w;     // from column 0 of a row to the first column, from the weights of a row to the first
  uint32_t inside;  // a bit for each column (of a single tap: pixel) of the tile that is in the input; no other is read
};

/// `pixels` outputs of one row: the sum over `depths` x `rows` kernel rows, and over the pieces of each, segments
/// before single taps. x: column 0 of the first of them, which may be outside. x and y are of the type that the kernel
/// is for, steps in elements of it; half types need a whole vector of channels, and go on from no sums.
template <class T>
struct DepthwiseRow {
  const void* x;
  const T* w;
  int64_t depths, rows, x_depth, x_row, w_depth, w_row;
  const DepthwisePiece* pieces;
  int64_t segments, singles;
  int64_t x_step, pixel_step, w_step;
  void* y;
  int64_t y_step;
  const T* bias;
  T lo, hi;
  int pixels;
  // The first of so many input rows of the next outputs, which are asked for; at every depth: of the vector of channels
  // at ch the vectors at ch * ahead_vector + ahead_step * j.
  const void* ahead;
  int64_t ahead_rows, ahead_columns, ahead_row, ahead_vector, ahead_step;
  bool adds;            // the sums go on from those at y: kernels of stride 2 alone
  bool stream = false;  // y goes past the caches; every vector of it is a whole line
};

/// One output pixel, channels [0, n): y = clamp(sum over depths x rows x columns of x * w + bias). A run of channels of
/// each input is read at a time.
template <class T>
struct DepthwisePixel {
  const T *x, *w;
  int64_t depths, rows, columns, x_depth, x_row, x_column, w_depth, w_row, w_column, n;
  T* y;
  const T* bias;
  T lo, hi;
  bool stream;  // y goes past the caches; every vector of it is a whole line
};

/// A strip of up to kWalkPixels outputs of a 3x3 kernel, going down: every input is read once for the three rows of
/// outputs that it meets; the same in several slices of the input, x_slice apart, with the nine weights of each. x:
/// column 0 of the first input row, which may lie outside as columns beyond [first, last) and rows beyond [top, bottom)
/// do; those are not read. x and y are of the type that the kernel is for, steps in elements of it.
struct DepthwiseWalk {
  const void* x;
  int64_t x_step, x_row, x_slice, slices, top, bottom;
  int64_t ahead;  // this far from every input another is asked for; 0 for none
  int first, last, pixels;
  const float* w;
  int64_t w_step;
  void* y;
  int64_t y_step, y_row, rows;
  const float* bias;
  float lo, hi;
  bool stream = false;  // y goes past the caches; every vector of it is a whole line
};
inline constexpr int kWalkPixels = 7;  // three rows of sums and nine weights fill 32 registers

/// Row kernels of the list in conv_depthwise.inc, for tiles of depthwise_pixels; nullptr where this instruction set has
/// none. They compute channels [begin, end).
template <class T>
struct DepthwiseRowKernels {
  int columns, stride;
  void (*half[2][2])(const DepthwiseRow<T>&, int64_t begin, int64_t end);  // float16, bfloat16; not all have one
  void (*run[2])(const DepthwiseRow<T>&, int64_t begin, int64_t end);
};
#define NHWC_DEPTHWISE(columns, stride, isa) +1
inline constexpr int kDepthwiseRows = 0
#include "plan/conv_depthwise.inc"
    ;
#undef NHWC_DEPTHWISE

/// Pixels that follow one another: a and b advance by fixed steps.
template <class T>
struct PixelRun {
  const T* a;
  const T* b;
  int64_t n;
};

/// acc[m][0..nr) += sum over the pixels of all runs of a[a_offset + m] * b[b_offset + 0..nr), for m in [0, mr).
template <class T>
struct GradTile {
  const PixelRun<T>* runs;
  int64_t n_runs, a_step, b_step, a_offset, b_offset;
  T* acc;
  int64_t acc_step;
};

/// Copies pixels, cut into pieces: piece i of [begin, end) is dst + (i - begin) * dst_piece, a row of `width` per
/// pixel, and begins with channel i * cut / pieces; zero beyond channel n. width is a multiple of the lanes.
template <class T>
struct GradPack {
  const T* src;
  int64_t src_step, pixels, n, cut, pieces, begin, end, width;
  T* dst;
  int64_t dst_piece;
};

/// acc[tap * acc_tap + 0..n) += sum over the pixels of a[tap * a_tap + 0..n) * b[0..n), for up to kGradTaps taps.
/// grouped: acc[ci][lane] += a[index[ci][lane]] * b[lane] for one vector of n output channels; a may be read on `a_n`
/// lanes.
template <class T>
struct ChannelGrad {
  const PixelRun<T>* runs;
  int64_t n_runs, a_step, b_step;
  T* acc;
  int64_t a_tap, acc_tap;
  int n, a_n;
  const void* index;  // [c][lanes] integers as wide as T
};
inline constexpr int kGradVectors = 4;  // of channels in a panel of a depthwise weight gradient
inline constexpr int kGradTaps = 4;
inline constexpr int kGradChannels = 8;  // input channels of a grouped weight gradient held in registers

/// One tile of a Winograd convolution; frequencies are v_step (m_step, u_step) elements apart.
/// v[f] = transform of the P (or P x P) input pixels x, n channels from x_offset on; whole vectors, v_vector apart.
template <class T>
struct WinogradInput {
  const T* const* x;
  int64_t x_offset;
  T* v;
  int64_t v_step, v_vector, n;
};
/// The same for inputs of few channels with a stride: the vector of input i, j of the tile is put together from `parts`
/// runs of n elements, x_part apart, from x + i * x_row + j * x_column on.
template <class T>
struct WinogradGather {
  const T* x;
  int64_t x_row, x_column, x_part;
  int parts, n;
  T* v;
  int64_t v_step;
};
/// The products of `frequencies`, for mr tiles: m[f][tile] = sum over taps and k of v[f][at[tap]][k][tile] *
/// u[f][ids[tap]][k], one or two vectors of outputs; winograd_halves: two groups, as pack_halves has them. In v a
/// vector of channels of one tile follows that of the tile before; a tap begins `at` elements behind the first,
/// v_vector and v_step are from one vector of channels and frequency to the next. An even number of tiles is read and
/// written.
template <class T>
struct WinogradProduct {
  const T* v;
  int64_t v_vector, v_step;
  const int64_t* at;
  const int64_t* ids;
  int64_t taps, k;
  const T* u;
  int64_t u_tap, u_step;
  T* m;
  int64_t m_step;
  int frequencies;
  const T* next = nullptr;  // two vectors: weights that a later product reads, asked for in steps of next_step
  int64_t next_step = 0;
};
/// y[i][j][0..n) = clamp(transform of the products m + bias (+ what lies `residual` behind y)) for i < rows, j <
/// columns. Sets not_finite where a sum is not.
template <class T>
struct WinogradOutput {
  const T* m;
  int64_t m_step;
  T* y;
  int64_t y_row, y_column;
  int rows, columns, n;
  const T* bias;
  T lo, hi;
  int64_t residual;
  bool stream = false;  // y goes past the caches; every vector of it is a whole line
  bool* not_finite;
};
/// u[f][e] = transform of w[tap][e], taps w_step apart, for e < n, a multiple of the lanes.
template <class T>
struct WinogradFilter {
  const T* w;
  int64_t w_step;
  T* u;
  int64_t u_step, n;
};
/// w[tap][0..n) = transform of the sums m, of `parts` that are added in order, taps w_step apart. Sets not_finite where
/// one is not.
template <class T>
struct WinogradGradOutput {
  const T* m;
  int64_t m_step, parts, part_step;
  T* w;
  int64_t w_step;
  int n;
  bool* not_finite;
};
/// Of a weight gradient with six points and three taps along one or two axes, beside the input transform: outputs'
/// gradients x (as many as a tile has outputs) -> v, and sums -> the gradient.
template <class T>
struct WinogradGradKernels {
  void (*outputs)(const WinogradInput<T>&);
  void (*sums)(const WinogradGradOutput<T>&);
};
inline constexpr int kMaxWinogradTaps = 5;
/// The kernels of one number of points and taps along one or two axes.
template <class T>
struct WinogradKernels {
  void (*input)(const WinogradInput<T>&);
  void (*gather)(const WinogradGather<T>&);
  void (*output)(const WinogradOutput<T>&);
  void (*filter)(const WinogradFilter<T>&);
};

template <class T>
struct FloatKernels {
  int lanes;
  void (*direct[3][kMaxTilePixels + 1])(const DirectTile<T>&);               // [vectors - 1][mr]
  void (*even[kMostTileVectors][kMaxTilePixels + 1])(const DirectTile<T>&);  // nullptr where there is none
  /// Even tiles of two vectors whose outputs go past the caches: the largest ones alone, as what is large has them.
  void (*streaming[kMaxTilePixels + 1])(const DirectTile<T>&);
  /// Where has_terms: [even][mr]; tables for even numbers of pixels, even tiles of kLeastEvenTermsRows and more.
  void (*terms[2][kTermsRows + 1])(const DirectTile<T>&);
  void (*dot[kMaxTilePixels + 1])(const DotTile<T>&);  // of one output, for even numbers of pixels
  void (*even_dot[kMaxTilePixels + 1])(const DotTile<T>&);
  /// Of kDotForms, nullptr where there is none: tables of half a tile and less, tables, even tiles.
  void (*segments[3][kDotFormCount])(const DotTile<T>&);
  void (*dot_groups[kDotSegments + 1])(const DotTile<T>&);       // [segments], or nullptr
  void (*pixel_dots[2][kDotOutputs + 1])(const PixelDots&);      // float16, bfloat16: [outputs], or nullptr
  void (*depthwise[kMaxTilePixels + 1])(const ChannelTile<T>&);  // for even numbers of pixels
  void (*depthwise_pixel)(const DepthwisePixel<T>&);
  DepthwiseRowKernels<T> depthwise_rows[kDepthwiseRows];
  /// For float32, float16, bfloat16; nullptr: too few registers.
  void (*depthwise_walk[3])(const DepthwiseWalk&, int64_t begin, int64_t end);
  int depthwise_pixels[2];  // outputs of a row kernel: of a whole tile, and of a small one or 0
  void (*grouped[kMaxTilePixels + 1])(const ChannelTile<T>&);
  void (*planar[kPlanarOutputs + 1])(const PlanarTile<T>&);  // [outputs]
  void (*interleaved)(const PlanarTile<T>&);
  void (*pass)(const RowPass<T>&);
  void (*to_planes)(const PlaneBlock<T>&);
  void (*from_planes)(const PlaneBlock<T>&);
  void (*grad[2][kMaxTilePixels + 1])(const GradTile<T>&);  // [vectors - 1][mr]
  void (*gather)(const ProductSum<T>&);
  void (*grad_pack)(const GradPack<T>&);
  void (*depthwise_grad[kGradTaps + 1])(const ChannelGrad<T>&);    // [taps]
  void (*grouped_grad[kGradChannels + 1])(const ChannelGrad<T>&);  // [input channels]
  /// Before others may read what was streamed.
  void (*end_streams)();
  /// y[i] += x[i]
  void (*add)(const T* x, T* y, int64_t n);
  /// dst[i] = activation(src[i])
  void (*activate)(const T* src, T* dst, int64_t n, Activation f);
  /// dst[j * dst_step + i] = src[i * src_step + j] for i < rows, j < cols
  void (*transpose)(const T* src, int64_t src_step, int64_t rows, int64_t cols, T* dst, int64_t dst_step);
};

/// For pairs of bfloat16; the lanes are those of float32.
struct PairKernels {
  void (*direct[2][kMaxTilePixels + 1])(const PairTile&);  // [vectors - 1][mr]
  void (*even[2][kMaxTilePixels + 1])(const PairTile&);    // nullptr where there is none
  /// to[2 * i] = even[i], to[2 * i + 1] = odd[i] for i < n
  void (*interleave)(const BFloat16* even, const BFloat16* odd, BFloat16* to, int64_t n);
  void (*narrow)(const float* src, BFloat16* dst, int64_t n);  // the same bits as narrow_bf16, sooner
  void (*depthwise_walk)(const DepthwiseWalk&, int64_t begin, int64_t end);
  void (*depthwise_rows[kDepthwiseRows][2])(const DepthwiseRow<float>&, int64_t begin, int64_t end);
};

struct ConvKernels {
  FloatKernels<float> f32;
  FloatKernels<double> f64;
  WinogradKernels<float> winograd[2][2][kMaxWinogradTaps + 1];  // [six points, not four][two axes][taps]
  WinogradGradKernels<float> winograd_grad[2];                  // [two axes]
  void (*winograd_product[2][kMostWinogradRows + 1])(const WinogradProduct<float>&);  // [vectors - 1][mr]
  void (*winograd_halves[kMaxTilePixels + 1])(const WinogradProduct<float>&);         // [mr], of winograd_terms
  DiagonalKernels diagonal;
  FftKernels fft;
  void (*widen_f16)(const Float16* src, float* dst, int64_t n);
  void (*widen_bf16)(const BFloat16* src, float* dst, int64_t n);
  void (*narrow_f16)(const float* src, Float16* dst, int64_t n);
  void (*narrow_bf16)(const float* src, BFloat16* dst, int64_t n);
  const PairKernels* pairs;  // where bf16_dot() may hold, else nullptr
  const AmxKernels* amx;     // where amx() may hold, else nullptr
};

}  // namespace nhwc
