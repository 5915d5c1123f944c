// Notes on parts of a topology that could not be read or made no sense.
#include "platform/linux/machine/topology_notes.hpp"

#include <cerrno>
#include <utility>

namespace numapool::platform {

bool is_shortage(int code) noexcept { return code == EMFILE || code == ENFILE || code == ENOMEM; }

void Notes::add(Failure failure, std::string instead) {
  notes_.push_back({std::move(failure), std::move(instead)});
}

void Notes::add_unreadable(const Folder& folder, const char* file, int code, std::string instead) {
  if (code == ENOENT) return;
  add(Failure{Cause::kOther, "open", code, folder.path_to(file)}, std::move(instead));
}

const Failure* Notes::nonsense() const noexcept {
  for (const TopologyNote& note : notes_) {
    if (note.failure.cause == Cause::kUnintelligible) return &note.failure;
  }
  return nullptr;
}

const Failure* Notes::shortage() const noexcept {
  for (const TopologyNote& note : notes_) {
    if (is_shortage(note.failure.code)) return &note.failure;
  }
  return nullptr;
}

}  // namespace numapool::platform
