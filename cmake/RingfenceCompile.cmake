# Compiler set-up for own code: warnings as errors, sanitizers, ccache.

set(RINGFENCE_SANITIZE "" CACHE STRING "address, thread, fuzzer or empty")
# Off where g++ inlines instrumented code and then warns of what it cannot see; release has it on.
option(RINGFENCE_WERROR "Warnings in own code are errors" ON)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Precompiled headers need these two sloppinesses, else ccache never hits.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_SLOPPINESS=pch_defines,time_macros ${CCACHE_PROGRAM})
endif()

if(RINGFENCE_SANITIZE STREQUAL "address")
  # vptr: the core has no RTTI, so the check has nothing to look at.
  add_compile_options(-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all
                      -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(RINGFENCE_SANITIZE STREQUAL "thread")
  # tsan: gcc warns that fences are not instrumented; Asio uses one in a place that has no race.
  add_compile_options(-fsanitize=thread -fno-omit-frame-pointer -Wno-tsan)
  add_link_options(-fsanitize=thread)
elseif(RINGFENCE_SANITIZE STREQUAL "fuzzer")
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize=vptr
                      -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=address,undefined)
elseif(RINGFENCE_SANITIZE)
  message(FATAL_ERROR "RINGFENCE_SANITIZE=${RINGFENCE_SANITIZE} is not one of address, thread, fuzzer")
endif()

# ringfence_own(target): own code, held to the project's warnings.
function(ringfence_own target)
  # clang counts sign conversions to -Wconversion, g++ does not.
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wno-sign-conversion)
  if(RINGFENCE_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
  # As Ubuntu's compiler does by itself: glibc's checks of lengths, and warnings of results that nobody looks at.
  if(NOT EMSCRIPTEN)
    target_compile_options(${target} PRIVATE "$<$<CONFIG:Release>:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
  endif()
endfunction()

# ringfence_sources(out pattern...): the files that match now; a new one is seen by the next build.
function(ringfence_sources out)
  file(GLOB_RECURSE found CONFIGURE_DEPENDS ${ARGN})
  set(${out} ${found} PARENT_SCOPE)
endfunction()
