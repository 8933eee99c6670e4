// tests/apple/standin/objc/blocks.cpp -- the Blocks runtime: what clang's -fblocks calls, after its published ABI
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

// A block literal starts on the stack. Copying moves it to the heap, calls its copy helper for what it captured, and
// counts references; captured __block variables (Byref) move along and are shared by all copies.

namespace {

enum : int32_t {
  kCountUnit = 2,  // bit 0: being deallocated
  kCountMask = 0xfffe,
  kNeedsFree = 1 << 24,
  kHasHelpers = 1 << 25,
  kIsGlobal = 1 << 28,
};

enum : int32_t { kFieldObject = 3, kFieldBlock = 7, kFieldByref = 8, kFieldKind = 15, kCalledByByref = 128 };

struct Descriptor {
  unsigned long reserved, size;
  void (*copy)(void* to, const void* from);
  void (*dispose)(const void*);
};

struct Block {
  void* isa;
  int32_t flags, reserved;
  void (*invoke)(void*, ...);
  const Descriptor* descriptor;
};

struct Byref {
  void* isa;
  Byref* forwarding;
  int32_t flags;
  uint32_t size;
  void (*keep)(Byref* to, Byref* from);
  void (*destroy)(Byref*);
};

template <class T>
void add_reference(T* object) {
  __atomic_fetch_add(&object->flags, kCountUnit, __ATOMIC_RELAXED);
}

/// Whether that was the last one.
template <class T>
bool drop_reference(T* object) {
  return (__atomic_sub_fetch(&object->flags, kCountUnit, __ATOMIC_ACQ_REL) & kCountMask) == 0;
}

Byref* copy_byref(Byref* from) {
  Byref* const shared = from->forwarding;
  if (shared->flags & kNeedsFree) {
    add_reference(shared);
    return shared;
  }
  auto* const made = static_cast<Byref*>(std::malloc(from->size));
  std::memcpy(static_cast<void*>(made), from, from->size);
  made->isa = nullptr;
  made->forwarding = made;
  from->forwarding = made;
  // One reference for the heap copy of the block, one for the stack frame that declared the variable.
  made->flags = (from->flags & ~kCountMask) | kNeedsFree | 2 * kCountUnit;
  if (from->flags & kHasHelpers) from->keep(made, from);
  return made;
}

void release_byref(Byref* variable) {
  Byref* const shared = variable->forwarding;
  if (!(shared->flags & kNeedsFree) || !drop_reference(shared)) return;
  if (shared->flags & kHasHelpers) shared->destroy(shared);
  std::free(shared);
}

}  // namespace

extern "C" {

void* _NSConcreteStackBlock[32];
void* _NSConcreteGlobalBlock[32];
void* _NSConcreteMallocBlock[32];

void* _Block_copy(const void* from) {
  if (!from) return nullptr;
  auto* const block = static_cast<Block*>(const_cast<void*>(from));
  if (block->flags & kIsGlobal) return block;
  if (block->flags & kNeedsFree) {
    add_reference(block);
    return block;
  }
  auto* const made = static_cast<Block*>(std::malloc(block->descriptor->size));
  std::memcpy(static_cast<void*>(made), block, block->descriptor->size);
  made->isa = _NSConcreteMallocBlock;
  made->flags = (block->flags & ~kCountMask) | kNeedsFree | kCountUnit;
  if (made->flags & kHasHelpers) made->descriptor->copy(made, block);
  return made;
}

void _Block_release(const void* released) {
  auto* const block = static_cast<Block*>(const_cast<void*>(released));
  if (!block || !(block->flags & kNeedsFree) || !drop_reference(block)) return;
  if (block->flags & kHasHelpers) block->descriptor->dispose(block);
  std::free(block);
}

void _Block_object_assign(void* to, const void* from, int flags) {
  auto* const field = static_cast<const void**>(to);
  const int kind = flags & kFieldKind;
  if (kind == kFieldBlock && !(flags & kCalledByByref)) {
    *field = _Block_copy(from);
  } else if (kind == kFieldByref) {
    *field = copy_byref(static_cast<Byref*>(const_cast<void*>(from)));
  } else {
    *field = from;  // C++ code without ARC: captured objects are plain pointers
  }
}

void _Block_object_dispose(const void* object, int flags) {
  const int kind = flags & kFieldKind;
  if (kind == kFieldBlock && !(flags & kCalledByByref)) {
    _Block_release(object);
  } else if (kind == kFieldByref) {
    release_byref(static_cast<Byref*>(const_cast<void*>(object)));
  }
}
}
