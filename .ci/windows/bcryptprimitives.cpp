// Stands in for a library that Wine 8 lacks: random bytes as programs written in Rust ask for them (pydantic-core, which typer
// loads). For the test bed alone.
#include <windows.h>

#include <algorithm>

extern "C" BOOLEAN NTAPI SystemFunction036(PVOID bytes, ULONG size);  // RtlGenRandom of ntsecapi.h

extern "C" __declspec(dllexport) BOOL WINAPI ProcessPrng(PBYTE bytes, SIZE_T size) {
  while (size > 0) {
    const SIZE_T part = std::min<SIZE_T>(size, 1U << 20);
    if (SystemFunction036(bytes, static_cast<ULONG>(part)) == FALSE) return FALSE;
    bytes += part;
    size -= part;
  }
  return TRUE;
}
