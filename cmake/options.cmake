# What every target of ours is compiled with.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

set(RINGFENCE_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize=")
if(RINGFENCE_SANITIZE)
  add_compile_options(-fsanitize=${RINGFENCE_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${RINGFENCE_SANITIZE})
endif()

add_library(ringfence_warnings INTERFACE)
target_compile_options(ringfence_warnings INTERFACE -Wall -Wextra -Wconversion -Werror)
