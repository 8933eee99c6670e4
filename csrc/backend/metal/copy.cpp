// csrc/backend/metal/copy.cpp -- elements moved between strided arrays on the GPU
#include "backend/metal/copy.h"

#include "backend/metal/run.h"

namespace nhwc::metal {
namespace {

std::string kernel_of(size_t item) {
  return item == 1 ? "copy_u8" : item == 2 ? "copy_u16" : item == 4 ? "copy_u32" : "copy_u64";
}

}  // namespace

void copy_strided(void* dst, size_t dst_bytes, const Lying& to, const void* src, size_t src_bytes, const Lying& from,
                  const Shape& shape, size_t item) {
  lay_out(shape, {from, to}, [&](const Layout& l, int64_t) {
    Launch launch("copy", kernel_of(item));
    launch.constant(0, l.wide).constant(1, false);
    launch.in(src, src_bytes).out(dst, dst_bytes).params(l.params);
    run_elements(launch, l.params.size, item);
  });
}

void copy_row_major(void* dst, const Node& x) {
  const size_t item = size_of(x.dtype);
  lay_out(x.shape, {lying(x)}, [&](const Layout& l, int64_t done) {
    Launch launch("copy", kernel_of(item));
    launch.constant(0, l.wide).constant(1, true);
    launch.in(x).out(static_cast<char*>(dst) + static_cast<size_t>(done) * item,
                     static_cast<size_t>(l.params.size) * item);
    launch.params(l.params);
    run_elements(launch, l.params.size, item);
  });
}

}  // namespace nhwc::metal
