#define BYTES (3 << 20)
#include "thread_local_storage.h"
