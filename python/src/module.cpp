// python/src/module.cpp -- the extension module nhwc._core
#include "bind.h"

NB_MODULE(_core, m) {
  using namespace nhwc::py;
#ifdef NDEBUG
  nb::set_leak_warnings(false);  // arrays that live until the interpreter ends are no leak of ours
#endif
  m.doc() = "Channels-last convolution: arrays, operations and transformations. Use it as `import nhwc as mx`.";
  bind_errors(m);
  bind_dtype(m);
  bind_device(m);
  bind_metal(m);
  bind_array(m);
  bind_interop(m);
  bind_ops(m);
  bind_conv(m);
  bind_jax(m);
  bind_linalg(m);
  bind_fast(m);
  bind_random(m);
  bind_transforms(m);
  bind_update(m);
  bind_memory(m);
  bind_io(m);
  bind_info(m);
  bind_tune(m);
}
