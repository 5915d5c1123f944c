// Binds the allocator: arguments in, NodeBuffer and the reasons for a lesser placement out.
#include <pybind11/native_enum.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <utility>

#include "bindings.hpp"
#include "interrupt.hpp"
#include "node_buffer.hpp"
#include "node_buffer_text.hpp"
#include "numapool/allocator.hpp"
#include "record.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// A buffer, and why it is placed with less certainty than was asked for.
struct Allocated {
  py::object buffer;
  std::vector<Degradation> degradations;
};

py::object allocated(Allocation&& allocation) {
  PyObject* const buffer = make_node_buffer(std::move(allocation.block));
  if (buffer == nullptr) throw py::error_already_set();
  return as_record(
      Allocated{py::reinterpret_steal<py::object>(buffer), std::move(allocation.degradations)});
}

void bind_allocator_types(py::module_& module) {
  py::native_enum<PageRequest::Kind>(module, "PageKind", "enum.Enum")
      .value("AUTO", PageRequest::Kind::kAuto)
      .value("BASE", PageRequest::Kind::kBase)
      .value("TRANSPARENT", PageRequest::Kind::kTransparent)
      .value("HUGETLB", PageRequest::Kind::kHugetlb)
      .finalize();
  // numapool.AllocationStep takes its members from here.
  py::native_enum<AllocationStep> steps(module, "AllocationStep", "enum.Enum");
  for (const AllocationStep step : {AllocationStep::kPreferred, AllocationStep::kNearest,
                                    AllocationStep::kAny, AllocationStep::kUnbound})
    steps.value(step_name(step), step);
  steps.finalize();
  py::native_enum<Degradation::Cause>(module, "DegradationCause", "enum.Enum")
      .value("POLICY_REFUSED", Degradation::Cause::kPolicyRefused)
      .value("NOT_VERIFIED", Degradation::Cause::kNotVerified)
      .finalize();
  Record<Degradation>::bind(
      module, "Degradation",
      {{"cause", value<&Degradation::cause>}, {"message", text<&Degradation::message>}});
  Record<Allocated>::bind(
      module, "Allocation",
      {{"buffer", value<&Allocated::buffer>}, {"degradations", record<&Allocated::degradations>}});
}

}  // namespace

void bind_allocator(py::module_& module) {
  bind_allocator_types(module);
  py::class_<Allocator>(module, "Allocator")
      .def(py::init([](std::shared_ptr<Topology> topology) {
             return std::make_unique<Allocator>(std::move(topology));
           }),
           py::arg("topology").none(true))
      .def(
          "allocate",
          [](const Allocator& self, std::size_t size_bytes, std::vector<int> nodes, bool strict,
             PageRequest::Kind page_kind, std::size_t hugetlb_bytes, bool populate, bool mlock,
             bool core_dump) {
            AllocationRequest request;
            request.size_bytes = size_bytes;
            request.nodes = NodeIds(std::move(nodes));
            request.page = {page_kind, hugetlb_bytes};
            request.strict = strict;
            request.populate = populate;
            request.mlock = mlock;
            request.core_dump = core_dump;
            Allocation allocation;
            {
              const WithoutGil released;
              allocation = self.allocate(request, check_signals);
            }
            return allocated(std::move(allocation));
          },
          py::arg("size_bytes"), py::arg("nodes"), py::arg("strict"), py::arg("page_kind"),
          py::arg("hugetlb_bytes"), py::arg("populate"), py::arg("mlock"), py::arg("core_dump"))
      .def(
          "allocate_interleaved",
          [](const Allocator& self, std::size_t size_bytes, std::vector<int> nodes, bool weighted,
             std::vector<unsigned> weights, bool strict, PageRequest::Kind page_kind,
             std::size_t hugetlb_bytes, bool populate, bool mlock, bool core_dump) {
            InterleaveRequest request;
            request.size_bytes = size_bytes;
            request.nodes = std::move(nodes);
            request.weighted = weighted;
            request.weights = std::move(weights);
            request.page = {page_kind, hugetlb_bytes};
            request.strict = strict;
            request.populate = populate;
            request.mlock = mlock;
            request.core_dump = core_dump;
            Allocation allocation;
            {
              const WithoutGil released;
              allocation = self.allocate_interleaved(request, check_signals);
            }
            return allocated(std::move(allocation));
          },
          py::arg("size_bytes"), py::arg("nodes"), py::arg("weighted"), py::arg("weights"),
          py::arg("strict"), py::arg("page_kind"), py::arg("hugetlb_bytes"), py::arg("populate"),
          py::arg("mlock"), py::arg("core_dump"));
}

}  // namespace numapool::bindings
