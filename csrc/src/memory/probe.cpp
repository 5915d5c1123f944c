// Tries each call on its own mapping, and turns a failure into an exception.
#include "numapool/probe.hpp"

#include <array>

#include "memory/populate.hpp"
#include "numapool/buffer.hpp"
#include "numapool/error.hpp"
#include "numapool/size_text.hpp"

namespace numapool {
namespace {

void require(const platform::Status& status) {
  if (status) return;
  const platform::Failure& failure = status.failure();
  throw Error(platform::is_denied(failure) ? ErrorKind::kUnsupported : ErrorKind::kSystem,
              describe(failure), failure.code);
}

platform::Pages base_pages() { return {platform::PageKind::kBase, platform::base_page_bytes()}; }

class Scratch {
 public:
  explicit Scratch(const platform::Pages& pages = base_pages()) : mapping_(pages.bytes, pages) {}

  void set_policy(platform::Policy policy, int node) {
    const std::array<int, 1> nodes{node};
    require(platform::set_policy(mapping_.address(), mapping_.length(), policy, nodes, false));
  }
  void populate() {
    require(platform::populate(mapping_.address(), mapping_.length(), mapping_.pages()));
  }
  [[nodiscard]] platform::Residency residency() const {
    return platform::residency(mapping_.address(), mapping_.length(), mapping_.pages(),
                               platform::Precision::kExact);
  }
  [[nodiscard]] std::optional<int> node() const {
    const platform::Residency seen = residency();
    if (seen.bytes_by_node.empty()) return std::nullopt;
    return seen.bytes_by_node.front().first;
  }
  [[nodiscard]] const Mapping& mapping() const noexcept { return mapping_; }

 private:
  Mapping mapping_;
};

}  // namespace

std::optional<int> try_bind(platform::Policy policy, int node) {
  Scratch scratch;
  scratch.set_policy(policy, node);
  scratch.populate();
  return scratch.node();
}

std::optional<int> try_move(int node) {
  Scratch scratch;
  scratch.populate();
  const Mapping& mapping = scratch.mapping();
  const auto moved =
      platform::move_to_node(mapping.address(), mapping.length(), mapping.pages(), node);
  if (!moved) require(moved.failure());
  return scratch.node();
}

int try_witness(platform::Method method) {
  Scratch scratch;
  const Mapping& mapping = scratch.mapping();
  // A mapping that differs from its neighbours has its own line in numa_maps. If the kernel has no
  // huge pages and refuses, the source reports that it cannot tell.
  static_cast<void>(platform::forbid_huge_pages(mapping.address(), mapping.length()));
  scratch.populate();
  const auto node = platform::node_of_page(mapping.address(), method);
  if (!node) require(node.failure());
  return node.value();
}

void try_lock() {
  const Scratch scratch;
  require(platform::lock(scratch.mapping().address(), scratch.mapping().length(), true));
}

std::size_t try_page(const platform::Pages& pages, bool touch) {
  if (touch && pages.bytes > kLargestProbe) {
    throw Error(ErrorKind::kInvalidArgument,
                "a page of " + size_text(pages.bytes) + " is too large to be tried");
  }
  if (touch) require_available(pages.bytes, "cannot try a page of ");
  Scratch scratch(pages);
  if (!touch) return pages.bytes;
  scratch.populate();
  return scratch.residency().page_bytes;
}

}  // namespace numapool
