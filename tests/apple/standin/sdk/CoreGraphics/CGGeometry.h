// tests/apple/standin/sdk/CoreGraphics/CGGeometry.h -- sizes and points of headers that nothing here calls
#pragma once

typedef double CGFloat;
struct CGSize {
  CGFloat width, height;
};
struct CGPoint {
  CGFloat x, y;
};
struct CGRect {
  struct CGPoint origin;
  struct CGSize size;
};
