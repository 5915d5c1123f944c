// Fuzzes /proc/self/mountinfo: which mount a path is on, its options, and escaped characters.
#include "platform/linux/files/mountinfo.hpp"

#include "fuzz.hpp"

using namespace numapool;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  const std::string_view path = fuzz::take(text);
  if (const auto mount = platform::mount_of_path(text, path)) {
    fuzz::require(platform::below(path, mount->point).has_value(), "the path is below its mount");
    static_cast<void>(platform::mount_option(mount->options, "subvolid"));
  }
  for (const std::uint64_t id : {0U, 1U, 25U}) {
    const auto mount = platform::mount_of_id(text, id);
    fuzz::require(!mount || mount->id == id, "the mount of that id");
  }
  fuzz::require(platform::unescaped(text).size() <= text.size(), "no character is made of none");
  if (const auto rest = platform::below(path, "/mnt"))
    fuzz::require(rest->empty() || rest->front() == '/', "what is below starts with a slash");
  return 0;
}
