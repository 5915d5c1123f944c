// Turns the requested page size into the mapping's page size.
#include "memory/page_choice.hpp"

#include <bit>
#include <limits>
#include <string>

#include "memory/populate.hpp"
#include "memory/range_placement.hpp"
#include "numapool/error.hpp"

namespace numapool {
namespace {

std::string sizes_of(const std::vector<platform::HugetlbPool>& pools) {
  std::string text;
  for (const platform::HugetlbPool& pool : pools) {
    text += (text.empty() ? "" : ", ") + std::to_string(pool.page_bytes) + " (" +
            std::to_string(pool.free) + " of " + std::to_string(pool.total) + " free)";
  }
  return text.empty() ? "none" : text;
}

platform::Pages hugetlb(std::size_t bytes) {
  if (!std::has_single_bit(bytes)) {
    throw Error(ErrorKind::kInvalidArgument,
                "page_size must be a power of two, not " + std::to_string(bytes) + " bytes");
  }
  if (bytes == platform::base_page_bytes()) return {platform::PageKind::kBase, bytes};
  const auto pools = platform::hugetlb_pools();
  for (const platform::HugetlbPool& pool : pools) {
    if (pool.page_bytes == bytes) return {platform::PageKind::kHugetlb, bytes};
  }
  throw Error(ErrorKind::kUnsupported, "this machine has no huge pages of " +
                                           std::to_string(bytes) + " bytes; it has base pages of " +
                                           std::to_string(platform::base_page_bytes()) +
                                           " bytes and hugetlb sizes: " + sizes_of(pools));
}

platform::Pages pages_for(std::size_t size_bytes, const PageRequest& request) {
  const platform::Pages base{platform::PageKind::kBase, platform::base_page_bytes()};
  const std::size_t fits = platform::transparent_page_bytes(size_bytes);
  const std::size_t huge = fits != 0 ? fits : platform::transparent_page_bytes();
  switch (request.kind) {
    case PageRequest::Kind::kBase:
      return base;
    case PageRequest::Kind::kHugetlb:
      return hugetlb(request.hugetlb_bytes);
    case PageRequest::Kind::kTransparent:
      if (huge == 0) {
        throw Error(ErrorKind::kUnsupported,
                    "there are no transparent huge pages here: " + platform::transparent_hint());
      }
      return {platform::PageKind::kTransparent, huge};
    case PageRequest::Kind::kAuto:
      if (fits != 0) return {platform::PageKind::kTransparent, fits};
      return base;
  }
  return base;
}

}  // namespace

PageChoice choose_pages(std::size_t size_bytes, const PageRequest& request) {
  if (size_bytes == 0)
    throw Error(ErrorKind::kInvalidArgument, "size_bytes must be at least 1, not 0");
  PageChoice choice;
  choice.pages = pages_for(size_bytes, request);
  // A transparent mapping is a multiple of base pages: its tail may be smaller than a huge page.
  const std::size_t unit = choice.pages.kind == platform::PageKind::kHugetlb
                               ? choice.pages.bytes
                               : platform::base_page_bytes();
  const auto largest = static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
  if (size_bytes > largest - 2 * choice.pages.bytes) {
    throw Error(ErrorKind::kNoMemory,
                "cannot allocate " + size_text(size_bytes) + ": no address space holds that much");
  }
  choice.length = (size_bytes + unit - 1) / unit * unit;
  return choice;
}

Mapping map_chosen(const PageChoice& choice) {
  if (choice.pages.kind == platform::PageKind::kHugetlb)
    require_hugetlb(choice.length, choice.pages);
  try {
    return Mapping(choice.length, choice.pages);
  } catch (const Error& error) {
    if (choice.pages.kind != platform::PageKind::kHugetlb) throw;
    platform::HugetlbPool have;
    for (const auto& pool : platform::hugetlb_pools()) {
      if (pool.page_bytes == choice.pages.bytes) have = pool;
    }
    const std::string wanted = std::to_string(choice.length / choice.pages.bytes) +
                               " huge pages of " + size_text(choice.pages.bytes);
    if (have.total == 0) {
      throw Error(ErrorKind::kUnsupported,
                  wanted + " were asked for and none are reserved (" + error.what() + "); " +
                      platform::hugetlb_reserve_hint(choice.pages.bytes),
                  error.code());
    }
    throw Error(ErrorKind::kNoMemory,
                wanted + " were asked for, " + std::to_string(have.free) + " of " +
                    std::to_string(have.total) + " are free (" + error.what() + "); " +
                    platform::hugetlb_reserve_hint(choice.pages.bytes),
                error.code());
  }
}

void keep_out_of_dumps(const Mapping& mapping) {
  const platform::Status done = platform::keep_out_of_dumps(mapping.address(), mapping.length());
  if (done) return;
  const platform::Failure& why = done.failure();
  throw Error(platform::is_denied(why) ? ErrorKind::kUnsupported : ErrorKind::kSystem,
              "cannot keep " + size_text(mapping.length()) +
                  " out of core dumps: " + describe(why) + "; nothing was allocated",
              why.code);
}

}  // namespace numapool
