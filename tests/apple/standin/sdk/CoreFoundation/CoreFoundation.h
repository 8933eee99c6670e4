// tests/apple/standin/sdk/CoreFoundation/CoreFoundation.h -- the two types that metal-cpp takes from CoreFoundation
#pragma once

#include <math.h>
#include <stdint.h>

typedef double CFTimeInterval;
typedef const void* CFTypeRef;
