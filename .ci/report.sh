# Shared by lint and test: runs named steps, keeps their output under build/logs, remembers what failed.
logs=build/logs
failed=()
closing=()
mkdir -p "$logs"

# step NAME COMMAND...: on a terminal and in the log; the log's line matching $closing_line closes the report.
step() {
  local name=$1 log line
  shift
  log="$logs/${name// /-}.log"
  printf '\n== %s: %s\n' "$name" "$*"
  if ! "$@" 2>&1 | tee "$log"; then
    failed+=("$name")
  fi
  if [ -n "${closing_line:-}" ]; then
    line=$(grep -E "$closing_line" "$log" | tail -n 1)
    closing+=("$name: ${line:-no closing line: it ended early}")
    [ -n "$line" ] || failed+=("$name")
  fi
}

# report TITLE: prints the closing lines to the end and into build/logs/TITLE.summary; status 1 if a step failed.
report() {
  {
    printf '\n== %s\n' "$1"
    [ "${#closing[@]}" = 0 ] || printf '%s\n' "${closing[@]}"
    if [ "${#failed[@]}" = 0 ]; then
      echo "$1 passed"
    else
      echo "$1 FAILED: $(printf '%s\n' "${failed[@]}" | uniq | paste -sd, | sed 's/,/, /g')"
    fi
  } | tee "$logs/$1.summary"
  [ "${#failed[@]}" = 0 ]
}
