// Free memory of a node, read anew each time.
#include <algorithm>
#include <cerrno>
#include <string>

#include "platform/linux/files/file_tree.hpp"
#include "platform/linux/files/file_values.hpp"
#include "platform/linux/files/id_list.hpp"
#include "platform/linux/machine/node_folder.hpp"
#include "platform/linux/machine/node_memory.hpp"
#include "platform/topology.hpp"

namespace numapool::platform {
namespace {

Result<std::uint64_t> machine_free_bytes(const Folder& root) {
  const auto text = root.read("proc/meminfo");
  if (!text) return Failure{Cause::kOther, "open", errno, root.path_to("proc/meminfo")};
  const auto bytes = meminfo_bytes(*text, "MemFree:");
  if (!bytes) return root.nonsense("proc/meminfo", *text, "has no MemFree in kB");
  return *bytes;
}

}  // namespace

Result<std::uint64_t> free_memory_bytes(const std::string& root_path, int node_id) {
  const Folder root = Folder::open(root_path);
  if (!root.ok()) return Failure{Cause::kOther, "open", errno, root_path};
  const Folder nodes = root.folder(kNodesFolder);
  if (!nodes.ok() && node_id == 0) return machine_free_bytes(root);
  const Folder node = nodes.folder(node_folder_name(node_id).c_str());
  if (!node.ok()) {
    const int code = errno;
    return Failure{Cause::kOther, "open", code, node.path()};
  }
  const auto text = node.read("meminfo");
  const int code = text ? ENODATA : errno;
  if (!text || trimmed(*text).empty()) {
    const auto with_memory = nodes_with_memory(nodes);
    const bool has_none =
        with_memory && !std::binary_search(with_memory->begin(), with_memory->end(), node_id);
    if (has_none) return std::uint64_t{0};
    return Failure{Cause::kOther, text ? "read" : "open", code, node.path_to("meminfo")};
  }
  const auto bytes = meminfo_bytes(*text, "MemFree:");
  if (!bytes) return node.nonsense("meminfo", *text, "has no MemFree in kB");
  auto memory = parse_node_memory(*text);
  if (!memory) return *bytes;
  const auto with_memory = nodes.read("has_memory");
  if (with_memory && is_only_node_with_memory(*with_memory, node_id)) {
    if (const auto machine = root.read("proc/meminfo")) complete_only_node(*memory, *machine);
  }
  return memory->free_bytes;
}

}  // namespace numapool::platform
