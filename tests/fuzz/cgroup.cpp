// Fuzzes /proc/self/cgroup with a mountinfo: which folders the limits are looked for in.
#include "platform/linux/memory/cgroup.hpp"

#include "fuzz.hpp"

using namespace numapool;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  const std::string_view cgroup = fuzz::take(text);
  const auto has = [](const std::string& mount_point) {
    return mount_point.size() % 2 == 1 ? platform::Has::kYes : platform::Has::kNo;
  };
  const auto place = platform::find_cgroup(cgroup, text, "memory", has).place;
  if (!place) return 0;
  fuzz::require(place->version == 1 || place->version == 2, "there are two versions");
  fuzz::require(place->path.starts_with('/'), "the path starts at the mount");
  fuzz::require(place->path.find("/../") == std::string::npos && !place->path.ends_with("/.."),
                "and does not leave it");
  const auto levels = platform::levels_of(*place);
  fuzz::require(!levels.empty() && levels.size() <= place->path.size() + 1, "the levels end");
  for (const auto& level : levels)
    fuzz::require(level.folder().starts_with(place->mount_point), "all are below the mount");
  return 0;
}
