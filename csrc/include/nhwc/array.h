// csrc/include/nhwc/array.h -- the lazily evaluated array: a handle to a node of the graph
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "nhwc/device.h"
#include "nhwc/dtype.h"
#include "nhwc/shape.h"
#include "nhwc/version.h"

namespace nhwc {

struct Node;

/// A handle; copying it shares the node. Values are immutable: every operation makes a new array.
class Array {
 public:
  Array() = default;
  /// Scalars, as rank-0 arrays.
  explicit Array(float v) : Array(scalar(v, Dtype::float32)) {}
  explicit Array(double v) : Array(scalar(v, Dtype::float32)) {}
  explicit Array(int v) : Array(scalar(v, Dtype::int32)) {}
  explicit Array(bool v) : Array(scalar(v, Dtype::bool_)) {}
  static Array scalar(double v, Dtype t);
  static Array scalar_int(int64_t v, Dtype t);
  /// A copy of row-major memory.
  static Array copy_of(const void* data, const Shape& shape, Dtype dtype);
  /// Memory that stays the caller's, by strides in elements; release(ctx) is called when the last view is gone.
  static Array borrow(void* data, const Shape& shape, const Strides& strides, Dtype dtype, void (*release)(void*),
                      void* ctx);

  explicit Array(Node* adopted) : n_(adopted) {}  // takes over one reference
  Array(const Array& o);
  Array(Array&& o) noexcept : n_(std::exchange(o.n_, nullptr)) {}
  Array& operator=(const Array& o);
  Array& operator=(Array&& o) noexcept {
    std::swap(n_, o.n_);
    return *this;
  }
  ~Array();

  explicit operator bool() const { return n_ != nullptr; }
  Node* node() const { return n_; }
  const Shape& shape() const;
  int64_t shape(int axis) const;  // negative axes count from the end
  int ndim() const;
  int64_t size() const;
  size_t nbytes() const;
  Dtype dtype() const;

  /// Evaluates if need be. Pointer to the first element; strides() says where the others are.
  const void* data() const;
  template <class T>
  const T* data() const {
    return static_cast<const T*>(data());
  }
  /// In elements; evaluates if need be.
  const Strides& strides() const;
  bool is_ready() const;
  /// The only element, converted; ValueError where there is more than one.
  double item() const;
  int64_t item_int() const;

 private:
  Node* n_ = nullptr;
};

using Arrays = std::vector<Array>;

}  // namespace nhwc
