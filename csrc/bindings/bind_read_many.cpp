// Binds many reads at a time. Their failures are returned as values; numapool.storage.many raises
// them.
#include <pybind11/native_enum.h>
#include <pybind11/pybind11.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "interrupt.hpp"
#include "numapool/read_many.hpp"
#include "numapool/storage.hpp"
#include "platform/read_queue.hpp"
#include "record.hpp"
#include "text.hpp"
#include "views.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// The result of the reads, or the failure to open the file.
struct ManyOutcome {
  ManyReads done;
  std::string why;  // why some of it went through the page cache; empty: it did not
  bool opened = true;
};

template <auto Member>
py::object of_reads(const ManyOutcome& outcome) {
  return attribute(outcome.done.*Member);
}

// A buffer of 64-bit numbers.
class Offsets {
 public:
  explicit Offsets(const py::object& numbers) {
    if (PyObject_GetBuffer(numbers.ptr(), &view_, PyBUF_SIMPLE) != 0) throw py::error_already_set();
  }
  ~Offsets() { PyBuffer_Release(&view_); }
  Offsets(const Offsets&) = delete;
  Offsets& operator=(const Offsets&) = delete;

  [[nodiscard]] std::size_t count() const noexcept {
    return static_cast<std::size_t>(view_.len) / sizeof(std::uint64_t);
  }
  [[nodiscard]] std::uint64_t operator[](std::size_t index) const noexcept {
    return static_cast<const std::uint64_t*>(view_.buf)[index];
  }

 private:
  Py_buffer view_{};
};

// One buffer for each offset, or one buffer of which each offset has an equal part.
std::vector<ReadRequest> requests_of(const Offsets& offsets,
                                     const std::vector<platform::Piece>& pieces) {
  const std::size_t count = offsets.count();
  std::vector<ReadRequest> requests;
  requests.reserve(count);
  if (pieces.size() == count) {
    for (std::size_t i = 0; i < count; ++i) requests.push_back({pieces[i], offsets[i]});
    return requests;
  }
  if (pieces.size() != 1) throw py::value_error("as many buffers as offsets are needed");
  if (count == 0) return requests;
  const std::size_t part = pieces.front().length / count;
  for (std::size_t i = 0; i < count; ++i)
    requests.push_back({{pieces.front().address + i * part, part}, offsets[i]});
  return requests;
}

py::object read_many_of(const std::string& path, const py::object& numbers,
                        const py::sequence& buffers, std::uint32_t depth, bool direct) {
  if (depth < 1 || depth > platform::kMostInFlight) throw py::value_error("depth is out of range");
  Views views(buffers, true);
  const Offsets offsets(numbers);
  const std::vector<ReadRequest> requests = requests_of(offsets, views.pieces(std::nullopt));
  ManyOutcome out;
  {
    const WithoutGil released;
    const platform::Result<File> file =
        File::open(path, {false, false, false, direct}, check_signals);
    if (file) {
      out.done = read_many(file.value(), requests, depth, check_signals);
      if (out.done.direct_bytes != out.done.bytes) out.why = file.value().why_not_direct();
    } else {
      out.done.failure = file.failure();
      out.opened = false;
    }
  }
  if (out.why.empty() && out.done.misplaced)
    out.why = "address and offset are not aligned for direct I/O alike";
  return as_record(out);
}

void bind_read_many_records(py::module_& module) {
  py::native_enum<ReadEngine>(module, "ReadEngine", "enum.Enum")
      .value("QUEUE", ReadEngine::kQueue)
      .value("THREADS", ReadEngine::kThreads)
      .value("CALLER", ReadEngine::kCaller)
      .finalize();
  Record<ShortRead>::bind(
      module, "ShortRead",
      {{"index", value<&ShortRead::index>}, {"nbytes", value<&ShortRead::bytes>}});
  Record<ManyOutcome>::bind(
      module, "ManyReads",
      {{"opened", value<&ManyOutcome::opened>},
       {"nbytes", &of_reads<&ManyReads::bytes>},
       {"direct_bytes", &of_reads<&ManyReads::direct_bytes>},
       {"reason", text_or_none<&ManyOutcome::why>},
       {"short_reads", [](const ManyOutcome& out) { return as_record(out.done.short_reads); }},
       {"engine", &of_reads<&ManyReads::engine>},
       {"why_no_queue",
        [](const ManyOutcome& out) { return words_or_none(out.done.why_no_queue); }},
       {"failure", [](const ManyOutcome& out) { return as_record(out.done.failure); }},
       {"failed_offset", &of_reads<&ManyReads::failed_offset>}});
}

}  // namespace

void bind_read_many(py::module_& module) {
  bind_read_many_records(module);
  module.def("read_many", &read_many_of, py::arg("path"), py::arg("offsets"), py::arg("buffers"),
             py::arg("depth"), py::arg("direct"));
  module.def("read_queue_name", [] { return words(platform::read_queue_name()); });
  module.def("why_no_read_queue", [] {
    std::string why;
    {
      const WithoutGil released;
      why = why_no_read_queue();
    }
    return words_or_none(why);
  });
}

}  // namespace numapool::bindings
