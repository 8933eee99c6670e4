# cmake/embed_metal.cmake -- the Metal runtime: metal-cpp host code with the kernels' sources in it
#
#   nhwc_add_metal_runtime(target): compiles csrc/backend/metal/runtime into `target` and links what it needs.
#
# metal-cpp is Apple's, of macOS 15's release or later, and is not kept here: NHWC_METAL_CPP_DIR names a folder that
# holds Metal/Metal.hpp, or it is fetched.

set(NHWC_METAL_CPP_DIR "" CACHE PATH "Folder of Apple's metal-cpp headers; empty: they are fetched")
set(NHWC_METAL_CPP_URL "https://developer.apple.com/metal/cpp/files/metal-cpp_26.zip" CACHE STRING
    "Where metal-cpp is fetched from")

function(nhwc_find_metal_cpp out)
  set(folder ${NHWC_METAL_CPP_DIR})
  if(NOT folder)
    include(FetchContent)
    if(POLICY CMP0135)
      cmake_policy(SET CMP0135 NEW)
    endif()
    FetchContent_Declare(metal_cpp URL ${NHWC_METAL_CPP_URL})
    FetchContent_MakeAvailable(metal_cpp)
    set(folder ${metal_cpp_SOURCE_DIR})
  endif()
  if(NOT EXISTS ${folder}/Metal/MTLResidencySet.hpp)
    message(FATAL_ERROR "no metal-cpp of macOS 15 or later in ${folder}; set NHWC_METAL_CPP_DIR, or NHWC_METAL=OFF")
  endif()
  set(${out} ${folder} PARENT_SCOPE)
  set(NHWC_METAL_CPP_FOUND ${folder} CACHE INTERNAL "")  # its licence goes into wheels
endfunction()

# One generated file per build holds every topic; it is written again when any file under metal/ changes.
function(nhwc_embed_metal_sources out)
  set(python ${Python_EXECUTABLE})
  if(NOT python)
    find_package(Python3 REQUIRED COMPONENTS Interpreter)
    set(python ${Python3_EXECUTABLE})
  endif()
  set(tool ${PROJECT_SOURCE_DIR}/tools/flatten_metal.py)
  file(GLOB topics CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/metal/*.metal)
  file(GLOB_RECURSE parts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/metal/*.metal ${PROJECT_SOURCE_DIR}/metal/*.h
       ${PROJECT_SOURCE_DIR}/metal/*.inc)
  set(generated ${PROJECT_BINARY_DIR}/metal_sources.cpp)
  add_custom_command(OUTPUT ${generated} COMMAND ${python} ${tool} --embed ${generated} ${topics}
                     COMMAND ${CMAKE_COMMAND} -E touch ${generated}
                     DEPENDS ${tool} ${parts} VERBATIM COMMENT "Embedding Metal sources")
  set(${out} ${generated} PARENT_SCOPE)
endfunction()

function(nhwc_add_metal_runtime target)
  nhwc_find_metal_cpp(metal_cpp)
  nhwc_embed_metal_sources(embedded)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/csrc/backend/metal/runtime/*.cpp)
  # A library of its own objects: its flags and headers are no business of the rest.
  add_library(nhwc_metal_runtime OBJECT ${sources} ${embedded})
  target_compile_features(nhwc_metal_runtime PRIVATE cxx_std_20)
  # metal-cpp sends messages to null pointers, as Objective-C may; C++ compilers conclude that the code after it is dead.
  target_compile_options(nhwc_metal_runtime PRIVATE -fblocks -fno-delete-null-pointer-checks -Wall -Wextra $<$<CONFIG:Release>:-Os>)
  # Hidden: another library of the process may have a metal-cpp of its own.
  target_compile_definitions(nhwc_metal_runtime PRIVATE METALCPP_SYMBOL_VISIBILITY_HIDDEN)
  target_include_directories(nhwc_metal_runtime PRIVATE ${PROJECT_SOURCE_DIR}/csrc)
  target_include_directories(nhwc_metal_runtime SYSTEM PRIVATE ${metal_cpp})
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:nhwc_metal_runtime>)
  target_compile_definitions(${target} PRIVATE NHWC_METAL)
  target_link_libraries(${target} PUBLIC "-framework Metal" "-framework Foundation" objc)
endfunction()
