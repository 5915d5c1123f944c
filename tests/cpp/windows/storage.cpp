// Files of the real system: both handles, offsets, pieces, ends and errors.
#include "platform/storage.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cerrno>
#include <string>
#include <vector>

#include "platform/memory.hpp"
#include "platform/windows/api.hpp"

namespace numapool::platform::windows::testing {
namespace {

constexpr std::size_t kPage = 4096;

std::string scratch(const char* name) {
  wchar_t folder[MAX_PATH + 1];
  ::GetTempPathW(MAX_PATH, folder);
  return to_utf8(folder) + name;
}

TEST_CASE("what is written in pieces at an offset is read back, past the cache too") {
  const std::string path = scratch("numapool-\xc3\xa4.bin");  // a name beyond ASCII
  FileRequest writing;
  writing.write = writing.create = writing.truncate = true;
  const auto made = open_file(path, writing);
  REQUIRE(made);
  std::string first(kPage, 'a');
  std::string second(kPage, 'b');
  const std::array<Piece, 2> pieces{Piece{first.data(), kPage}, Piece{second.data(), kPage}};
  const IoResult written = write_at(made.value().handle, pieces, kPage);
  CHECK(written.end == IoEnd::kDone);
  CHECK(written.bytes == 2 * kPage);
  CHECK(sync_data(made.value().handle) == 0);
  CHECK(close_handle(made.value().handle) == 0);
  if (made.value().direct_handle != kNoFile) CHECK(close_handle(made.value().direct_handle) == 0);

  const auto opened = open_file(path, {});
  REQUIRE(opened);
  CHECK(opened.value().size_bytes == 3 * kPage);
  const auto memory = map(4 * kPage, {PageKind::kBase, kPage});
  REQUIRE(memory);
  auto* const bytes = static_cast<char*>(memory.value());
  for (const FileHandle handle : {opened.value().handle, opened.value().direct_handle}) {
    if (handle == kNoFile) continue;
    const std::array<Piece, 1> whole{Piece{bytes, 4 * kPage}};
    const IoResult got = read_at(handle, whole, 0);
    CHECK(got.end == IoEnd::kDone);
    CHECK(got.bytes == 3 * kPage);
    CHECK(bytes[0] == 0);
    CHECK(bytes[kPage] == 'a');
    CHECK(bytes[3 * kPage - 1] == 'b');
    const IoResult past = read_at(handle, whole, 8 * kPage);
    CHECK(past.end == IoEnd::kDone);
    CHECK(past.bytes == 0);
    CHECK(close_handle(handle) == 0);
  }
  CHECK((opened.value().direct_handle != kNoFile || !opened.value().why_not_direct.empty()));
  CHECK(unmap(bytes, 4 * kPage));
  CHECK(::DeleteFileW(to_wide(path).c_str()) != FALSE);
}

TEST_CASE("folders, missing files and bad handles have their own numbers") {
  CHECK(open_file(scratch(""), {}).failure().code == EISDIR);
  CHECK(open_file(scratch("numapool-none.bin"), {}).failure().code == ENOENT);
  CHECK(open_file("\\\\.\\pipe\\numapool-none", {}).failure().code == ESPIPE);
  FileRequest not_made;
  not_made.write = true;
  CHECK(open_file(scratch("numapool-none.bin"), not_made).failure().code == ENOENT);
  char byte = 0;
  const std::array<Piece, 1> piece{Piece{&byte, 1}};
  const IoResult got = read_at(kNoFile, piece, 0);
  CHECK(got.end == IoEnd::kFailed);
  CHECK(got.code == EBADF);
}

}  // namespace
}  // namespace numapool::platform::windows::testing
