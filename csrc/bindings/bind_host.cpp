// Binds the hypervisor, the balloon and free memory as plain tuples; Python makes its dataclasses.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "numapool/host.hpp"
#include "platform/host.hpp"
#include "text.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// Firmware and foreign trees may hold any bytes.
py::tuple all_words(const std::vector<std::string>& texts) {
  py::tuple out(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) out[i] = words(texts[i]);
  return out;
}

template <class Call>
auto without_gil(const Call& call) {
  const WithoutGil released;
  return call();
}

}  // namespace

void bind_host(py::module_& module) {
  // (present, signatures); None on processors without CPUID
  module.def("read_cpuid", []() -> py::object {
    const auto cpuid = read_cpuid();
    if (!cpuid) return py::none();
    return py::make_tuple(cpuid->hypervisor, all_words(cpuid->signatures));
  });
  // (kind, signature, product, evidence)
  module.def(
      "detect_hypervisor",
      [](const std::string& root, std::optional<std::vector<std::string>> signatures) {
        std::optional<Cpuid> cpuid;
        if (signatures) cpuid = Cpuid{!signatures->empty(), std::move(*signatures)};
        const Hypervisor found = without_gil([&] { return detect_hypervisor(root, cpuid); });
        return py::make_tuple(words_or_none(found.kind), words_or_none(found.vendor_signature),
                              words_or_none(found.product), all_words(found.evidence));
      },
      py::arg("root"), py::arg("cpuid_signatures"));
  // (version or 0, folder, top, why it is not known)
  module.def(
      "cgroup_folder",
      [](const std::string& root, const std::string& controller) {
        const platform::CgroupFolder found =
            without_gil([&] { return platform::cgroup_folder(root, controller); });
        return py::make_tuple(found.version, path_text(found.folder), path_text(found.top),
                              words(found.unknown));
      },
      py::arg("root"), py::arg("controller"));
  // (driver, at work, place, features, reports free pages, source, inflated, target in bytes)
  module.def(
      "read_balloon",
      [](const std::string& root) {
        const Balloon found = without_gil([&] { return read_balloon(root); });
        return py::make_tuple(words_or_none(found.driver), found.at_work, words(found.place),
                              all_words(found.features), found.reports_free_pages,
                              words_or_none(found.source), found.inflated_bytes,
                              found.target_bytes);
      },
      py::arg("root"));
  // (order, assumed, block, reportable, fragmented bytes)
  module.def(
      "free_blocks",
      [](const std::string& root) {
        const FreeBlocks found = without_gil([&] { return free_blocks(root); });
        return py::make_tuple(found.order, found.order_assumed, found.block_bytes,
                              found.reportable_bytes, found.fragmented_bytes);
      },
      py::arg("root"));
  module.def(
      "compact_memory",
      [](const std::string& root) {
        const WithoutGil released;
        compact_memory(root);
      },
      py::arg("root"));
  // (now, peak) in bytes
  module.def("resident_memory", [] {
    const Resident found = resident_memory();
    return py::make_tuple(found.now_bytes, found.peak_bytes);
  });
  module.def("trim_heap", [] {
    const WithoutGil released;
    return trim_heap();
  });
}

}  // namespace numapool::bindings
