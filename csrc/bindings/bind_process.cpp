// Binds the memory of whole processes: where it is, and moving it.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include "bindings.hpp"
#include "numapool/error.hpp"
#include "platform/memory.hpp"
#include "platform/node_loads.hpp"
#include "platform/process_memory.hpp"
#include "record.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

[[noreturn]] void refuse_process(const char* what, const platform::Failure& failure) {
  const ErrorKind kind =
      platform::is_no_job(failure) ? ErrorKind::kUnsupported : ErrorKind::kSystem;
  throw Error(kind, std::string(what) + ": " + describe(failure), failure.code);
}

const char* name_of(platform::PageUse use) {
  switch (use) {
    case platform::PageUse::kHeap:
      return "heap";
    case platform::PageUse::kStack:
      return "stack";
    case platform::PageUse::kHuge:
      return "huge";
    case platform::PageUse::kFile:
      return "file";
    case platform::PageUse::kPrivate:
      return "private";
  }
  return "private";
}

py::dict by_node(const std::map<int, std::uint64_t>& nodes) {
  py::dict bytes;
  for (const auto& [node, count] : nodes) bytes[py::int_(node)] = count;
  return bytes;
}

py::object bytes_by_use(const platform::ProcessMemory& memory) {
  py::dict uses;
  for (const auto& [use, nodes] : memory.bytes) uses[name_of(use)] = by_node(nodes);
  return uses;
}

// Those that other processes map too.
py::object shared_bytes_by_node(const platform::ProcessMemory& memory) {
  return by_node(memory.shared_bytes);
}

platform::Result<platform::ProcessMemory> read(const std::string& folder) {
  const WithoutGil released;
  return platform::process_memory(folder);
}

py::object areas(const std::string& folder, int from, int to) {
  const auto found = without_gil([&] { return platform::private_areas(folder, from, to); });
  if (!found) refuse_process("cannot see the mappings of a process", found.failure());
  return as_record(found.value());
}

std::uint64_t move(int process, std::uintptr_t begin, std::uintptr_t end, int node) {
  const auto moved =
      without_gil([&] { return platform::move_process_pages(process, {begin, end}, node); });
  if (!moved) refuse_process("cannot move the pages of a process", moved.failure());
  return moved.value();
}

platform::Result<std::uint64_t> migrate(int process, const std::vector<int>& from,
                                        const std::vector<int>& to) {
  const WithoutGil released;
  return platform::migrate_process(process, from, to);
}

}  // namespace

void bind_process(py::module_& module) {
  using platform::ProcessMemory;
  Record<ProcessMemory>::bind(module, "ProcessMemory",
                              {{"bytes_by_use", &bytes_by_use},
                               {"shared_bytes_by_node", &shared_bytes_by_node},
                               {"mappings", value<&ProcessMemory::mappings>},
                               {"policy", text<&ProcessMemory::policy>}});
  module.def(
      "process_memory",
      [](const std::string& folder) {
        const auto memory = read(folder);
        if (!memory)
          refuse_process("cannot see where the pages of a process are", memory.failure());
        return as_record(memory.value());
      },
      py::arg("folder"));
  // Bytes that pages which are moved to a node may take there: free above the kernel's reserve, or
  // clean file pages that are dropped for them.
  module.def(
      "room_for_pages",
      [](int node) -> std::uint64_t {
        const auto room = platform::node_room(node);
        if (!room) refuse_process("cannot tell the room of a node", room.failure());
        const auto spare = platform::spare_bytes(node);
        return (spare ? spare.value() : room.value().free_bytes) + room.value().clean_file_bytes;
      },
      py::arg("node"));
  using platform::NodeLoadCounters;
  Record<NodeLoadCounters>::bind(module, "NodeLoadCounters",
                                 {{"loads", value<&NodeLoadCounters::loads>},
                                  {"remote", value<&NodeLoadCounters::remote>},
                                  {"loads_are_local", value<&NodeLoadCounters::loads_are_local>}});
  module.def(
      "count_node_loads",
      [](int thread) {
        const auto counters = platform::count_node_loads(thread);
        if (!counters) refuse_process("cannot count accesses by node", counters.failure());
        return as_record(counters.value());
      },
      py::arg("thread"));
  using platform::ProcessArea;
  Record<ProcessArea>::bind(
      module, "ProcessArea",
      {{"begin", value<&ProcessArea::begin>}, {"end", value<&ProcessArea::end>}});
  module.def("private_areas", &areas, py::arg("folder"), py::arg("from_node"), py::arg("to_node"));
  // The bytes that are on the node then.
  module.def("move_process_pages", &move, py::arg("process"), py::arg("begin"), py::arg("end"),
             py::arg("node"));
  // How many pages stayed.
  module.def(
      "migrate_process",
      [](int process, const std::vector<int>& from, const std::vector<int>& to) {
        const auto stayed = migrate(process, from, to);
        if (!stayed) refuse_process("cannot move the pages of a process", stayed.failure());
        return stayed.value();
      },
      py::arg("process"), py::arg("from_nodes"), py::arg("to_nodes"));
}

}  // namespace numapool::bindings
