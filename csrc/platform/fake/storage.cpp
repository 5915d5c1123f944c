// The scripted machine's files: they hold what a test says, and fail where it says.
#include "platform/storage.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "platform/fake/storage_script.hpp"

namespace numapool::platform {
namespace {

struct Handle {
  std::string path;
  bool direct = false;
};

std::map<FileHandle, Handle>& handles() {  // under the script's mutex
  static std::map<FileHandle, Handle> open;
  return open;
}

FileHandle open_one(const std::string& path, bool direct) {
  static FileHandle next = 100;
  handles()[++next] = {path, direct};
  ++fake::storage_script().open_handles;
  return next;
}

bool aligned(const fake::StorageFile& file, std::span<const Piece> pieces, std::uint64_t offset) {
  return offset % file.transfer_align == 0 &&
         std::all_of(pieces.begin(), pieces.end(), [&](const Piece& piece) {
           return reinterpret_cast<std::uintptr_t>(piece.address) % file.memory_align == 0 &&
                  piece.length % file.transfer_align == 0;
         });
}

std::uint64_t allowed(const fake::StorageFile& file, std::uint64_t offset, std::uint64_t asked) {
  if (file.most_bytes != 0) asked = std::min<std::uint64_t>(asked, file.most_bytes);
  const auto bad = file.bad.lower_bound(offset);
  return bad == file.bad.end() ? asked : std::min(asked, bad->first - offset);
}

// Like a device, it transfers whole blocks: bytes beyond the end of the file are zero.
void clear(const fake::StorageFile& file, std::span<const Piece> pieces, std::uint64_t from) {
  std::uint64_t end = (from + file.transfer_align - 1) / file.transfer_align * file.transfer_align;
  std::uint64_t at = 0;
  for (const Piece& piece : pieces) {
    for (std::size_t i = 0; i < piece.length; ++i, ++at) {
      if (at >= from && at < end) piece.address[i] = 0;
    }
  }
}

void copy(fake::StorageFile& file, std::span<const Piece> pieces, std::uint64_t offset,
          std::uint64_t bytes, bool write) {
  for (const Piece& piece : pieces) {
    const std::size_t part = std::min<std::uint64_t>(piece.length, bytes);
    char* const at = file.bytes.data() + offset;
    if (write) {
      std::memcpy(at, piece.address, part);
    } else {
      std::memcpy(piece.address, at, part);
    }
    offset += part;
    bytes -= part;
  }
}

IoResult transfer(FileHandle handle, std::span<const Piece> pieces, std::uint64_t offset,
                  bool write) {
  fake::StorageScript& script = fake::storage_script();
  std::unique_lock lock(script.mutex);
  if (script.hold_reads && !write) {
    ++script.held_reads;
    script.changed.notify_all();
    script.changed.wait(lock, [&] { return !script.hold_reads; });
    --script.held_reads;
  }
  const auto found = handles().find(handle);
  std::uint64_t asked = 0;
  for (const Piece& piece : pieces) asked += piece.length;
  if (found == handles().end() || pieces.empty() || pieces.size() > kMostPieces ||
      offset > kLastOffset || asked > kLastOffset - offset) {
    ++script.misuses;
    return {0, IoEnd::kFailed, EBADF};
  }
  fake::StorageFile& file = script.files.at(found->second.path);
  const bool direct = found->second.direct;
  if (file.before) file.before(file, offset);
  if (file.interrupts > 0) {
    --file.interrupts;
    return {0, IoEnd::kInterrupted, EINTR};
  }
  if (direct && !aligned(file, pieces, offset)) {
    ++script.misuses;
    return {0, IoEnd::kMisaligned, EINVAL};
  }
  if (direct && file.refuses_direct) return {0, IoEnd::kMisaligned, EINVAL};
  const auto bad = file.bad.lower_bound(offset);
  if (bad != file.bad.end() && (direct ? bad->first < offset + asked : bad->first == offset))
    return {0, IoEnd::kFailed, bad->second};
  std::uint64_t bytes = allowed(file, offset, asked);
  const std::uint64_t end = write ? file.room : file.bytes.size();
  bytes = offset >= end ? 0 : std::min(bytes, end - offset);
  if (write && bytes == 0) return {0, IoEnd::kFailed, ENOSPC};
  if (write && file.bytes.size() < offset + bytes) file.bytes.resize(offset + bytes);
  copy(file, pieces, offset, bytes, write);
  if (direct && !write) clear(file, pieces, bytes);
  script.calls.push_back({write, direct, offset, asked, bytes});
  script.changed.notify_all();
  return {bytes, IoEnd::kDone, 0};
}

}  // namespace

fake::StorageScript& fake::storage_script() {
  static StorageScript script;
  return script;
}

void fake::reset_storage() {
  StorageScript& script = storage_script();
  const std::lock_guard guard(script.mutex);
  script.files.clear();
  script.calls.clear();
  script.misuses = 0;
  script.hold_reads = false;
  script.queue_code = 0;
  script.queue_seed = 1;
  script.queue_refusals.clear();
  script.queued_reads = 0;
  script.queue_interrupts = 0;
}

Result<OpenedFile> open_file(const std::string& path, const FileRequest& request) {
  fake::StorageScript& script = fake::storage_script();
  const std::lock_guard guard(script.mutex);
  if (!script.files.contains(path) && !(request.write && request.create))
    return Failure{Cause::kOther, "open", ENOENT, {}};
  fake::StorageFile& file = script.files[path];
  if (file.before_open) file.before_open(file);
  if (file.open_code != 0) return Failure{Cause::kOther, "open", file.open_code, {}};
  if (request.truncate) file.bytes.clear();
  OpenedFile out;
  out.handle = open_one(path, false);
  out.size_bytes = file.bytes.size();
  if (!request.direct || !file.direct) {
    out.why_not_direct = request.direct ? "the file system has no direct I/O" : "not asked for";
    return out;
  }
  out.direct_handle = open_one(path, true);
  out.memory_align = file.memory_align;
  out.transfer_align = file.transfer_align;
  return out;
}

IoResult read_at(FileHandle handle, std::span<const Piece> pieces, std::uint64_t offset) noexcept {
  return transfer(handle, pieces, offset, false);
}

IoResult write_at(FileHandle handle, std::span<const Piece> pieces, std::uint64_t offset) noexcept {
  return transfer(handle, pieces, offset, true);
}

int sync_data(FileHandle handle) noexcept {
  fake::StorageScript& script = fake::storage_script();
  const std::lock_guard guard(script.mutex);
  fake::StorageFile& file = script.files.at(handles().at(handle).path);
  if (file.sync_interrupts > 0) {
    --file.sync_interrupts;
    return EINTR;
  }
  return file.sync_code;
}

int close_handle(FileHandle handle) noexcept {
  fake::StorageScript& script = fake::storage_script();
  const std::lock_guard guard(script.mutex);
  const auto found = handles().find(handle);
  if (found == handles().end()) {
    ++script.misuses;
    return EBADF;
  }
  const int code = script.files.contains(found->second.path)
                       ? script.files.at(found->second.path).close_code
                       : 0;
  handles().erase(found);
  --script.open_handles;
  return code;
}

}  // namespace numapool::platform
