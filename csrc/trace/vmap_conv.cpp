// csrc/trace/vmap_conv.cpp -- batching of convolutions: the batch is folded into images, channels or groups
#include "ops/conv.h"
#include "trace/batching.h"

namespace nhwc {
namespace {

// (batch, ..., outer * inner, ...) with outer * inner at `axis` of what follows the batch -> (..., outer * batch *
// inner, ...)
Array fold(const Array& a, int axis, int64_t outer) {
  const int64_t batch = a.shape(0), inner = a.shape(axis + 1) / outer;
  Shape split, folded;
  for (int i = 0; i < a.ndim(); ++i) {
    if (i == axis + 1) {
      split.push_back(outer);
      split.push_back(inner);
      folded.push_back(outer * batch * inner);
    } else {
      split.push_back(a.shape(i));
      if (i > 0) folded.push_back(a.shape(i));
    }
  }
  return reshape(moveaxis(reshape(a, split), 0, axis + 1), folded);
}

// The reverse of fold().
Array unfold(const Array& a, int axis, int64_t outer, int64_t batch) {
  const int64_t inner = a.shape(axis) / (outer * batch);
  Shape split, whole{batch};
  for (int i = 0; i < a.ndim(); ++i) {
    if (i == axis) {
      for (int64_t d : {outer, batch, inner}) split.push_back(d);
      whole.push_back(outer * inner);
    } else {
      split.push_back(a.shape(i));
      whole.push_back(a.shape(i));
    }
  }
  return reshape(moveaxis(reshape(a, split), axis + 1, 0), whole);
}

/// An axis into which the batch goes, and how many blocks of it stay outside of the batch; axis -1: no batch there.
struct Fold {
  int axis = -1;
  int64_t outer = 1;
};
struct Folding {
  Fold a, b, result;
};

// Both inputs depend on the batch: its elements become groups. Channels are the last axis of x and y, but the first of
// w.
Folding fold_into_groups(ConvKind kind, ConvGeometry& g, int64_t batch) {
  const int channels = g.rank + 1;
  g.groups *= batch;
  g.in_channels *= batch;
  g.out_channels *= batch;
  if (kind == ConvKind::weight_grad) return {{channels}, {channels}, {0}};
  return {{channels}, {0}, {channels}};
}

// x or gy alone, for a result with images: more images.
Folding fold_into_images(ConvGeometry& g, int64_t batch) {
  g.batch *= batch;
  return {{0}, {}, {0}};
}

// Each kind for a batch of its first input only, or of its second only. With groups, the channels of a whole tensor are
// (groups, channels of a group): the batch goes between. A weight's last axis is the channels of one group.
Folding fold_into_channels(ConvKind kind, ConvGeometry& g, int64_t batch, bool first) {
  const int channels = g.rank + 1;
  switch (kind) {
    case ConvKind::forward:  // only w: more output channels
      g.out_channels *= batch;
      return {{}, {0, g.groups}, {channels, g.groups}};
    case ConvKind::input_grad:  // only w: more input channels
      g.in_channels *= batch;
      return {{}, {channels, 1}, {channels, g.groups}};
    case ConvKind::weight_grad:
      break;
  }
  if (first) {  // only x
    g.in_channels *= batch;
    return {{channels, g.groups}, {}, {channels, 1}};
  }
  g.out_channels *= batch;  // only gy
  return {{}, {channels, g.groups}, {0, g.groups}};
}

}  // namespace

Array batch_rule(const Conv& p, const Batching& b) {
  auto g = std::make_shared<ConvGeometry>(*p.geometry);
  Folding f;
  if (b.batched(0) && b.batched(1))
    f = fold_into_groups(p.kind, *g, b.size);
  else if (b.batched(0) && p.kind != ConvKind::weight_grad)
    f = fold_into_images(*g, b.size);
  else
    f = fold_into_channels(p.kind, *g, b.size, b.batched(0));
  const Array a0 = f.a.axis < 0 ? b.in[0].a : fold(b.in[0].a, f.a.axis, f.a.outer);
  const Array a1 = f.b.axis < 0 ? b.in[1].a : fold(b.in[1].a, f.b.axis, f.b.outer);
  return unfold(conv_node(p.kind, g, a0, a1), f.result.axis, f.result.outer, b.size);
}

}  // namespace nhwc
