// tests/apple/standin/objc/block.h -- an owning pointer to a block that the host passed
#pragma once

#include <utility>

extern "C" void* _Block_copy(const void* block);
extern "C" void _Block_release(const void* block);

namespace standin {

/// `Signature` as in void (^)(Object*).
template <class Signature>
class BlockRef {
 public:
  BlockRef() = default;
  explicit BlockRef(Signature block) : block_((Signature)_Block_copy((const void*)block)) {}
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef&& other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef() {
    if (block_) _Block_release((const void*)block_);
  }
  explicit operator bool() const { return block_ != nullptr; }
  template <class... Args>
  void operator()(Args... args) const {
    block_(args...);
  }

 private:
  Signature block_ = nullptr;
};

}  // namespace standin
