# Builds for Linux with the C++ compiler of zig, which brings each C library's headers and stubs and a libc++ to link.
#
#   NUMAPOOL_ZIG          zig's program
#   NUMAPOOL_ZIG_TARGET   for what: x86_64-linux-gnu.2.28, aarch64-linux-gnu.2.28, x86_64-linux-musl
#
# The module also needs Python_INCLUDE_DIR (that CPython's headers) and PYTHON_MODULE_EXTENSION (how its file name ends).
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES NUMAPOOL_ZIG NUMAPOOL_ZIG_TARGET)
string(REGEX MATCH "^[^-]+" CMAKE_SYSTEM_PROCESSOR "${NUMAPOOL_ZIG_TARGET}")
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_CXX_COMPILER "${NUMAPOOL_ZIG}" c++ -target "${NUMAPOOL_ZIG_TARGET}")

# What CMake tries out is not linked: zig would compile a libc++ for it, and another for each way to optimize.
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
set(CMAKE_INTERPROCEDURAL_OPTIMIZATION OFF)

# The building system's archiver and strip may know no other processor; the linker strips.
set(CMAKE_CXX_ARCHIVE_CREATE "\"${NUMAPOOL_ZIG}\" ar qc <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "\"${NUMAPOOL_ZIG}\" ranlib <TARGET>")
set(CMAKE_STRIP "" CACHE FILEPATH "Not used")
set(CMAKE_MODULE_LINKER_FLAGS_INIT "-s")

# Nothing of the building system, and no path of it in what is built.
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
get_filename_component(source "${CMAKE_CURRENT_LIST_DIR}" DIRECTORY)
set(CMAKE_CXX_FLAGS_INIT "-g0 -ffile-prefix-map=${source}=. -ffile-prefix-map=${CMAKE_BINARY_DIR}=.")
set(PYTHON_MODULE_DEBUG_POSTFIX "" CACHE STRING "")
