// tests/apple/standin/sdk/CoreGraphics/CGColorSpace.h -- an opaque type of headers that nothing here calls
#pragma once

typedef struct CGColorSpace* CGColorSpaceRef;
