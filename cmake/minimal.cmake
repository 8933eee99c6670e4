# cmake/minimal.cmake -- what a build leaves out that is for convolutions over plain memory alone
#
#   nhwc_keep_minimal(sources): leaves of the list what conv_plan.h and c_api.h need for float32 and the half types.
#   nhwc_choose_isas(isas): leaves of the list the baseline and those of NHWC_ISAS.
# Both add to NHWC_MINIMAL_DEFINITIONS what the sources must know of it.

set(NHWC_MINIMAL_DEFINITIONS "")

function(nhwc_keep_minimal list_name)
  if(NHWC_PYTHON OR NHWC_TESTS OR NHWC_METAL)
    message(FATAL_ERROR "NHWC_MINIMAL leaves out what NHWC_PYTHON, NHWC_TESTS and NHWC_METAL are made of; turn those off")
  endif()
  set(kept ${${list_name}})
  list(FILTER kept INCLUDE REGEX "csrc/(base|plan|kernels|embed)/")
  list(FILTER kept EXCLUDE REGEX "csrc/(base/gpu_runtime|plan/(metal_|tuning)|kernels/(gemm|update|conv_forward_double|conv_weight_grad|conv_winograd_grad))")
  set(${list_name} ${kept} PARENT_SCOPE)
  set(NHWC_MINIMAL_DEFINITIONS ${NHWC_MINIMAL_DEFINITIONS} NHWC_MINIMAL PARENT_SCOPE)
endfunction()

function(nhwc_choose_isas list_name)
  set(chosen baseline)
  foreach(isa ${NHWC_ISAS})
    if(NOT isa IN_LIST ${list_name})
      message(FATAL_ERROR "NHWC_ISAS has ${isa}; expected all, or some of: ${${list_name}}")
    endif()
    list(APPEND chosen ${isa})
  endforeach()
  foreach(isa avx512 neon)
    if("${isa}bf16" IN_LIST chosen AND NOT ${isa} IN_LIST chosen)
      message(FATAL_ERROR "NHWC_ISAS has ${isa}bf16, which is a part of ${isa}; add that")
    endif()
  endforeach()
  list(REMOVE_DUPLICATES chosen)
  set(definitions ${NHWC_MINIMAL_DEFINITIONS})
  foreach(isa ${${list_name}})
    if(NOT isa IN_LIST chosen)
      string(TOUPPER NHWC_NO_${isa} definition)
      list(APPEND definitions ${definition})
    endif()
  endforeach()
  set(${list_name} ${chosen} PARENT_SCOPE)
  set(NHWC_MINIMAL_DEFINITIONS ${definitions} PARENT_SCOPE)
endfunction()
