/* A program with BYTES of thread-local storage asks for a report of statistics, and waits until it is there. */
#include "check.h"
#include <signal.h>
#include <sys/stat.h>

static _Thread_local volatile char storage[BYTES];

int main(void)
{
    const char *file = getenv("TENURE_STATS_FILE");
    storage[BYTES - 1] = 1;
    CHECK(file && raise(SIGUSR1) == 0);
    struct stat status;
    while (stat(file, &status) != 0 || status.st_size == 0)
        usleep(1000);
    return 0;
}
