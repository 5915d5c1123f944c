// Files where the system is unknown: none is opened.
#include "platform/storage.hpp"

namespace numapool::platform {

Result<OpenedFile> open_file(const std::string&, const FileRequest&) {
  return Failure{Cause::kUnsupported, "open_file", 0, {}};
}

IoResult read_at(FileHandle, std::span<const Piece>, std::uint64_t) noexcept {
  return {0, IoEnd::kFailed, 0};
}

IoResult write_at(FileHandle, std::span<const Piece>, std::uint64_t) noexcept {
  return {0, IoEnd::kFailed, 0};
}

int sync_data(FileHandle) noexcept { return 0; }

int close_handle(FileHandle) noexcept { return 0; }

}  // namespace numapool::platform
