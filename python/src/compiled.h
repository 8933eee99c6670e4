// python/src/compiled.h -- what compile returns
#pragma once

#include "bind.h"

namespace nhwc::py {

void bind_compiled(nb::module_& m);

}  // namespace nhwc::py
