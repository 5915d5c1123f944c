// Memory for arrays in malloc(3)'s terms: what comes from the pool, what from whoever was there.
#include "numapool/array_memory.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

#include "pool/blocks_by_address.hpp"
#include "pools.hpp"

namespace numapool {
namespace {

// malloc, counted: a pointer of one must never get to the other.
struct Small {
  std::unordered_map<void*, std::size_t> out;

  static Small& of(void* context) { return *static_cast<Small*>(context); }
  [[nodiscard]] SmallMemory memory() {
    return {this,
            [](void* self, std::size_t bytes) {
              void* const made = std::malloc(bytes);
              of(self).out[made] = bytes;
              return made;
            },
            [](void* self, std::size_t count, std::size_t bytes) {
              void* const made = std::calloc(count, bytes);
              of(self).out[made] = count * bytes;
              return made;
            },
            [](void* self, void* old, std::size_t bytes) {
              if (old != nullptr) CHECK(of(self).out.erase(old) == 1);
              void* const made = std::realloc(old, bytes);
              of(self).out[made] = bytes;
              return made;
            },
            [](void* self, void* old, std::size_t) {
              CHECK(of(self).out.erase(old) == 1);
              std::free(old);
            }};
  }
};

struct Arrays : Pools {
  ~Arrays() {
    arrays.reset();
    CHECK(small.out.empty());
  }
  ArrayMemory& make(ArrayMemoryOptions options = {1, false, false}, PoolOptions pool_options = {}) {
    open(pool_options);
    arrays = std::make_unique<ArrayMemory>(*pool, options, small.memory(),
                                           [this](const std::function<void()>& work) {
                                             ++let_go;
                                             work();
                                           });
    return *arrays;
  }
  Small small;
  std::unique_ptr<ArrayMemory> arrays;
  std::atomic<int> let_go{0};  // by any thread
};

constexpr std::size_t kLeast = ArrayMemory::kLeastBytes;

unsigned char* bytes_of(void* block) { return static_cast<unsigned char*>(block); }

bool is_all(const void* block, std::size_t bytes, unsigned char value) {
  const auto* const at = static_cast<const unsigned char*>(block);
  for (std::size_t i = 0; i < bytes; ++i) {
    if (at[i] != value) return false;
  }
  return true;
}

}  // namespace

TEST_CASE_FIXTURE(Arrays, "small blocks are the others', large ones the pool's") {
  ArrayMemory& arrays_ = make();
  void* const tiny = arrays_.allocate(kLeast - 1);
  void* const large = arrays_.allocate(kLeast);
  CHECK(small.out.size() == 1);
  CHECK(of(1).in_use_bytes >= static_cast<std::int64_t>(kLeast));
  CHECK(of(0).in_use_bytes == 0);
  arrays_.free(tiny, kLeast - 1);
  arrays_.free(large, kLeast);
  arrays_.free(nullptr, 0);
  CHECK(total().in_use_bytes == 0);
}

TEST_CASE_FIXTURE(Arrays, "zeroed memory is zero, whoever had it before") {
  ArrayMemory& arrays_ = make();
  for (const std::size_t size : {kLeast / 2, std::size_t{kMiB}, std::size_t{3 * kMiB}}) {
    void* const first = arrays_.allocate(size);
    std::memset(first, 0x5a, size);
    arrays_.free(first, size);
    void* const again = arrays_.allocate_zeroed(size / 8, 8);
    CHECK(is_all(again, size, 0));
    arrays_.free(again, size);
  }
  CHECK(arrays_.allocate_zeroed(std::size_t{1} << 40U, std::size_t{1} << 40U) == nullptr);
}

TEST_CASE_FIXTURE(Arrays, "a pool that clears what it lends does so for arrays") {
  ArrayMemory& arrays_ = make({1, false, true});
  void* const first = arrays_.allocate(kMiB);
  std::memset(first, 0x5a, kMiB);
  arrays_.free(first, kMiB);
  void* const again = arrays_.allocate(kMiB);
  CHECK(again == first);
  CHECK(is_all(again, kMiB, 0));
  std::memset(again, 0x5a, kMiB);
  void* const shorter = arrays_.reallocate(again, kMiB - 4096);
  CHECK(shorter == again);
  void* const longer = arrays_.reallocate(shorter, kMiB);
  CHECK(is_all(longer, kMiB - 4096, 0x5a));
  CHECK(is_all(bytes_of(longer) + kMiB - 4096, 4096, 0));
  arrays_.free(longer, kMiB);
}

TEST_CASE_FIXTURE(Arrays, "resizing keeps what fits, from every origin to every other") {
  ArrayMemory& arrays_ = make();
  for (const std::size_t from : {std::size_t{64}, kLeast - 1, kLeast, std::size_t{kMiB}}) {
    for (const std::size_t to : {std::size_t{64}, kLeast, kLeast * 3, std::size_t{5 * kMiB}}) {
      CAPTURE(from);
      CAPTURE(to);
      void* block = arrays_.allocate(from);
      std::memset(block, 0x31, from);
      block = arrays_.reallocate(block, to);
      REQUIRE(block != nullptr);
      CHECK(is_all(block, std::min(from, to), 0x31));
      CHECK((small.out.count(block) == 1) == (to < kLeast));
      arrays_.free(block, to);
    }
  }
  CHECK(total().in_use_bytes == 0);
  void* const fresh = arrays_.reallocate(nullptr, kMiB);
  arrays_.free(fresh, kMiB);
}

TEST_CASE_FIXTURE(Arrays, "where there is no memory the block stays as it was") {
  PoolOptions options;
  options.max_bytes = 2 * kMiB;
  ArrayMemory& arrays_ = make({1, false, false}, options);
  void* const held = arrays_.allocate(kMiB);
  std::memset(held, 0x31, kMiB);
  CHECK(arrays_.allocate(4 * kMiB) == nullptr);
  CHECK(arrays_.allocate_zeroed(4, kMiB) == nullptr);
  CHECK(arrays_.reallocate(held, 4 * kMiB) == nullptr);
  CHECK(is_all(held, kMiB, 0x31));
  arrays_.free(held, kMiB);
}

TEST_CASE_FIXTURE(Arrays, "strict is on the node or nowhere") {
  ArrayMemory& arrays_ = make({1, true, false});
  memory().rooms[1] = {4 * kMiB, 0};
  CHECK(arrays_.allocate(32 * kMiB) == nullptr);
  void* const fits = arrays_.allocate(kMiB);
  CHECK(of(1).in_use_bytes == kMiB);
  arrays_.free(fits, kMiB);
}

TEST_CASE_FIXTURE(Arrays, "a closed pool's blocks come back, and all that follows is small") {
  ArrayMemory& arrays_ = make();
  void* const before = arrays_.allocate(kMiB);
  std::memset(before, 0x31, kMiB);
  pool->close();
  void* const after = arrays_.allocate(kMiB);
  CHECK(small.out.size() == 1);
  void* const resized = arrays_.reallocate(before, 3 * kMiB);
  CHECK(is_all(resized, kMiB, 0x31));
  arrays_.free(after, kMiB);
  arrays_.free(resized, 3 * kMiB);
}

TEST_CASE_FIXTURE(Arrays, "new memory and long zeroing let others run, resizing never does") {
  ArrayMemory& arrays_ = make();
  void* block = arrays_.allocate(2 * kMiB);
  CHECK(let_go == 1);
  arrays_.free(block, 2 * kMiB);
  block = arrays_.allocate(2 * kMiB);
  CHECK(let_go == 1);
  arrays_.free(block, 2 * kMiB);
  block = arrays_.allocate_zeroed(2, kMiB);
  CHECK(let_go == 2);
  block = arrays_.reallocate(block, 16 * kMiB);
  CHECK(let_go == 2);
  arrays_.free(block, 16 * kMiB);
}

TEST_CASE_FIXTURE(Arrays, "trying out says what arrays would only be told by MemoryError") {
  ArrayMemory& arrays_ = make({7, false, false});
  CHECK(kind_of([&] {
          arrays_.try_out({});
          return 0;
        }) == ErrorKind::kNodeNotFound);
  CHECK(arrays_.allocate(kMiB) == nullptr);
}

TEST_CASE_FIXTURE(Arrays, "no word for a block is found where it is not") {
  ArrayMemory& arrays_ = make();
  void* const block = arrays_.allocate(kMiB);
  CHECK(lent_blocks().find(block).has_value());
  CHECK_FALSE(lent_blocks().find(bytes_of(block) + 4096).has_value());
  CHECK_FALSE(lent_blocks().find(bytes_of(block) + 1).has_value());
  CHECK_FALSE(lent_blocks().find(&arrays_).has_value());
  arrays_.free(block, kMiB);
  CHECK_FALSE(lent_blocks().find(block).has_value());
}

TEST_CASE_FIXTURE(Arrays, "many blocks at once, taken out in any order") {
  ArrayMemory& arrays_ = make();
  std::mt19937 random(7);
  std::vector<unsigned char*> blocks;
  for (int turn = 0; turn < 20000; ++turn) {
    if (blocks.size() < 4000 && (blocks.empty() || random() % 3 != 0)) {
      auto* const block = bytes_of(arrays_.allocate(kLeast));
      block[0] = static_cast<unsigned char>(reinterpret_cast<std::uintptr_t>(block) >> 12U);
      blocks.push_back(block);
    } else {
      std::swap(blocks[random() % blocks.size()], blocks.back());
      auto* const block = blocks.back();
      CHECK(block[0] == static_cast<unsigned char>(reinterpret_cast<std::uintptr_t>(block) >> 12U));
      arrays_.free(block, kLeast);
      blocks.pop_back();
    }
  }
  for (auto* const block : blocks) arrays_.free(block, kLeast);
  CHECK(small.out.empty());
  CHECK(total().in_use_bytes == 0);
}

TEST_CASE_FIXTURE(Arrays, "threads free what others allocated") {
  ArrayMemory& arrays_ = make();
  std::vector<std::thread> threads;
  std::vector<void*> handed(400);
  for (std::size_t at = 0; at < handed.size(); ++at) handed[at] = arrays_.allocate(kLeast);
  for (std::size_t part = 0; part < 4; ++part) {
    threads.emplace_back([&, part] {
      for (std::size_t at = part; at < handed.size(); at += 4) {
        arrays_.free(handed[at], kLeast);
        arrays_.free(arrays_.allocate(2 * kLeast), 2 * kLeast);
      }
    });
  }
  for (std::thread& one : threads) one.join();
  CHECK(total().in_use_bytes == 0);
}

TEST_CASE_FIXTURE(Arrays, "a pool that is closed meanwhile leaves it to the others") {
  ArrayMemory& arrays_ = make();
  void* const first = arrays_.allocate(kMiB);
  std::memset(first, 0x5a, kMiB);
  const auto close_as_memory_is_made = [this] {
    memory().before = [this](platform::fake::MemoryScript&, std::string_view call, int) {
      if (call == "populate") pool->close();
    };
    memory().failures["populate"] = platform::Failure{platform::Cause::kNoMemory, "x", 12, {}};
  };
  SUBCASE("new memory") {
    close_as_memory_is_made();
    void* const second = arrays_.allocate(8 * kMiB);
    REQUIRE(second != nullptr);
    CHECK(small.out.count(second) == 1);
    arrays_.free(second, 8 * kMiB);
  }
  SUBCASE("zeroed memory") {
    close_as_memory_is_made();
    void* const second = arrays_.allocate_zeroed(8, kMiB);
    REQUIRE(second != nullptr);
    CHECK(is_all(second, 8 * kMiB, 0));
    CHECK(small.out.count(second) == 1);
    arrays_.free(second, 8 * kMiB);
  }
  void* now = first;
  std::size_t bytes = kMiB;  // of no slab, which the script could not trim
  SUBCASE("a block that grows") {
    close_as_memory_is_made();
    bytes = 8 * kMiB;
    now = arrays_.reallocate(first, bytes);
    REQUIRE(now != nullptr);
    CHECK(is_all(now, kMiB, 0x5a));
    CHECK(small.out.count(now) == 1);
  }
  CHECK(pool->closed());
  arrays_.free(now, bytes);
}

}  // namespace numapool
