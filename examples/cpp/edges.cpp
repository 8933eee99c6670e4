// examples/cpp/edges.cpp -- the edges of a photograph, by one call of conv2d over plain memory
// edges photo.ppm edges.pgm
// Reads and writes binary PPM (colour) and PGM (grey) pictures, which every image program converts to and from;
// examples/cpp/photograph.py writes one.
#include <nhwc/conv_plan.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

struct Picture {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<float> values;  // (height, width, channels), 0 to 1
};

Picture read_picture(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string kind;
  Picture p;
  int most = 0;
  file >> kind >> p.width >> p.height >> most;
  file.get();  // the one character before the pixels
  p.channels = kind == "P6" ? 3 : 1;
  if (!file || (kind != "P5" && kind != "P6") || most != 255 || p.width < 1 || p.height < 1 || p.width > 1 << 15 ||
      p.height > 1 << 15)
    throw std::runtime_error(path + " is no binary PPM or PGM picture of 8 bits a value");
  std::vector<unsigned char> bytes(static_cast<size_t>(p.height * p.width * p.channels));
  if (!file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size())))
    throw std::runtime_error(path + " ends early");
  p.values.assign(bytes.begin(), bytes.end());
  for (float& v : p.values) v /= 255;
  return p;
}

void write_picture(const std::string& path, int64_t height, int64_t width, const std::vector<float>& grey) {
  std::ofstream file(path, std::ios::binary);
  file << "P5\n" << width << ' ' << height << "\n255\n";
  for (float v : grey) file.put(static_cast<char>(std::lround(std::clamp(v, 0.0f, 1.0f) * 255)));
  if (!file.flush()) throw std::runtime_error("cannot write " + path);
}

/// Sobel's two filters over the mean of the colours, as weights (2, 3, 3, channels): how the brightness changes to the
/// right and downwards.
std::vector<float> sobel(int64_t channels) {
  constexpr float kRight[3][3] = {{-1, 0, 1}, {-2, 0, 2}, {-1, 0, 1}};
  std::vector<float> w;
  for (int filter = 0; filter < 2; ++filter)
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j)
        w.insert(w.end(), static_cast<size_t>(channels),
                 (filter == 0 ? kRight[i][j] : kRight[j][i]) / static_cast<float>(channels));
  return w;
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) throw std::runtime_error("usage: edges photo.ppm edges.pgm");
  const Picture photo = read_picture(argv[1]);
  const std::vector<float> w = sobel(photo.channels);
  const nhwc::Shape output{1, photo.height, photo.width, 2};
  std::vector<float> slopes(static_cast<size_t>(photo.height * photo.width * 2));
  nhwc::conv2d(photo.values.data(), {1, photo.height, photo.width, photo.channels}, w.data(), {2, 3, 3, photo.channels},
               slopes.data(), output, {.padding = {1}});

  std::vector<float> edges(slopes.size() / 2);
  for (size_t i = 0; i < edges.size(); ++i) edges[i] = std::hypot(slopes[2 * i], slopes[2 * i + 1]);
  const float strongest = *std::max_element(edges.begin(), edges.end());
  for (float& e : edges) e /= std::max(strongest, 1e-6f);
  write_picture(argv[2], photo.height, photo.width, edges);
  std::printf("%lld x %lld pixels, strongest slope %.3f\n", static_cast<long long>(photo.width),
              static_cast<long long>(photo.height), strongest);
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
