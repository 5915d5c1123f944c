# Shared by lint and test: runs named steps, keeps their output under build/logs, remembers what failed and how long it took.
logs=build/logs
failed=()
closing=()
begun=()
mkdir -p "$logs"

# step NAME COMMAND...: on a terminal and in the log. A line closes the report: the log's last one that matches $closing_line,
# if there is such a pattern, then the seconds that the step took and those of processors that it used.
step() {
  local name=$1 log=$logs/${1// /-}.log status=0
  shift
  printf '\n== %s: %s\n' "$name" "$*"
  timed "$log" "$@" | tee "$log" || status=1
  close "$name" "$log" $status
}

# begin NAME COMMAND...: as step, beside the steps that follow, in the log alone; `finish NAME` waits for it and prints the log.
begin() {
  local name=$1 log=$logs/${1// /-}.log
  shift
  printf '\n== %s, beside what follows: %s\n' "$name" "$*"
  set -m  # in a process group of its own, so that all of it can be ended
  timed "$log" "$@" >"$log" </dev/null &
  set +m
  begun[$!]=$name
  trap end_begun EXIT
}

finish() {
  local name=$1 log=$logs/${1// /-}.log status=0 group
  for group in "${!begun[@]}"; do
    [ "${begun[group]}" = "$name" ] || continue
    wait "$group" || status=1
    unset "begun[group]"
  done
  printf '\n== %s:\n' "$name"
  cat "$log"
  close "$name" "$log" $status
}

# Where the script ends early: first as Ctrl-C does, so that tests put away what they made.
end_begun() {
  local group
  for group in "${!begun[@]}"; do
    if kill -INT -- "-$group" 2>/dev/null && sleep 5; then kill -TERM -- "-$group" 2>/dev/null; fi
  done
}

# timed LOG COMMAND...: its output, errors too, to standard output; its times into LOG.time.
timed() {
  local log=$1 TIMEFORMAT='%0R s, %0U + %0S s of CPU'
  shift
  { time "$@" 2>&1; } 2>"$log.time"
}

# close NAME LOG STATUS: the step's line in the report.
close() {
  local name=$1 log=$2 line=
  [ "$3" = 0 ] || failed+=("$name")
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
