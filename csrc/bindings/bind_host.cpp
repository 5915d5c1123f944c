// Binds the hypervisor, the balloon and free memory as records; Python makes its dataclasses.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "numapool/host.hpp"
#include "platform/host.hpp"
#include "record.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

void bind_host_records(py::module_& module) {
  Record<Cpuid>::bind(
      module, "Cpuid",
      {{"hypervisor", value<&Cpuid::hypervisor>}, {"signatures", texts<&Cpuid::signatures>}});
  Record<Hypervisor>::bind(module, "Hypervisor",
                           {{"kind", text_or_none<&Hypervisor::kind>},
                            {"vendor_signature", text_or_none<&Hypervisor::vendor_signature>},
                            {"product", text_or_none<&Hypervisor::product>},
                            {"evidence", texts<&Hypervisor::evidence>}});
  using platform::CgroupFolder;
  Record<CgroupFolder>::bind(module, "CgroupFolder",
                             {{"version", value<&CgroupFolder::version>},
                              {"folder", path<&CgroupFolder::folder>},
                              {"top", path<&CgroupFolder::top>},
                              {"unknown", text<&CgroupFolder::unknown>}});
  Record<Balloon>::bind(module, "Balloon",
                        {{"driver", text_or_none<&Balloon::driver>},
                         {"at_work", value<&Balloon::at_work>},
                         {"place", text<&Balloon::place>},
                         {"features", texts<&Balloon::features>},
                         {"reports_free_pages", value<&Balloon::reports_free_pages>},
                         {"source", text_or_none<&Balloon::source>},
                         {"inflated_bytes", value<&Balloon::inflated_bytes>},
                         {"target_bytes", value<&Balloon::target_bytes>}});
  Record<FreeBlocks>::bind(module, "FreeBlocks",
                           {{"order", value<&FreeBlocks::order>},
                            {"order_assumed", value<&FreeBlocks::order_assumed>},
                            {"block_bytes", value<&FreeBlocks::block_bytes>},
                            {"reportable_bytes", value<&FreeBlocks::reportable_bytes>},
                            {"fragmented_bytes", value<&FreeBlocks::fragmented_bytes>}});
  Record<Resident>::bind(
      module, "ResidentMemory",
      {{"now_bytes", value<&Resident::now_bytes>}, {"peak_bytes", value<&Resident::peak_bytes>}});
}

}  // namespace

void bind_host(py::module_& module) {
  bind_host_records(module);
  // None on processors without CPUID
  module.def("read_cpuid", [] { return as_record(read_cpuid()); });
  module.def(
      "detect_hypervisor",
      [](const std::string& root, std::optional<std::vector<std::string>> signatures) {
        std::optional<Cpuid> cpuid;
        if (signatures) cpuid = Cpuid{!signatures->empty(), std::move(*signatures)};
        return as_record(without_gil([&] { return detect_hypervisor(root, cpuid); }));
      },
      py::arg("root"), py::arg("cpuid_signatures"));
  module.def(
      "cgroup_folder",
      [](const std::string& root, const std::string& controller) {
        return as_record(without_gil([&] { return platform::cgroup_folder(root, controller); }));
      },
      py::arg("root"), py::arg("controller"));
  module.def(
      "read_balloon",
      [](const std::string& root) {
        return as_record(without_gil([&] { return read_balloon(root); }));
      },
      py::arg("root"));
  module.def(
      "free_blocks",
      [](const std::string& root) {
        return as_record(without_gil([&] { return free_blocks(root); }));
      },
      py::arg("root"));
  module.def(
      "compact_memory",
      [](const std::string& root) {
        const WithoutGil released;
        compact_memory(root);
      },
      py::arg("root"));
  module.def("resident_memory", [] { return as_record(resident_memory()); });
  module.def("trim_heap", [] {
    const WithoutGil released;
    return trim_heap();
  });
}

}  // namespace numapool::bindings
