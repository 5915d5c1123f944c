# Shared by lint and test: runs named steps, keeps their output under build/logs, remembers what failed and how long it took.
logs=build/logs
failed=()
closing=()
mkdir -p "$logs"

# step NAME COMMAND...: on a terminal and in the log. A line closes the report: the log's last one that matches $closing_line,
# if there is such a pattern, then the seconds that the step took and those of processors that it used.
step() {
  local name=$1 log line= TIMEFORMAT='%0R s, %0U + %0S s of CPU'
  shift
  log="$logs/${name// /-}.log"
  printf '\n== %s: %s\n' "$name" "$*"
  if ! { time "$@" 2>&1; } 2>"$log.time" | tee "$log"; then
    failed+=("$name")
  fi
  if [ -n "${closing_line:-}" ]; then
    line=$(grep -E "$closing_line" "$log" | tail -n 1)
    [ -n "$line" ] || failed+=("$name")
    line="${line:-no closing line: it ended early} "
  fi
  closing+=("$name: $line($(cat "$log.time"))")
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
