# Tells the module which sources it was built from, so that tests can refuse one that is stale.
#
# Included by CMake, it adds the library numapool_source_digest. Run by the build (cmake -DROOT=... -DOUTPUT=... -P), it
# writes OUTPUT where the digest is another one. tests/conftest.py computes the same digest.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  set(output "${CMAKE_CURRENT_BINARY_DIR}/source_digest.cpp")
  # In every build: a file that was removed changes the digest too.
  add_custom_target(numapool_find_digest BYPRODUCTS "${output}"
    COMMAND "${CMAKE_COMMAND}" "-DROOT=${PROJECT_SOURCE_DIR}" "-DOUTPUT=${output}" -P "${CMAKE_CURRENT_LIST_FILE}"
    COMMENT "" VERBATIM)
  add_library(numapool_source_digest OBJECT "${output}")
  add_dependencies(numapool_source_digest numapool_find_digest)
  return()
endif()

file(GLOB_RECURSE files RELATIVE "${ROOT}" "${ROOT}/csrc/*.cpp" "${ROOT}/csrc/*.hpp" "${ROOT}/csrc/*.cmake"
  "${ROOT}/csrc/CMakeLists.txt")
list(APPEND files CMakeLists.txt)
list(SORT files)
foreach(file IN LISTS files)
  file(SHA256 "${ROOT}/${file}" digest)
  string(APPEND listed "${digest}  ${file}\n")
endforeach()
string(SHA256 digest "${listed}")
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT "// Made by csrc/source_digest.cmake.
namespace numapool::bindings {
extern const char* const kSourceDigest;
const char* const kSourceDigest = \"@digest@\";
}  // namespace numapool::bindings
" @ONLY)
