// metal/chain.metal -- what kernels generated from elementwise chains begin with: the host writes the rest
// (csrc/backend/metal/chain_source.cpp), and the runtime compiles both as one text
#include <metal_stdlib>

// A product is rounded before it is added, unless it says fma: a chain then gives the bits of its functions one by one.
#pragma METAL fp contract(off)

#include "common/binary.h"
#include "common/convert.h"
#include "common/index.h"

using namespace metal;
