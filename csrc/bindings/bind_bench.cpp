// Binds the measuring kernels; numapool.bench asks the questions.
#include <pybind11/native_enum.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <utility>
#include <vector>

#include "bindings.hpp"
#include "numapool/allocator.hpp"
#include "numapool/bench.hpp"
#include "numapool/error.hpp"
#include "record.hpp"
#include "without_gil.hpp"

namespace py = pybind11;

namespace numapool::bindings {
namespace {

// The bytes of a contiguous, writable object, held while they are measured.
class HeldBytes {
 public:
  explicit HeldBytes(const py::object& object) {
    if (PyObject_GetBuffer(object.ptr(), &view_, PyBUF_WRITABLE) != 0)
      throw py::error_already_set();
  }
  ~HeldBytes() { PyBuffer_Release(&view_); }
  HeldBytes(const HeldBytes&) = delete;
  HeldBytes& operator=(const HeldBytes&) = delete;

  [[nodiscard]] bench::Memory memory() const noexcept {
    return {static_cast<std::byte*>(view_.buf), static_cast<std::size_t>(view_.len)};
  }

 private:
  Py_buffer view_{};
};

// The lines of a buffer, linked to a circle. The owner of the buffer writes nothing to it
// meanwhile.
class Circle {
 public:
  Circle(const py::object& buffer, std::uint64_t seed, std::size_t step) : bytes_(buffer) {
    const WithoutGil released;
    bench::link_circle(bytes_.memory(), seed, step);
  }
  [[nodiscard]] bench::Memory memory() const noexcept { return bytes_.memory(); }

 private:
  HeldBytes bytes_;
};

platform::PageKind page_kind(PageRequest::Kind kind) {
  switch (kind) {
    case PageRequest::Kind::kBase:
      return platform::PageKind::kBase;
    case PageRequest::Kind::kTransparent:
      return platform::PageKind::kTransparent;
    case PageRequest::Kind::kHugetlb:
      return platform::PageKind::kHugetlb;
    case PageRequest::Kind::kAuto:
      break;
  }
  throw Error(ErrorKind::kInvalidArgument, "page_kind must be one size of pages, not AUTO");
}

py::object chase(const Circle& circle, const std::vector<int>& cpu, std::uint64_t round_ns,
                 std::uint32_t rounds) {
  return as_record(
      without_gil([&] { return bench::chase(circle.memory(), cpu, {round_ns, rounds}); }));
}

py::object chase_from_cache(const Circle& circle, const std::vector<int>& cpus,
                            bench::LineState lines, std::uint64_t round_ns, std::uint32_t rounds) {
  return as_record(without_gil(
      [&] { return bench::chase_from_cache(circle.memory(), cpus, lines, {round_ns, rounds}); }));
}

py::object stream(bench::Kind kind, const py::object& buffer, const std::vector<int>& cpus,
                  std::uint64_t round_ns, std::uint32_t rounds) {
  const HeldBytes bytes(buffer);
  return as_record(
      without_gil([&] { return bench::stream(kind, bytes.memory(), cpus, {round_ns, rounds}); }));
}

py::object chase_under_load(const Circle& circle, const py::object& load,
                            const std::vector<int>& cpus, std::uint64_t pause,
                            std::uint64_t round_ns, std::uint32_t rounds) {
  const HeldBytes bytes(load);
  return as_record(without_gil([&] {
    return bench::chase_under_load(circle.memory(), bytes.memory(), cpus, pause,
                                   {round_ns, rounds});
  }));
}

py::object first_use(bool populate, std::size_t length, PageRequest::Kind kind,
                     std::size_t page_bytes, int node, const std::vector<int>& cpus) {
  const platform::Pages pages{page_kind(kind), page_bytes};
  const bench::First way = populate ? bench::First::kPopulate : bench::First::kTouch;
  return as_record(without_gil([&] { return bench::first_use(way, length, pages, node, cpus); }));
}

void bind_bench_types(py::module_& module) {
  using bench::Chase;
  using bench::Chases;
  using bench::FirstUse;
  using bench::Kind;
  using bench::Loaded;
  using bench::Streams;
  py::native_enum<Kind>(module, "BenchKind", "enum.Enum")
      .value("READ", Kind::kRead)
      .value("WRITE", Kind::kWrite)
      .value("COPY", Kind::kCopy)
      .value("TRIAD", Kind::kTriad)
      .value("MIX", Kind::kMix)
      .finalize();
  py::native_enum<bench::LineState>(module, "BenchLines", "enum.Enum")
      .value("MODIFIED", bench::LineState::kModified)
      .value("CLEAN", bench::LineState::kClean)
      .finalize();
  Record<Chase>::bind(module, "BenchChase",
                      {{"loads", value<&Chase::loads>}, {"ns", value<&Chase::ns>}});
  Record<Chases>::bind(module, "BenchChases",
                       {{"rounds", record<&Chases::rounds>}, {"stayed", value<&Chases::stayed>}});
  Record<Streams>::bind(
      module, "BenchStreams",
      {{"bytes_per_s", value<&Streams::bytes_per_s>}, {"stayed", value<&Streams::stayed>}});
  Record<Loaded>::bind(module, "BenchLoaded",
                       {{"chases", record<&Loaded::chases>},
                        {"load_bytes_per_s", value<&Loaded::load_bytes_per_s>},
                        {"stayed", value<&Loaded::stayed>}});
  Record<FirstUse>::bind(module, "BenchFirstUse",
                         {{"ns", value<&FirstUse::ns>},
                          {"page_bytes", value<&FirstUse::page_bytes>},
                          {"bytes_on_node", value<&FirstUse::bytes_on_node>},
                          {"stayed", value<&FirstUse::stayed>}});
}

void touch(const py::object& buffer, std::size_t step) {
  if (step == 0) throw Error(ErrorKind::kInvalidArgument, "a step of 0 bytes");
  const HeldBytes bytes(buffer);
  const WithoutGil released;
  bench::touch(bytes.memory(), step);
}

}  // namespace

void bind_bench(py::module_& module) {
  bind_bench_types(module);
  py::class_<Circle>(module, "BenchCircle")
      .def(py::init<const py::object&, std::uint64_t, std::size_t>(), py::arg("buffer"),
           py::arg("seed"), py::arg("step") = bench::kLineBytes)
      .def("chase", &chase, py::arg("cpu"), py::arg("round_ns"), py::arg("rounds"))
      .def("chase_under_load", &chase_under_load, py::arg("load"), py::arg("cpus"),
           py::arg("pause"), py::arg("round_ns"), py::arg("rounds"))
      .def("chase_from_cache", &chase_from_cache, py::arg("cpus"), py::arg("lines"),
           py::arg("round_ns"), py::arg("rounds"));
  module.def("bench_can_flush", &bench::can_flush);
  module.def("bench_stream", &stream, py::arg("kind"), py::arg("buffer"), py::arg("cpus"),
             py::arg("round_ns"), py::arg("rounds"));
  module.def("bench_first_use", &first_use, py::arg("populate"), py::arg("length"),
             py::arg("page_kind"), py::arg("page_bytes"), py::arg("node"), py::arg("cpus"));
  module.def("bench_touch", &touch, py::arg("buffer"), py::arg("step"));
  module.def(
      "bench_spin_ns",
      [](std::uint64_t steps) {
        const WithoutGil released;
        return bench::spin_ns(steps);
      },
      py::arg("steps"));
  module.def("bench_instructions", &bench::instructions);
}

}  // namespace numapool::bindings
