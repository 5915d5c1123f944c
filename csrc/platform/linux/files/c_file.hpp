// A stream of the C library that closes itself: long files of /proc are read from it by lines.
#pragma once

#include <cstdio>
#include <memory>

namespace numapool::platform {

struct CFileCloser {
  void operator()(std::FILE* file) const noexcept { std::fclose(file); }
};
using CFile = std::unique_ptr<std::FILE, CFileCloser>;

}  // namespace numapool::platform
