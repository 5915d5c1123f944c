// The home of each thread.
#include "numapool/home.hpp"

namespace numapool {
namespace {

thread_local int home = kNoHome;

}  // namespace

void set_home_node(int node) noexcept { home = node; }
int home_node() noexcept { return home; }

}  // namespace numapool
