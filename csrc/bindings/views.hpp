// The bytes of objects that are transferred.
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "platform/storage.hpp"

namespace numapool::bindings {

namespace py = pybind11;

// The bytes of any contiguous object, held while they are transferred.
class Views {
 public:
  Views(const py::sequence& objects, bool writable) : views_(objects.size()) {
    pieces_.reserve(views_.size());
    for (std::size_t i = 0; i < views_.size(); ++i) {
      const py::object one = objects[i];
      if (PyObject_GetBuffer(one.ptr(), &views_[i], writable ? PyBUF_WRITABLE : PyBUF_SIMPLE) != 0)
        throw py::error_already_set();
      ++held_;
      pieces_.push_back(
          {static_cast<char*>(views_[i].buf), static_cast<std::size_t>(views_[i].len)});
    }
  }
  ~Views() {
    for (std::size_t i = 0; i < held_; ++i) PyBuffer_Release(&views_[i]);
  }
  Views(const Views&) = delete;
  Views& operator=(const Views&) = delete;

  // The pieces up to `size` bytes.
  [[nodiscard]] const std::vector<platform::Piece>& pieces(std::optional<std::uint64_t> size) {
    std::uint64_t left = size.value_or(UINT64_MAX);
    for (platform::Piece& piece : pieces_) {
      piece.length = static_cast<std::size_t>(std::min<std::uint64_t>(piece.length, left));
      left -= piece.length;
    }
    return pieces_;
  }

 private:
  std::vector<Py_buffer> views_;
  std::vector<platform::Piece> pieces_;
  std::size_t held_ = 0;
};

}  // namespace numapool::bindings
