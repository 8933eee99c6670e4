// csrc/include/nhwc/shape.h -- a small vector kept inline, and Shape made of it
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <new>
#include <string>
#include <type_traits>
#include <utility>

namespace nhwc {

/// A vector whose first N elements need no allocation: a graph node holds its shape and its inputs in place.
template <class T, uint32_t N>
class InlineVec {
 public:
  InlineVec() = default;
  explicit InlineVec(size_t n, const T& fill = T()) { resize(n, fill); }
  InlineVec(std::initializer_list<T> v) { append(v.begin(), v.end()); }
  template <class It>
    requires(!std::is_integral_v<It>)
  InlineVec(It first, It last) {
    append(first, last);
  }
  InlineVec(const InlineVec& o) { assign(o); }
  InlineVec(InlineVec&& o) noexcept { steal(o); }
  InlineVec& operator=(const InlineVec& o) {
    if (this != &o) {
      clear();
      assign(o);
    }
    return *this;
  }
  InlineVec& operator=(InlineVec&& o) noexcept {
    if (this != &o) {
      destroy();
      steal(o);
    }
    return *this;
  }
  ~InlineVec() { destroy(); }

  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T& front() { return data_[0]; }
  const T& front() const { return data_[0]; }
  T& back() { return data_[size_ - 1]; }
  const T& back() const { return data_[size_ - 1]; }

  void push_back(T v) { emplace_back(std::move(v)); }
  template <class... A>
  void emplace_back(A&&... args) {
    if (size_ == capacity_) grow(size_ + 1);
    new (data_ + size_++) T(std::forward<A>(args)...);
  }
  void pop_back() { data_[--size_].~T(); }
  void clear() {
    for (uint32_t i = 0; i < size_; ++i) data_[i].~T();
    size_ = 0;
  }
  void resize(size_t n, const T& fill = T()) {
    while (size_ > n) pop_back();
    if (n > capacity_) grow(n);
    while (size_ < n) new (data_ + size_++) T(fill);
  }
  void insert(size_t at, T v) {
    push_back(std::move(v));
    for (size_t i = size_ - 1; i > at; --i) std::swap(data_[i], data_[i - 1]);
  }
  void erase(size_t at) {
    for (size_t i = at; i + 1 < size_; ++i) data_[i] = std::move(data_[i + 1]);
    pop_back();
  }
  template <class It>
  void append(It first, It last) {
    for (; first != last; ++first) push_back(T(*first));
  }
  friend bool operator==(const InlineVec& a, const InlineVec& b) {
    if (a.size_ != b.size_) return false;
    for (uint32_t i = 0; i < a.size_; ++i)
      if (!(a.data_[i] == b.data_[i])) return false;
    return true;
  }

 private:
  void assign(const InlineVec& o) {  // to an empty one
    if (o.size_ > capacity_) grow(o.size_);
    for (; size_ < o.size_; ++size_) new (data_ + size_) T(o.data_[size_]);
  }
  T* inline_data() { return reinterpret_cast<T*>(inline_); }
  void grow(size_t need) {
    size_t cap = capacity_ * 2 > need ? capacity_ * 2 : need;
    T* fresh = static_cast<T*>(::operator new(cap * sizeof(T)));
    for (uint32_t i = 0; i < size_; ++i) {
      new (fresh + i) T(std::move(data_[i]));
      data_[i].~T();
    }
    if (data_ != inline_data()) ::operator delete(data_);
    data_ = fresh;
    capacity_ = static_cast<uint32_t>(cap);
  }
  void steal(InlineVec& o) {
    if (o.data_ != o.inline_data()) {
      data_ = o.data_;
      size_ = o.size_;
      capacity_ = o.capacity_;
      o.data_ = o.inline_data();
      o.size_ = 0;
      o.capacity_ = N;
      return;
    }
    data_ = inline_data();
    size_ = o.size_;
    capacity_ = N;
    o.size_ = 0;
    for (uint32_t i = 0; i < size_; ++i) {
      new (data_ + i) T(std::move(o.data_[i]));
      o.data_[i].~T();
    }
  }
  void destroy() {
    clear();
    if (data_ != inline_data()) ::operator delete(data_);
    data_ = inline_data();
    capacity_ = N;
  }

  T* data_ = inline_data();
  uint32_t size_ = 0;
  uint32_t capacity_ = N;
  alignas(T) unsigned char inline_[N * sizeof(T)];
};

/// Sizes or strides, one per axis; strides count elements.
using Dims = InlineVec<int64_t, 5>;
using Shape = Dims;
using Strides = Dims;

/// Number of elements; raises OverflowError where it does not fit 63 bits.
int64_t size_of(const Shape& s);

/// "(2, 3, 4)", "(5,)".
std::string to_string(const Dims& d);

/// Row-major strides in elements.
Strides contiguous_strides(const Shape& s);

/// Shape of `a` and `b` combined by broadcasting; ValueError where they do not fit. `who` names the caller in the
/// message.
Shape broadcast_shapes(const Shape& a, const Shape& b, const char* who = "broadcast");

/// Maps axis in [-ndim, ndim) to [0, ndim); IndexError or ValueError outside, see error.h.
int normalize_axis(int64_t axis, int ndim, const char* who);

}  // namespace nhwc
