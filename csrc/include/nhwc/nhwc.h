// csrc/include/nhwc/nhwc.h -- the whole public C++ interface
#pragma once

#include "nhwc/array.h"
#include "nhwc/conv_plan.h"
#include "nhwc/device.h"
#include "nhwc/dtype.h"
#include "nhwc/error.h"
#include "nhwc/host.h"
#include "nhwc/io.h"
#include "nhwc/memory.h"
#include "nhwc/ops.h"
#include "nhwc/profile.h"
#include "nhwc/shape.h"
#include "nhwc/transforms.h"
