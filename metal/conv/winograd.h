// metal/conv/winograd.h -- the transforms of F(4x4, 3x3): Lavin and Gray, points 0, 1, -1, 2, -2 and infinity
#pragma once

#include <metal_stdlib>

constant constexpr int kWinogradPoints = 6;   // of a tile along an axis
constant constexpr int kWinogradOutputs = 4;  // outputs of a tile along an axis

/// Each transforms one row or column: elements `step` apart.
inline void input_points(thread const float* d, thread float* v, int step) {
  const float a = d[4 * step] - 4.0f * d[2 * step], b = d[3 * step] - 4.0f * d[step];
  const float c = d[4 * step] - d[2 * step], e = 2.0f * (d[3 * step] - d[step]);
  v[0] = 4.0f * d[0] - 5.0f * d[2 * step] + d[4 * step];
  v[step] = a + b;
  v[2 * step] = a - b;
  v[3 * step] = c + e;
  v[4 * step] = c - e;
  v[5 * step] = 4.0f * d[step] - 5.0f * d[3 * step] + d[5 * step];
}

inline void weight_points(float g0, float g1, float g2, thread float* u, int step) {
  const float even = g0 + g2, far = g0 + 4.0f * g2;
  u[0] = g0 / 4.0f;
  u[step] = (even + g1) / -6.0f;
  u[2 * step] = (even - g1) / -6.0f;
  u[3 * step] = (far + 2.0f * g1) / 24.0f;
  u[4 * step] = (far - 2.0f * g1) / 24.0f;
  u[5 * step] = g2;
}

inline void output_points(thread const float* m, thread float* y, int m_step, int y_step) {
  const float a = m[m_step] + m[2 * m_step], b = m[m_step] - m[2 * m_step];
  const float c = m[3 * m_step] + m[4 * m_step], e = m[3 * m_step] - m[4 * m_step];
  y[0] = m[0] + a + c;
  y[y_step] = b + 2.0f * e;
  y[2 * y_step] = a + 4.0f * c;
  y[3 * y_step] = b + 8.0f * e + m[5 * m_step];
}
