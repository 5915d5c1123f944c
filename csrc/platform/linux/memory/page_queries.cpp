// One witness asked alone where a page is, to tell which of them this process may ask.
#include <unistd.h>

#include <cerrno>

#include "platform/linux/kernel/policy_calls.hpp"
#include "platform/linux/kernel/system_call.hpp"
#include "platform/linux/memory/numa_maps.hpp"
#include "platform/linux/memory/page_nodes.hpp"
#include "platform/memory.hpp"

namespace numapool::platform {
namespace {

constexpr const char* kNumaMaps = "/proc/self/numa_maps";

Result<int> by_move_pages(const void* page) {
  void* address = const_cast<void*>(page);
  int node = kUnanswered;
  const Status asked = ask_nodes({&address, 1}, {&node, 1});
  if (!asked) return asked.failure();
  if (node < 0) return Failure{Cause::kOther, "move_pages", 0, "it does not tell of the page"};
  return node;
}

Result<int> by_get_mempolicy(const void* page) {
  int node = kUnanswered;
  if (kernel::node_of_address(node, page) != 0) return failed("get_mempolicy", errno);
  if (node < 0) return failed("get_mempolicy", ENOSYS, "it answers without doing it");
  return node;
}

Result<int> by_numa_maps(const void* page) {
  if (access(kNumaMaps, R_OK) != 0) {
    const int code = errno;
    Failure failure = failed("open", code, kNumaMaps);
    if (code == ENOENT) failure.cause = Cause::kUnsupported;  // a kernel without NUMA
    return failure;
  }
  const auto begin = reinterpret_cast<std::uintptr_t>(page);
  const std::size_t bytes = base_page_bytes();
  const auto counted = count_in_numa_maps(begin, begin + bytes, bytes);
  if (!counted || counted->bytes_by_node.size() != 1) {
    return Failure{Cause::kOther, "numa_maps", 0, "no line of its own for the page"};
  }
  return counted->bytes_by_node.front().first;
}

}  // namespace

Result<int> node_of_page(const void* page, Method method) {
  switch (method) {
    case Method::kMovePages:
      return by_move_pages(page);
    case Method::kGetMempolicy:
      return by_get_mempolicy(page);
    case Method::kNumaMaps:
      return by_numa_maps(page);
    default:
      return Failure{Cause::kUnsupported, "node_of_page", 0, {}};
  }
}

}  // namespace numapool::platform
