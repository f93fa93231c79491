/* A host's program in C, as far as linking goes: it asks the library that it was linked with. */
#include <tidegate.h>

#include <stdio.h>

int main(void) {
  if (tidegate_abi_version() != TIDEGATE_ABI_VERSION) return 1;
  puts(tidegate_status_str(TIDEGATE_STATUS_OK));
  return 0;
}
