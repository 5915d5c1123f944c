// Binds the memory policy of the calling thread, and what the platform says of it.
#include <pybind11/native_enum.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "numapool/current_topology.hpp"
#include "numapool/error.hpp"
#include "numapool/home_node.hpp"
#include "numapool/limits.hpp"
#include "platform/huge_pages.hpp"
#include "platform/memory.hpp"
#include "platform/thread.hpp"
#include "record.hpp"

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

// The least of the bounds that are known.
struct Available {
  std::uint64_t size_bytes = 0;
  std::string limit;
};

// What a request that names no node may use.
Available available() {
  std::vector<int> left_out;
  try {
    const SharedTopology machine = topology_now();
    left_out = left_out_for(*machine, {});
  } catch (const Error&) {  // a machine that cannot be read has no node that is left out
  }
  auto least = least_bound(bounds_without(left_out));
  if (!least) {
    fail("cannot tell what is available",
         {platform::Cause::kUnsupported, "available", 0, "this system tells no limit"});
  }
  return {*least->bytes, std::move(least->limit)};
}

void bind_huge_page_types(py::module_& module) {
  using platform::HugetlbOfNode;
  using platform::HugetlbReserve;
  using platform::TransparentState;
  Record<TransparentState>::bind(module, "TransparentState",
                                 {{"page_bytes", value<&TransparentState::page_bytes>},
                                  {"mode", text<&TransparentState::mode>},
                                  {"switch_file", text<&TransparentState::switch_file>},
                                  {"of_size", value<&TransparentState::of_size>},
                                  {"chosen", value<&TransparentState::chosen>},
                                  {"whole_entry", value<&TransparentState::whole_entry>}});
  Record<HugetlbOfNode>::bind(module, "HugetlbOfNode",
                              {{"node", value<&HugetlbOfNode::node>},
                               {"total_pages", value<&HugetlbOfNode::total>},
                               {"free_pages", value<&HugetlbOfNode::free>}});
  Record<HugetlbReserve>::bind(module, "HugetlbReserve",
                               {{"page_bytes", value<&HugetlbReserve::page_bytes>},
                                {"total_pages", value<&HugetlbReserve::total>},
                                {"free_pages", value<&HugetlbReserve::free>},
                                {"on_demand_pages", value<&HugetlbReserve::on_demand>},
                                {"by_node", record<&HugetlbReserve::by_node>}});
}

void bind_policy_types(py::module_& module) {
  using platform::Bound;
  using platform::HugetlbPool;
  using platform::ThreadMode;
  using platform::ThreadPolicy;
  py::class_<SavedPolicy>(module, "SavedPolicy");
  py::native_enum<ThreadMode>(module, "ThreadMode", "enum.Enum")
      .value("DEFAULT", ThreadMode::kDefault)
      .value("PREFERRED", ThreadMode::kPreferred)
      .value("BIND", ThreadMode::kBind)
      .value("INTERLEAVE", ThreadMode::kInterleave)
      .value("LOCAL", ThreadMode::kLocal)
      .value("PREFERRED_MANY", ThreadMode::kPreferredMany)
      .value("WEIGHTED_INTERLEAVE", ThreadMode::kWeightedInterleave)
      .value("OTHER", ThreadMode::kOther)
      .finalize();
  Record<ThreadPolicy>::bind(
      module, "ThreadPolicy",
      {{"mode", value<&ThreadPolicy::mode>}, {"nodes", value<&ThreadPolicy::nodes>}});
  Record<Available>::bind(
      module, "Available",
      {{"size_bytes", value<&Available::size_bytes>}, {"limit", text<&Available::limit>}});
  Record<Bound>::bind(module, "Bound",
                      {{"limit", text<&Bound::limit>},
                       {"size_bytes", value<&Bound::bytes>},
                       {"unknown", text<&Bound::unknown>}});
  Record<HugetlbPool>::bind(module, "HugetlbPool",
                            {{"page_bytes", value<&HugetlbPool::page_bytes>},
                             {"total_pages", value<&HugetlbPool::total>},
                             {"free_pages", value<&HugetlbPool::free>}});
  bind_huge_page_types(module);
}

}  // namespace

void bind_policy(py::module_& module) {
  bind_policy_types(module);
  module.def(
      "set_thread_policy",
      [](platform::ThreadMode mode, const std::vector<int>& nodes) {
        const auto before = platform::thread_policy();
        if (!before) fail("cannot read this thread's memory policy", before.failure());
        const platform::Status set = platform::set_thread_policy(mode, nodes);
        if (!set) fail("cannot set this thread's memory policy", set.failure());
        return SavedPolicy{before.value()};
      },
      py::arg("mode"), py::arg("nodes"));
  module.def("thread_policy", [] {
    const auto policy = platform::thread_policy();
    if (!policy) fail("cannot read this thread's memory policy", policy.failure());
    return as_record(policy.value());
  });
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
  // The nodes of a strict policy that the calling thread was started with, ascending; () without.
  module.def("inherited_bind", [] { return attribute(inherited_bind(*topology_now())); });
  module.def("current_node", &platform::current_node);
  module.def("has_numa", &platform::has_numa);
  module.def("base_page_bytes", &platform::base_page_bytes);
  module.def("transparent_page_bytes", [] { return platform::transparent_page_bytes(); });
  module.def("hugetlb_pools", [] { return as_record(platform::hugetlb_pools()); });
  module.def(
      "transparent_states",
      [](const std::string& root) { return as_record(platform::transparent_states(root)); },
      py::arg("root"));
  module.def(
      "hugetlb_reserves",
      [](const std::string& root) { return as_record(platform::hugetlb_reserves(root)); },
      py::arg("root"));
  module.def("available", [] { return as_record(available()); });
  module.def("memory_bounds", [] { return as_record(platform::memory_bounds()); });
  module.def(
      "hugetlb_bounds",
      [](std::size_t page_bytes) { return as_record(platform::hugetlb_bounds(page_bytes)); },
      py::arg("page_bytes"));
}

}  // namespace numapool::bindings
