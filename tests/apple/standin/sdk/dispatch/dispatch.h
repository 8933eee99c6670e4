// tests/apple/standin/sdk/dispatch/dispatch.h -- opaque types of libdispatch, and data objects made from bytes
#pragma once

#include <stddef.h>

typedef struct dispatch_queue_s* dispatch_queue_t;
typedef struct dispatch_data_s* dispatch_data_t;

#ifdef __cplusplus
extern "C" {
#endif

dispatch_data_t dispatch_data_create(const void* bytes, size_t size, dispatch_queue_t queue, void (^destructor)(void));

#ifdef __cplusplus
}
#endif
