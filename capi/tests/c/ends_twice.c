/* A thread ends the process by `_exit`, and another by `exit` once the file exists that the first has something make. */
#include "check.h"
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *file;

static void *ends(void *nothing)
{
    struct stat status;
    while (stat(file, &status) != 0)
        usleep(1000);
    exit(4);
    return nothing;
}

int main(int count, char **arguments)
{
    pthread_t thread;
    CHECK(count == 2);
    file = arguments[1];
    CHECK(malloc(1000));
    CHECK(pthread_create(&thread, NULL, ends, NULL) == 0);
    _exit(3);
}
