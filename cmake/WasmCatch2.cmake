# Catch2 for the tests that run as WASM. Its headers are copied to a folder of their own: with
# -I/usr/include the host's C library would hide Emscripten's.
#
# Catch2 2 is one header. Of Catch2 3 the packages hold a library for the host only, so there
# RINGFENCE_CATCH2_SOURCE names a folder with catch_amalgamated.{hpp,cpp} (./dev gets it).
set(RINGFENCE_CATCH2_SOURCE "" CACHE PATH "Folder of catch_amalgamated.hpp and .cpp of Catch2 3")
set(copy "${CMAKE_CURRENT_BINARY_DIR}/catch2-include")

if(RINGFENCE_CATCH2_SOURCE)
  configure_file("${RINGFENCE_CATCH2_SOURCE}/catch_amalgamated.hpp" "${copy}/catch2/catch_all.hpp" COPYONLY)
  configure_file("${RINGFENCE_CATCH2_SOURCE}/catch_amalgamated.hpp" "${copy}/catch_amalgamated.hpp" COPYONLY)
  add_library(catch2 STATIC "${RINGFENCE_CATCH2_SOURCE}/catch_amalgamated.cpp")
  # The tests have a main of their own. Older linkers pass over the library's, newer ones find two.
  target_compile_definitions(catch2 PRIVATE CATCH_AMALGAMATED_CUSTOM_MAIN)
  target_compile_options(catch2 PRIVATE -fexceptions)
  target_include_directories(catch2 SYSTEM PUBLIC "${copy}")
elseif(EXISTS /usr/include/catch2/catch.hpp)
  configure_file(/usr/include/catch2/catch.hpp "${copy}/catch2/catch.hpp" COPYONLY)
  add_library(catch2_header INTERFACE)
  target_include_directories(catch2_header SYSTEM INTERFACE "${copy}")
  add_library(catch2 ALIAS catch2_header)
else()
  message(STATUS "no Catch2 source for WASM: core_tests left out (set RINGFENCE_CATCH2_SOURCE)")
endif()
