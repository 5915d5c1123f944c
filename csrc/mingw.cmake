# Builds for 64-bit Windows with MinGW-w64 (GCC, POSIX threads) on another system.
#
# The module also needs Python_INCLUDE_DIR (a Windows CPython's headers) and Python_LIBRARY (its import library).
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR AMD64)
set(CMAKE_CXX_COMPILER x86_64-w64-mingw32-g++-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)

set(CMAKE_FIND_ROOT_PATH /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)

# Windows 10's declarations; what came with its later versions is looked up at run time. No path of the building system
# in what is built.
get_filename_component(source "${CMAKE_CURRENT_LIST_DIR}" DIRECTORY)
set(CMAKE_CXX_FLAGS_INIT
  "-D_WIN32_WINNT=0x0A00 -DWINVER=0x0A00 -ffile-prefix-map=${source}=. -ffile-prefix-map=${CMAKE_BINARY_DIR}=.")

# No DLL of the compiler travels with the module, and not the time when it was linked. The linker strips: what strip
# writes bears the time again.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-static")
set(CMAKE_MODULE_LINKER_FLAGS_INIT "-static -s -Wl,--no-insert-timestamp")
set(CMAKE_STRIP "" CACHE FILEPATH "Not used")

# What pybind11 would otherwise ask the building Python for.
set(PYTHON_MODULE_EXTENSION ".cp311-win_amd64.pyd" CACHE STRING "How the module's file name ends")
set(PYTHON_MODULE_DEBUG_POSTFIX "" CACHE STRING "")
