// Pressure stall information: the totals of a memory.pressure file, and a trigger on it
// (Documentation/accounting/psi.rst).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "platform/linux/files/kept_descriptor.hpp"

namespace numapool::platform {

struct PsiTotals {
  std::uint64_t some_us = 0;
  std::uint64_t full_us = 0;
  bool operator==(const PsiTotals&) const = default;
};

// The two totals in the file's text. Kernels before 5.13 lack the "full" line in some files: it
// counts as 0. Empty optional if there is no "some" line with a total.
[[nodiscard]] std::optional<PsiTotals> parse_psi(std::string_view text) noexcept;

// One pressure file. Not thread-safe.
class PsiFile {
 public:
  PsiFile() = default;
  ~PsiFile() { close(); }
  PsiFile(PsiFile&& other) noexcept;
  PsiFile& operator=(PsiFile&& other) noexcept;
  PsiFile(const PsiFile&) = delete;
  PsiFile& operator=(const PsiFile&) = delete;

  // Why it cannot be read, in words; empty where it can. Opened for writing where that is allowed.
  [[nodiscard]] std::string open(const std::string& path);
  // Arms one trigger; its descriptor then answers to POLLPRI. errno of the refusal, 0 if armed. A
  // window under 2 s needs CAP_SYS_RESOURCE; of longer ones the kernel only looks at each 2 s.
  [[nodiscard]] int arm(std::uint32_t stall_us, std::uint32_t window_us) noexcept;
  [[nodiscard]] std::optional<PsiTotals> read() noexcept;

  // -1 if there is none, or it was closed.
  [[nodiscard]] int descriptor() noexcept { return fd_.get(); }
  [[nodiscard]] bool lost() const noexcept { return fd_.lost(); }
  [[nodiscard]] bool armed() const noexcept { return armed_; }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  void close() noexcept;

 private:
  std::string path_;
  KeptDescriptor fd_;
  bool writable_ = false;
  bool armed_ = false;
};

}  // namespace numapool::platform
