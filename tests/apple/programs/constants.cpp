// tests/apple/programs/constants.cpp -- the stand-in's values of Metal's enumerations are those of metal-cpp
#include <Metal/Metal.hpp>

#include "standin/metal/types.h"

#define SAME(ours, theirs) static_assert(static_cast<long>(standin::ours) == static_cast<long>(MTL::theirs))

SAME(StorageMode::shared, StorageModeShared);
SAME(StorageMode::managed, StorageModeManaged);
SAME(StorageMode::private_, StorageModePrivate);
SAME(StorageMode::memoryless, StorageModeMemoryless);
SAME(HazardTracking::automatic, HazardTrackingModeDefault);
SAME(HazardTracking::untracked, HazardTrackingModeUntracked);
SAME(HazardTracking::tracked, HazardTrackingModeTracked);
static_assert(standin::storage_of(MTL::ResourceStorageModePrivate) == standin::StorageMode::private_);
static_assert(standin::tracking_of(MTL::ResourceHazardTrackingModeTracked) == standin::HazardTracking::tracked);
static_assert(standin::tracking_of(MTL::ResourceHazardTrackingModeUntracked) == standin::HazardTracking::untracked);
SAME(kHeapAutomatic, HeapTypeAutomatic);
SAME(kHeapPlacement, HeapTypePlacement);
SAME(kHeapSparse, HeapTypeSparse);
SAME(kDataFloat, DataTypeFloat);
SAME(kDataHalf, DataTypeHalf);
SAME(kDataInt, DataTypeInt);
SAME(kDataUInt, DataTypeUInt);
SAME(kDataShort, DataTypeShort);
SAME(kDataUShort, DataTypeUShort);
SAME(kDataBool, DataTypeBool);
SAME(DispatchType::serial, DispatchTypeSerial);
SAME(DispatchType::concurrent, DispatchTypeConcurrent);
SAME(kScopeBuffers, BarrierScopeBuffers);
SAME(CommandStatus::not_enqueued, CommandBufferStatusNotEnqueued);
SAME(CommandStatus::enqueued, CommandBufferStatusEnqueued);
SAME(CommandStatus::committed, CommandBufferStatusCommitted);
SAME(CommandStatus::scheduled, CommandBufferStatusScheduled);
SAME(CommandStatus::completed, CommandBufferStatusCompleted);
SAME(CommandStatus::error, CommandBufferStatusError);
SAME(kErrorInternal, CommandBufferErrorInternal);
SAME(kErrorTimeout, CommandBufferErrorTimeout);
SAME(kErrorPageFault, CommandBufferErrorPageFault);
SAME(kErrorAccessRevoked, CommandBufferErrorAccessRevoked);
SAME(kErrorNotPermitted, CommandBufferErrorNotPermitted);
SAME(kErrorOutOfMemory, CommandBufferErrorOutOfMemory);
SAME(kErrorInvalidResource, CommandBufferErrorInvalidResource);
SAME(kErrorDeviceRemoved, CommandBufferErrorDeviceRemoved);
SAME(kErrorOptionEncoderStatus, CommandBufferErrorOptionEncoderExecutionStatus);
SAME(kEncoderUnknown, CommandEncoderErrorStateUnknown);
SAME(kEncoderCompleted, CommandEncoderErrorStateCompleted);
SAME(kEncoderAffected, CommandEncoderErrorStateAffected);
SAME(kEncoderPending, CommandEncoderErrorStatePending);
SAME(kEncoderFaulted, CommandEncoderErrorStateFaulted);
SAME(kLibraryCompileFailure, LibraryErrorCompileFailure);
SAME(kLibraryFunctionNotFound, LibraryErrorFunctionNotFound);
SAME(kArchiveInvalidFile, BinaryArchiveErrorInvalidFile);
SAME(kArchiveUnexpectedElement, BinaryArchiveErrorUnexpectedElement);
SAME(kArchiveCompilationFailure, BinaryArchiveErrorCompilationFailure);
SAME(kArchiveInternal, BinaryArchiveErrorInternalError);
SAME(kPipelineFailOnArchiveMiss, PipelineOptionFailOnBinaryArchiveMiss);
SAME(kApple1, GPUFamilyApple1);
SAME(kCommon1, GPUFamilyCommon1);
SAME(kCommon3, GPUFamilyCommon3);
SAME(kMac2, GPUFamilyMac2);
SAME(kMetal3, GPUFamilyMetal3);
static_assert(sizeof(standin::Size) == sizeof(MTL::Size));
static_assert(sizeof(standin::SizeAndAlign) == sizeof(MTL::SizeAndAlign));
static_assert(sizeof(standin::Range) == sizeof(NS::Range));
