// csrc/base/version.cpp -- what headers of this version look for when a program is linked
#include "nhwc/version.h"

extern "C" const char NHWC_LINK_CHECK = 0;
