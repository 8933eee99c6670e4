// tests/apple/standin/metal/types.h -- Metal's structures, and the values of its enumerations that the stand-in reads
#pragma once

#include "standin/foundation/foundation.h"

// programs/constants.cpp asserts that these are the values of metal-cpp.

namespace standin {

struct Size {
  UInteger width, height, depth;
  UInteger volume() const { return width * height * depth; }
};

struct SizeAndAlign {
  UInteger size, align;
};

enum class StorageMode : UInteger { shared = 0, managed = 1, private_ = 2, memoryless = 3 };
enum class HazardTracking : UInteger { automatic = 0, untracked = 1, tracked = 2 };

/// MTLResourceOptions packs the modes.
constexpr StorageMode storage_of(UInteger options) { return static_cast<StorageMode>(options >> 4 & 15); }
constexpr HazardTracking tracking_of(UInteger options) { return static_cast<HazardTracking>(options >> 8 & 3); }

enum HeapType : Integer { kHeapAutomatic = 0, kHeapPlacement = 1, kHeapSparse = 2 };

enum DataType : UInteger {
  kDataFloat = 3,
  kDataHalf = 16,
  kDataInt = 29,
  kDataUInt = 33,
  kDataShort = 37,
  kDataUShort = 41,
  kDataBool = 53,
};

enum class DispatchType : UInteger { serial = 0, concurrent = 1 };
enum BarrierScope : UInteger { kScopeBuffers = 1 };

enum class CommandStatus : UInteger { not_enqueued = 0, enqueued, committed, scheduled, completed, error };
enum CommandError : Integer {
  kErrorNone = 0,
  kErrorInternal = 1,
  kErrorTimeout = 2,
  kErrorPageFault = 3,
  kErrorAccessRevoked = 4,
  kErrorNotPermitted = 7,
  kErrorOutOfMemory = 8,
  kErrorInvalidResource = 9,
  kErrorDeviceRemoved = 11,
};
constexpr UInteger kErrorOptionEncoderStatus = 1;
enum EncoderErrorState : Integer {
  kEncoderUnknown = 0,
  kEncoderCompleted,
  kEncoderAffected,
  kEncoderPending,
  kEncoderFaulted
};

enum LibraryError : UInteger { kLibraryCompileFailure = 3, kLibraryFunctionNotFound = 5 };
enum ArchiveError : UInteger {
  kArchiveInvalidFile = 1,
  kArchiveUnexpectedElement = 2,
  kArchiveCompilationFailure = 3,
  kArchiveInternal = 4
};
constexpr UInteger kPipelineFailOnArchiveMiss = 4;

enum GpuFamily : Integer {
  kApple1 = 1001,
  kCommon1 = 3001,
  kCommon3 = 3003,
  kMac2 = 2002,
  kMetal3 = 5001,
  kMetal4 = 5002
};

constexpr UInteger kMaxThreads = 1024, kSimdWidth = 32, kMaxThreadgroupMemory = 32768, kMaxBindings = 31;

}  // namespace standin
