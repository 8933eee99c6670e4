// tests/apple/standin/sdk/IOSurface/IOSurfaceRef.h -- an opaque type of headers that nothing here calls
#pragma once

typedef struct __IOSurface* IOSurfaceRef;
