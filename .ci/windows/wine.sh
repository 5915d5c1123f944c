# Wine as the Windows tests use it: a prefix of its own, no display, no dialogs. Sourced in the repository's root.
bed=$PWD/build/windows
export WINEPREFIX=$bed/prefix WINEARCH=win64 WINEDEBUG=-all
export WINEDLLOVERRIDES='mscoree=;mshtml=;winedbg.exe=d'
unset DISPLAY
wine=/usr/lib/wine/wine64  # Debian does not put it on PATH

# wine_path PATH: how Windows programs name a file of this system.
wine_path() {
  printf 'Z:%s\n' "${1//\//\\}"
}

# wine_run PROGRAM ARGUMENT...: its output through a pipe, for Python dies of a regular file as its output (WinError 6).
# The status it ends with may be wrong: look for a closing line too.
wine_run() {
  "$wine" "$@" </dev/null 2>&1 | cat
  return "${PIPESTATUS[0]}"
}

wine_quietly() {
  "$wine" "$@" </dev/null >/dev/null 2>&1
}

# Each program would start a server, and end it, in 2.4 s; this one ends by itself 10 minutes after the last of them. What
# Windows starts with its first program lives as long, and would hold that one's pipe open.
start_wineserver() {
  end_wineserver
  wineserver -w
  wineserver -p600 </dev/null >/dev/null 2>&1 || true
  wine_quietly cmd /c exit
}

# Of this prefix alone.
end_wineserver() {
  wineserver -k </dev/null >/dev/null 2>&1 || true
}

install_hint='Debian and Ubuntu: .ci/apt-install windows'

# The programs that the test bed takes and that are not here.
missing_tools() {
  local tool missing=
  for tool in "$wine" wineserver x86_64-w64-mingw32-g++-posix x86_64-w64-mingw32-dlltool gendef; do
    command -v "$tool" >/dev/null || missing="$missing ${tool##*/}"
  done
  echo "${missing# }"
}
