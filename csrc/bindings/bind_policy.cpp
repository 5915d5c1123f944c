// Binds the memory policy of the calling thread, and what the platform says of it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "numapool/current_topology.hpp"
#include "numapool/error.hpp"
#include "numapool/home_node.hpp"
#include "numapool/limits.hpp"
#include "platform/memory.hpp"
#include "platform/thread.hpp"
#include "text.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// Any thread's policy, kept to be restored; Python only carries it about.
struct SavedPolicy {
  platform::ThreadPolicy policy;
};

[[noreturn]] void fail(const char* what, const platform::Failure& failure) {
  const ErrorKind kind =
      platform::is_denied(failure) ? ErrorKind::kUnsupported : ErrorKind::kSystem;
  throw Error(kind, std::string(what) + ": " + describe(failure), failure.code);
}

py::list bounds_list(const std::vector<platform::Bound>& bounds) {
  py::list out;
  for (const platform::Bound& one : bounds) {
    out.append(py::make_tuple(words(one.limit), one.bytes, words(one.unknown)));
  }
  return out;
}

platform::ThreadMode mode_named(const std::string& name) {
  if (name == "preferred") return platform::ThreadMode::kPreferred;
  if (name == "interleave") return platform::ThreadMode::kInterleave;
  return platform::ThreadMode::kLocal;
}

}  // namespace

void bind_policy(py::module_& module) {
  py::class_<SavedPolicy>(module, "SavedPolicy");
  module.def(
      "set_thread_policy",
      [](const std::string& mode, const std::vector<int>& nodes) {
        const auto before = platform::thread_policy();
        if (!before) fail("cannot read this thread's memory policy", before.failure());
        const platform::Status set = platform::set_thread_policy(mode_named(mode), nodes);
        if (!set) fail("cannot set this thread's memory policy", set.failure());
        return SavedPolicy{before.value()};
      },
      py::arg("mode"), py::arg("nodes"));
  module.def(
      "restore_thread_policy",
      [](const SavedPolicy& saved) {
        const platform::Status restored = platform::restore_thread_policy(saved.policy);
        if (!restored) fail("cannot restore this thread's memory policy", restored.failure());
      },
      py::arg("saved"));
  // The node that numapool takes for the calling thread where none is named; -1: its CPU's.
  module.def("home_node", &home_node);
  module.def("set_home_node", &set_home_node, py::arg("node"));
  module.def("set_process_home_node", &set_process_home_node, py::arg("node"));
  // The nodes of a strict policy that the calling thread was started with, ascending; [] without.
  module.def("inherited_bind", [] {
    py::list nodes;
    for (const int node : inherited_bind(*topology_now())) nodes.append(node);
    return nodes;
  });
  module.def("current_node", &platform::current_node);
  module.def("has_numa", &platform::has_numa);
  module.def("base_page_bytes", &platform::base_page_bytes);
  module.def("transparent_page_bytes", &platform::transparent_page_bytes);
  // [(page size, reserved pages, free pages), ...] in bytes and pages
  module.def("hugetlb_pools", [] {
    py::list pools;
    for (const platform::HugetlbPool& pool : platform::hugetlb_pools()) {
      pools.append(py::make_tuple(pool.page_bytes, pool.total, pool.free));
    }
    return pools;
  });
  // (bytes, the limit that is the least)
  module.def("available", []() -> py::tuple {
    const auto least = least_bound(platform::memory_bounds());
    if (!least) {
      fail("cannot tell what is available",
           {platform::Cause::kUnsupported, "available", 0, "this system tells no limit"});
    }
    return py::make_tuple(*least->bytes, least->limit);
  });
  // [(limit, bytes or None, why they are not known), ...]
  module.def("memory_bounds", [] { return bounds_list(platform::memory_bounds()); });
  module.def(
      "hugetlb_bounds",
      [](std::size_t page_bytes) { return bounds_list(platform::hugetlb_bounds(page_bytes)); },
      py::arg("page_bytes"));
}

}  // namespace numapool::bindings
