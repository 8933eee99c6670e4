// csrc/backend/metal/runtime/metal_cpp.cpp -- the one place where metal-cpp's own definitions are compiled
#define NS_PRIVATE_IMPLEMENTATION
#define MTL_PRIVATE_IMPLEMENTATION
#include <Foundation/Foundation.hpp>
#include <Metal/Metal.hpp>
