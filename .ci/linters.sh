# Shared by lint and check: the linters of the sources, a step each. After report.sh.
lint_sources() {
  local cpp_files
  mapfile -t cpp_files < <(find csrc tests benchmarks -name '*.[ch]pp' -o -name '*.[ch]' | sort)
  step "ruff check" ruff check
  step "ruff format" ruff format --check
  step "clang-format" clang-format --dry-run -Werror "${cpp_files[@]}"
  step "mypy" mypy
  step "mypy, Windows" mypy --platform win32 --cache-dir .mypy_cache/win32 python/numapool
}
