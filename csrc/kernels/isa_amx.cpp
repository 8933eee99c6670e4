// csrc/kernels/isa_amx.cpp -- the kernels of the matrix unit (AMX), beside the table of avx512; reached through table.h
#if defined(__x86_64__)
#include "kernels/conv_amx.inl"

namespace nhwc {
[[gnu::cold]] void fill_amx(AmxKernels& k) {
  k.begin = begin_tiles;
  k.end = end_tiles;
  add_multiply<1>(k);
  add_multiply<3>(k);
  k.finish[0][0] = finish_amx<float, 1>;
  k.finish[0][1] = finish_amx<float, 2>;
  k.finish[1][0] = finish_amx<BFloat16, 1>;
  k.finish[1][1] = finish_amx<BFloat16, 2>;
  k.copy[0] = copy_parts;
  k.copy[1] = copy_pairs;
  k.pack = pack_amx;
}
}  // namespace nhwc
#endif
