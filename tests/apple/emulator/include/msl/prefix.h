// tests/apple/emulator/include/msl/prefix.h -- all of MSL for a rewritten .metal file: what is precompiled
#pragma once

#include "intrinsics.h"
#include "kernel.h"
