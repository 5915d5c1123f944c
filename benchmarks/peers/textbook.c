// Latency and read bandwidth as a textbook measures them: one array, two loops, POSIX threads.
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

enum { kLine = 64, kNumbersPerLine = kLine / sizeof(size_t), kMostThreads = 1024 };

static const size_t kHugePage = (size_t)2 << 20;

static size_t* array;
static size_t lines;
static void* mapped;
static size_t mapped_bytes;
volatile uint64_t textbook_sink;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void run_on(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET((unsigned)cpu, &set);
  pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

// Gets the memory, in huge pages where there are any, and links its lines in a shuffled order: each
// line holds the number of the next. 0, or errno.
int textbook_open(size_t bytes) {
  mapped_bytes = bytes + kHugePage;
  mapped = mmap(NULL, mapped_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapped == MAP_FAILED) return errno;
  array = (size_t*)(((uintptr_t)mapped + kHugePage - 1) / kHugePage * kHugePage);
  madvise(array, bytes, MADV_HUGEPAGE);
  lines = bytes / kLine;
  size_t* const order = malloc(lines * sizeof *order);
  if (order == NULL) return ENOMEM;
  for (size_t i = 0; i < lines; ++i) order[i] = i;
  unsigned short seed[3] = {1, 2, 3};
  for (size_t i = lines - 1; i > 0; --i) {
    const size_t j = (size_t)(erand48(seed) * (double)(i + 1));
    const size_t kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
  for (size_t i = 0; i < lines; ++i)
    array[order[i] * kNumbersPerLine] = order[(i + 1) % lines] * kNumbersPerLine;
  free(order);
  return 0;
}

void textbook_close(void) { munmap(mapped, mapped_bytes); }

struct Job {
  int cpu;
  double seconds;
  size_t begin, end;  // of the array, in numbers
  double result;
};

static void* chase(void* argument) {
  struct Job* const job = argument;
  run_on(job->cpu);
  size_t at = 0;
  size_t loads = 0;
  const double begin = now();
  double took;
  do {
    for (int i = 0; i < 4096; ++i) at = array[at];
    loads += 4096;
    took = now() - begin;
  } while (took < job->seconds);
  textbook_sink = at;
  job->result = took * 1e9 / (double)loads;
  return NULL;
}

static void* add_up(void* argument) {
  struct Job* const job = argument;
  run_on(job->cpu);
  const size_t step = (size_t)32 << 10;
  uint64_t sum = 0;
  size_t numbers = 0;
  size_t at = job->begin;
  const double begin = now();
  double took;
  do {
    const size_t stop = at + step < job->end ? at + step : job->end;
    for (size_t i = at; i < stop; ++i) sum += array[i];
    numbers += stop - at;
    at = stop == job->end ? job->begin : stop;
    took = now() - begin;
  } while (took < job->seconds);
  textbook_sink = sum;
  job->result = (double)numbers * sizeof *array / took;
  return NULL;
}

// Nanoseconds for a load that waits for the one before.
double textbook_latency(double seconds, int cpu) {
  struct Job job = {cpu, seconds, 0, 0, 0};
  pthread_t thread;
  if (pthread_create(&thread, NULL, chase, &job) != 0) return 0;
  pthread_join(thread, NULL);
  return job.result;
}

// Bytes per second that threads on these CPUs add up, each its part of the array.
double textbook_read(double seconds, const int* cpus, int count) {
  static struct Job jobs[kMostThreads];
  static pthread_t threads[kMostThreads];
  const size_t each = lines / (size_t)count * kNumbersPerLine;
  for (int i = 0; i < count; ++i) {
    jobs[i] = (struct Job){cpus[i], seconds, (size_t)i * each, (size_t)(i + 1) * each, 0};
    if (pthread_create(&threads[i], NULL, add_up, &jobs[i]) != 0) return 0;
  }
  double sum = 0;
  for (int i = 0; i < count; ++i) {
    pthread_join(threads[i], NULL);
    sum += jobs[i].result;
  }
  return sum;
}
