// What a program would write in C: map, bind, touch, unmap, and ask where each page is.
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

// include/uapi/linux/mempolicy.h
enum { kPreferred = 1, kMaxNode = 1024 };

static const unsigned long kWordBits = 8 * sizeof(unsigned long);

static void* map_bound(size_t length, int node) {
  unsigned long mask[kMaxNode / (8 * sizeof(unsigned long))] = {0};
  mask[(unsigned)node / kWordBits] = 1UL << ((unsigned)node % kWordBits);
  void* const begin =
      mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (begin == MAP_FAILED) return NULL;
  if (syscall(SYS_mbind, begin, length, kPreferred, mask, kMaxNode + 1UL, 0U) == 0) return begin;
  const int code = errno;
  munmap(begin, length);
  errno = code;
  return NULL;
}

// Writes one byte in every `page` bytes.
void touch_pages(char* begin, size_t length, size_t page) {
  for (size_t at = 0; at < length; at += page) ((volatile char*)begin)[at] = 1;
}

// `count` times over: map `length` bytes, prefer `node`, touch every page, unmap. 0, or errno of
// what failed.
int bare_cycles(size_t length, int node, size_t page, long count) {
  for (long i = 0; i < count; ++i) {
    char* const begin = map_bound(length, node);
    if (begin == NULL) return errno;
    touch_pages(begin, length, page);
    if (munmap(begin, length) != 0) return errno;
  }
  return 0;
}

// Has `length` bytes made resident in huge pages where there are any, and given back. 0, or errno
// of what failed.
int use_once(size_t length, size_t page) {
  char* const begin =
      mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (begin == MAP_FAILED) return errno;
  madvise(begin, length, MADV_HUGEPAGE);
  touch_pages(begin, length, page);
  return munmap(begin, length) == 0 ? 0 : errno;
}

// Asks move_pages(2) for the node of every page, in batches as long as the kernel's own. The number
// of pages that are on `node`, or minus errno.
long count_on_node(char* begin, size_t length, size_t page, int node) {
  enum { kBatch = 1024 };
  void* pages[kBatch];
  int status[kBatch];
  long found = 0;
  for (size_t at = 0; at < length;) {
    unsigned long count = 0;
    for (; count < kBatch && at < length; at += page) pages[count++] = begin + at;
    if (syscall(SYS_move_pages, 0, count, pages, NULL, status, 0) != 0) return -(long)errno;
    for (unsigned long i = 0; i < count; ++i) found += status[i] == node;
  }
  return found;
}
