# What `cmake --install` puts where, so that another project finds it: find_package(ringfence), ringfence::server.
#
#   include/ringfence/         the core's headers, and server.h
#   include/ringfence-server/  the server's
#   lib/                       both libraries; lib/cmake/ringfence the package
#   bin/ringfence-server
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set_target_properties(ringfence_core PROPERTIES EXPORT_NAME core)
set_target_properties(ringfence_server_lib PROPERTIES EXPORT_NAME server OUTPUT_NAME ringfence_server)
install(TARGETS ringfence_core ringfence_server_lib EXPORT ringfenceTargets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(TARGETS ringfence-server RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(DIRECTORY shared/ringfence/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/ringfence" FILES_MATCHING PATTERN "*.h")
install(FILES cmake/package/server.h DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/ringfence")
install(DIRECTORY server/ DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/ringfence-server"
        FILES_MATCHING PATTERN "*.h" PATTERN "pch.h" EXCLUDE)

# server/CMakeLists.txt finds these; who links against a static library needs them too.
set(RINGFENCE_FIND_DEPENDENCIES "")
foreach(dependency IN LISTS RINGFENCE_DEPENDENCIES)
  string(APPEND RINGFENCE_FIND_DEPENDENCIES "find_dependency(${dependency})\n")
endforeach()
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/ringfence")
configure_package_config_file(cmake/package/ringfenceConfig.cmake.in
                              "${PROJECT_BINARY_DIR}/ringfenceConfig.cmake" INSTALL_DESTINATION "${package_dir}")
# 0.x: another minor version may be another interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/ringfenceConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/ringfenceConfig.cmake" "${PROJECT_BINARY_DIR}/ringfenceConfigVersion.cmake"
        DESTINATION "${package_dir}")
install(EXPORT ringfenceTargets NAMESPACE ringfence:: DESTINATION "${package_dir}")
