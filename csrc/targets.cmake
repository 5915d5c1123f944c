# Defines numapool_add_core: the core as a static library over one platform folder.
find_package(Threads REQUIRED)

# The warnings every target of ours compiles with; headers of others come in as system headers.
function(numapool_set_warnings target)
  if(MSVC)
    target_compile_options(${target} PRIVATE /W4 $<$<BOOL:${NUMAPOOL_WERROR}>:/WX>)
  else()
    target_compile_options(${target} PRIVATE
      -Wall -Wextra -Wpedantic -Wconversion $<$<BOOL:${NUMAPOOL_WERROR}>:-Werror>)
    # GCC 12 takes `"text" + std::string()` for an overlapping copy: https://gcc.gnu.org/PR105651
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      target_compile_options(${target} PRIVATE -Wno-restrict)
    endif()
  endif()
endfunction()

# With NUMAPOOL_UNITY, compiles the sources of a target as one: headers are read and templates made once.
function(numapool_unite target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${NUMAPOOL_UNITY} UNITY_BUILD_BATCH_SIZE 0)
endfunction()

# What links the core of Linux has its threads' end in front of the C++ library's (linux/machine/thread_end.cpp).
function(numapool_wrap_personality target scope)
  if(CMAKE_SIZEOF_VOID_P EQUAL 8)
    target_link_options(${target} ${scope} "LINKER:--wrap=__gxx_personality_v0")
  endif()
endfunction()

# What a core of that platform takes of the system.
function(numapool_link_platform target platform scope)
  target_link_libraries(${target} ${scope} Threads::Threads)
  if(platform STREQUAL "linux")
    numapool_wrap_personality(${target} INTERFACE)
  elseif(platform STREQUAL "windows")
    # Nothing that came after Windows 8: such functions are looked up at run time.
    target_link_libraries(${target} ${scope} psapi setupapi iphlpapi ws2_32 ole32 advapi32)
  endif()
endfunction()

# numapool_add_core(<target> <platform>): all of csrc/src and of csrc/platform/<platform>, no Python. What is of no
# platform is compiled once, however many cores a build has. The core of NUMAPOOL_PLATFORM is linked from NUMAPOOL_CORE,
# if that names one: modules for several Pythons share it.
function(numapool_add_core target platform)
  if(TARGET ${target})
    return()
  endif()
  if(NUMAPOOL_CORE AND platform STREQUAL NUMAPOOL_PLATFORM)
    add_library(${target} STATIC IMPORTED GLOBAL)
    set_target_properties(${target} PROPERTIES IMPORTED_LOCATION "${NUMAPOOL_CORE}")
    numapool_link_platform(${target} ${platform} INTERFACE)
    return()
  endif()
  if(NOT IS_DIRECTORY "${PROJECT_SOURCE_DIR}/csrc/platform/${platform}")
    message(FATAL_ERROR "NUMAPOOL_PLATFORM is '${platform}', but csrc/platform/${platform} does not exist.")
  endif()
  if(NOT TARGET numapool_neutral)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/csrc/src/*.cpp")
    add_library(numapool_neutral OBJECT EXCLUDE_FROM_ALL ${sources})
    target_include_directories(numapool_neutral PUBLIC
      "${PROJECT_SOURCE_DIR}/csrc/include" "${PROJECT_SOURCE_DIR}/csrc")
    target_include_directories(numapool_neutral PRIVATE "${PROJECT_SOURCE_DIR}/csrc/src")
    target_link_libraries(numapool_neutral PUBLIC Threads::Threads)
    numapool_set_warnings(numapool_neutral)
    numapool_unite(numapool_neutral)
    # The fast path of pools: in a source as large as all of them, compilers stop putting functions in line.
    set_source_files_properties("${PROJECT_SOURCE_DIR}/csrc/src/pool/pool.cpp"
      TARGET_DIRECTORY numapool_neutral PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
    # Loops that are timed: vectors in every build, and no call of memset or memcpy in their place.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
      set(flags -O3 -fno-tree-loop-distribute-patterns)
    elseif(CMAKE_CXX_COMPILER_ID MATCHES "Clang" AND NOT MSVC)
      set(flags -O3 -fno-builtin)
    endif()
    set_source_files_properties("${PROJECT_SOURCE_DIR}/csrc/src/bench/bench_loops.cpp"
      TARGET_DIRECTORY numapool_neutral PROPERTIES COMPILE_OPTIONS "${flags}")
  endif()
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/csrc/platform/${platform}/*.cpp")
  add_library(${target} STATIC EXCLUDE_FROM_ALL ${sources} $<TARGET_OBJECTS:numapool_neutral>)
  target_include_directories(${target} PUBLIC
    "${PROJECT_SOURCE_DIR}/csrc/include" "${PROJECT_SOURCE_DIR}/csrc")
  numapool_link_platform(${target} ${platform} PUBLIC)
  if(platform STREQUAL "linux")
    numapool_unite(${target})
  endif()
  numapool_set_warnings(${target})
endfunction()
