# cmake/install.cmake -- where the library, its headers and what finds them are installed
#
#   nhwc_install(target): find_package(nhwc CONFIG) and pkg-config find `target` in an install prefix and inside a wheel,
#   wherever either is moved to.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

if(NHWC_FROM_WHEEL)  # the package's folder is the prefix
  set(NHWC_INSTALL_PREFIX nhwc/)
  set(NHWC_INSTALL_LIBDIR lib)
  set(NHWC_INSTALL_INCLUDEDIR nhwc/include)
else()
  set(NHWC_INSTALL_PREFIX "")
  set(NHWC_INSTALL_LIBDIR ${CMAKE_INSTALL_LIBDIR})
  set(NHWC_INSTALL_INCLUDEDIR ${CMAKE_INSTALL_INCLUDEDIR})
endif()

configure_file(${PROJECT_SOURCE_DIR}/csrc/include/nhwc/version.h.in ${PROJECT_BINARY_DIR}/include/nhwc/version.h)

function(nhwc_install target)
  set(libdir ${NHWC_INSTALL_PREFIX}${NHWC_INSTALL_LIBDIR})
  set(config_dir ${libdir}/cmake/nhwc)
  set(generated ${PROJECT_BINARY_DIR}/install)

  install(TARGETS ${target} EXPORT nhwc-targets ARCHIVE DESTINATION ${libdir})
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/csrc/include/nhwc DESTINATION ${NHWC_INSTALL_INCLUDEDIR}
          FILES_MATCHING PATTERN "*.h" PATTERN "*.inc")
  install(FILES ${PROJECT_BINARY_DIR}/include/nhwc/version.h DESTINATION ${NHWC_INSTALL_INCLUDEDIR}/nhwc)

  install(EXPORT nhwc-targets NAMESPACE nhwc:: DESTINATION ${config_dir})
  # The interface may change with every minor version while the major one is 0.
  write_basic_package_version_file(${generated}/nhwc-config-version.cmake COMPATIBILITY SameMinorVersion)
  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/nhwc-config.cmake.in ${generated}/nhwc-config.cmake
                                INSTALL_DESTINATION ${config_dir})
  install(FILES ${generated}/nhwc-config.cmake ${generated}/nhwc-config-version.cmake DESTINATION ${config_dir})

  file(RELATIVE_PATH pc_to_prefix /${NHWC_INSTALL_LIBDIR}/pkgconfig /)
  string(REGEX REPLACE "/$" "" pc_to_prefix ${pc_to_prefix})
  string(REGEX REPLACE "^nhwc/" "" pc_includedir ${NHWC_INSTALL_INCLUDEDIR})
  set(pc_libs "-pthread")
  foreach(library ${CMAKE_DL_LIBS})
    string(APPEND pc_libs " -l${library}")
  endforeach()
  if(NHWC_BLAS)
    string(APPEND pc_libs " ${NHWC_BLAS_LINK}")
  endif()
  set(pc_runtime -lstdc++ -lm)
  if(APPLE)
    set(pc_runtime -lc++)
    if(NHWC_METAL)
      string(APPEND pc_libs " -framework Metal -framework Foundation -lobjc")
    endif()
  endif()
  list(JOIN pc_runtime " " pc_runtime)
  configure_file(${PROJECT_SOURCE_DIR}/cmake/nhwc.pc.in ${generated}/nhwc.pc @ONLY)
  install(FILES ${generated}/nhwc.pc DESTINATION ${libdir}/pkgconfig)
endfunction()
