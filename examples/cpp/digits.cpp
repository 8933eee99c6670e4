// examples/cpp/digits.cpp -- reads handwritten digits with the network that examples/train_digits.py trained
// digits digits.safetensors digits.npz
#include <nhwc/nhwc.h>

#include <cstdio>
#include <stdexcept>
#include <string>

namespace {

using nhwc::Array;

const Array& named(const nhwc::NamedArrays& arrays, const std::string& name) {
  const auto found = arrays.find(name);
  if (found == arrays.end()) throw std::runtime_error("the file has no array " + name);
  return found->second;
}

/// Logits (N, 10) of images (N, 8, 8, 1): three convolutions and a linear layer.
Array network(const nhwc::NamedArrays& params, Array x) {
  const struct {
    const char* name;
    int64_t stride;
  } layers[] = {{"conv1", 1}, {"conv2", 2}, {"conv3", 2}};
  for (const auto& layer : layers) {
    const std::string name = layer.name;
    nhwc::ConvExtras extras;
    extras.bias = named(params, name + ".b");
    extras.activation = "relu";
    x = nhwc::conv2d(x, named(params, name + ".w"), {layer.stride}, nhwc::Ints{1}, {1}, 1, extras);
  }
  x = nhwc::reshape(x, {x.shape(0), -1});
  return nhwc::matmul(x, named(params, "head.w")) + named(params, "head.b");
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 3) throw std::runtime_error("usage: digits digits.safetensors digits.npz");
  const auto [params, metadata] = nhwc::load_safetensors(argv[1]);
  const nhwc::NamedArrays test = nhwc::load_npz(argv[2]);
  const Array labels = nhwc::astype(named(test, "labels"), nhwc::Dtype::int32);
  const Array said = nhwc::astype(nhwc::argmax(network(params, named(test, "images")), -1), nhwc::Dtype::int32);
  const Array right = nhwc::sum(nhwc::astype(nhwc::equal(said, labels), nhwc::Dtype::int32));
  std::printf("%lld of %lld digits read right: %.1f %%\n", static_cast<long long>(right.item_int()),
              static_cast<long long>(labels.size()),
              100.0 * static_cast<double>(right.item_int()) / static_cast<double>(labels.size()));
} catch (const std::exception& e) {
  std::fprintf(stderr, "%s\n", e.what());
  return 1;
}
