// tests/apple/standin/hooks.h -- what tests call in the stand-in: reports, live objects, faults
#pragma once

#include <stddef.h>
#include <stdint.h>

#define NHWC_STANDIN_HOOK extern "C" __attribute__((visibility("default")))

/// How many misuses were reported since the last call; their lines, as far as they fit.
NHWC_STANDIN_HOOK int nhwc_standin_errors(char* text, size_t bytes);
/// Whether a misuse ends the process (the default; NHWC_STANDIN_ON_ERROR=record starts with 0).
NHWC_STANDIN_HOOK void nhwc_standin_abort_on_error(int on);
/// How many Objective-C objects are alive, and which: "2 MTLBuffer, 1 MTLHeap".
NHWC_STANDIN_HOOK int nhwc_standin_live_objects(char* text, size_t bytes);
/// Sets failures, separated by commas (NHWC_STANDIN_FAULTS sets some from the start). N counts from now, from 1 on:
///   no_device             there is no GPU
///   family=F              it is of Apple family F (8)
///   macos=M               the system is macOS M (15)
///   allocation=N          the N-th buffer or heap cannot be had
///   memory=BYTES          nor can more than so many bytes in all
///   max_buffer=BYTES, working_set=BYTES   what the device says of itself
///   library=N, function=N, pipeline=N, queue=N   the N-th is not made; all but the queue come with an error
///   commit=N:KIND         the N-th committed command buffer fails: timeout, page_fault, out_of_memory, removed,
///   internal
NHWC_STANDIN_HOOK void nhwc_standin_fault(const char* faults);
NHWC_STANDIN_HOOK void nhwc_standin_clear_faults(void);
/// Kernels run, and command buffers committed, since the process started.
NHWC_STANDIN_HOOK uint64_t nhwc_standin_dispatches(void);
NHWC_STANDIN_HOOK uint64_t nhwc_standin_command_buffers(void);
