// Binds files and streams. Their failures are returned as values; numapool.storage.transfer and
// numapool.storage.stream raise them.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "buffer_pool.hpp"
#include "interrupt.hpp"
#include "node_buffer.hpp"
#include "numapool/error.hpp"
#include "numapool/storage.hpp"
#include "numapool/stream.hpp"
#include "record.hpp"
#include "views.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

py::object is_unsupported(const platform::Failure& failure) {
  return attribute(failure.cause == platform::Cause::kUnsupported);
}

// The result of a transfer, or the failure to open the file.
struct Outcome {
  Transfer done;
  std::string why;  // why some of it went through the page cache; empty: it did not
  bool opened = true;

  // `why`: why the file goes that way, however it is aligned.
  static Outcome of(Transfer done, std::string why) {
    if (done.direct_bytes == done.bytes) {
      why.clear();
    } else if (why.empty() && done.misplaced) {
      why = "address and offset are not aligned for direct I/O alike";
    }
    return {std::move(done), std::move(why), true};
  }
  static Outcome not_opened(const platform::Failure& failure) {
    Outcome out;
    out.done.failure = failure;
    out.opened = false;
    return out;
  }
};

template <auto Member>
py::object transferred(const Outcome& outcome) {
  return attribute(outcome.done.*Member);
}

py::object failure_of(const Outcome& outcome) { return as_record(outcome.done.failure); }

// A block of a stream or, without a buffer, where reading failed.
struct Item {
  py::object buffer;
  std::uint64_t offset = 0;
  std::optional<platform::Failure> failure;
};

py::object read_file(const std::string& path, const py::sequence& buffers, std::uint64_t offset,
                     std::optional<std::uint64_t> size, bool direct) {
  Views views(buffers, true);
  const std::vector<platform::Piece>& pieces = views.pieces(size);
  Transfer done;
  std::string why;
  std::optional<platform::Failure> failure;
  {
    const WithoutGil released;
    const platform::Result<File> file =
        File::open(path, {false, false, false, direct}, check_signals);
    if (file) {
      done = file.value().read(pieces, offset, check_signals);
      why = file.value().why_not_direct();
    } else {
      failure = file.failure();
    }
  }
  return as_record(failure ? Outcome::not_opened(*failure)
                           : Outcome::of(std::move(done), std::move(why)));
}

py::object write_file(const std::string& path, const py::sequence& buffers, std::uint64_t offset,
                      std::optional<std::uint64_t> size, bool direct, bool truncate, bool sync) {
  Views views(buffers, false);
  const std::vector<platform::Piece>& pieces = views.pieces(size);
  Transfer done;
  std::string why;
  std::optional<platform::Failure> failure;
  {
    const WithoutGil released;
    platform::Result<File> file = File::open(path, {true, true, truncate, direct}, check_signals);
    if (file) {
      done = file.value().write(pieces, offset, sync, check_signals);
      why = file.value().why_not_direct();
      const auto at_close = file.value().close();
      if (!done.failure) done.failure = at_close;
    } else {
      failure = file.failure();
    }
  }
  return as_record(failure ? Outcome::not_opened(*failure)
                           : Outcome::of(std::move(done), std::move(why)));
}

struct StreamEnd {
  void operator()(Stream* stream) const noexcept {
    const WithoutGil released;
    delete stream;
  }
};
using StreamHandle = std::unique_ptr<Stream, StreamEnd>;

class PyStream {
 public:
  explicit PyStream(StreamHandle stream) : stream_(std::move(stream)) {}
  Stream* operator->() const noexcept { return stream_.get(); }

 private:
  StreamHandle stream_;
};

// A stream, or the failure to open the file.
py::object open_stream(const std::string& path, const py::object& base, std::size_t block_bytes,
                       std::uint32_t depth, std::uint64_t offset, std::optional<std::uint64_t> size,
                       std::vector<int> nodes, bool strict, std::vector<int> cpus, bool direct) {
  Pool& pool = pool_of(base.ptr());
  StreamOptions options{block_bytes, depth,          offset, size, NodeIds(std::move(nodes)),
                        strict,      std::move(cpus)};
  std::vector<Degradation> degradations;
  std::optional<platform::Failure> failure;
  StreamHandle stream;
  {
    const WithoutGil released;
    platform::Result<File> file = File::open(path, {false, false, false, direct}, check_signals);
    if (file) {
      stream.reset(Stream::open(std::move(file).value(), pool, options, check_signals,
                                [&](const Degradation& one) { degradations.push_back(one); })
                       .release());
    } else {
      failure = file.failure();
    }
  }
  if (failure) return as_record(*failure);
  py::object made = py::cast(PyStream(std::move(stream)));
  warn_of(degradations);
  return made;
}

// None at the end.
py::object item_object(StreamItem&& item) {
  if (item.kind == StreamItem::Kind::kEnd) return py::none();
  if (item.kind == StreamItem::Kind::kFailure)
    return as_record(Item{py::none(), item.offset, std::move(item.failure)});
  PyObject* const buffer = make_node_buffer(item.lease, item.bytes);
  if (buffer == nullptr) throw py::error_already_set();
  return as_record(Item{py::reinterpret_steal<py::object>(buffer), item.offset, std::nullopt});
}

py::object next(const PyStream& stream, std::optional<std::uint64_t> starved_ms) {
  std::optional<StreamItem> item = stream->try_next();
  if (!item) {
    const WithoutGil released;
    item = stream->next(starved_ms, check_signals);
  }
  return item_object(std::move(*item));
}

// False where the next item is not there yet.
py::object poll(const PyStream& stream) {
  std::optional<StreamItem> item;
  {
    const WithoutGil released;
    item = stream->poll();
  }
  return item ? item_object(std::move(*item)) : py::object(py::bool_(false));
}

void close_stream(const PyStream& stream) {
  const WithoutGil released;
  stream->close(check_signals);
}

void bind_storage_records(py::module_& module) {
  using platform::Failure;
  using Figures = Stream::Figures;
  Record<Failure>::bind(module, "Failure",
                        {{"call", text<&Failure::call>},
                         {"code", value<&Failure::code>},
                         {"unsupported", &is_unsupported}});
  Record<Outcome>::bind(module, "Transfer",
                        {{"opened", value<&Outcome::opened>},
                         {"nbytes", &transferred<&Transfer::bytes>},
                         {"direct_bytes", &transferred<&Transfer::direct_bytes>},
                         {"reason", text_or_none<&Outcome::why>},
                         {"failure", &failure_of}});
  Record<Item>::bind(module, "StreamItem",
                     {{"buffer", value<&Item::buffer>},
                      {"offset", value<&Item::offset>},
                      {"failure", record<&Item::failure>}});
  Record<Figures>::bind(module, "StreamFigures",
                        {{"nbytes", value<&Figures::bytes>},
                         {"direct_bytes", value<&Figures::direct_bytes>},
                         {"reason", text_or_none<&Figures::why_not_direct>},
                         {"node_id", value<&Figures::node_id>},
                         {"block_count", value<&Figures::blocks>},
                         {"block_bytes", value<&Figures::block_bytes>}});
}

}  // namespace

void bind_storage(py::module_& module) {
  bind_storage_records(module);
  module.def("read_file", &read_file, py::arg("path"), py::arg("buffers"), py::arg("offset"),
             py::arg("size"), py::arg("direct"));
  module.def("write_file", &write_file, py::arg("path"), py::arg("buffers"), py::arg("offset"),
             py::arg("size"), py::arg("direct"), py::arg("truncate"), py::arg("sync"));
  py::class_<PyStream>(module, "Stream")
      .def("next", &next, py::arg("starved_ms"))
      .def("poll", &poll)
      .def("fileno", [](const PyStream& self) { return self->descriptor(); })
      .def("starved", [](const PyStream& self) { return self->starved(); })
      .def("close", &close_stream)
      .def("closed", [](const PyStream& self) { return self->closed(); })
      .def("figures", [](const PyStream& self) { return as_record(self->figures()); });
  module.def("stream_open", &open_stream, py::arg("path"), py::arg("base"), py::arg("block_bytes"),
             py::arg("depth"), py::arg("offset"), py::arg("size"), py::arg("nodes"),
             py::arg("strict"), py::arg("cpus"), py::arg("direct"));
}

}  // namespace numapool::bindings
