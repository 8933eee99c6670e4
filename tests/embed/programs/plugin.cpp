// tests/embed/programs/plugin.cpp -- a shared library with a copy of nhwc in it, for a process that has another
#include <nhwc/nhwc.h>

extern "C" void plugin_set_workspace(size_t bytes) { nhwc::set_workspace_limit(bytes); }
extern "C" size_t plugin_workspace() { return nhwc::get_workspace_limit(); }
extern "C" size_t plugin_active_memory() { return nhwc::get_active_memory(); }
/// Adds up a convolution of ones: n by n pixels, 3x3, 4 channels to 2.
extern "C" double plugin_convolve(int n) {
  const nhwc::Array y = nhwc::conv2d(nhwc::ones({1, n, n, 4}), nhwc::ones({2, 3, 3, 4}));
  return nhwc::sum(y).item();
}
