/* Of a stack of 64 KiB, of which the C library takes some, too. */
#define BYTES (56 << 10)
#include "thread_local_storage.h"
