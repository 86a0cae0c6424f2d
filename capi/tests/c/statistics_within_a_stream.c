/* A stream whose writer asks for statistics, and a thread that is cancelled while it writes them. */
#include "check.h"
#include "tenure.h"
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>

static int depth, calls;

static ssize_t asks_for_more(void *cookie, const char *text, size_t size)
{
    (void)cookie, (void)text;
    calls++;
    if (depth++ == 0) {
        char *within = NULL;
        size_t length = 0;
        FILE *stream = open_memstream(&within, &length);
        CHECK(mallinfo2().arena > 0);
        CHECK(stream && malloc_info(0, stream) == 0 && fclose(stream) == 0 && length > 100);
        free(within);
        CHECK(tenure_stats_json(NULL, 0) > 100);
    }
    depth--;
    return (ssize_t)size;
}

static int nobody_reads;

static void *prints(void *nothing)
{
    tenure_stats_print(nobody_reads);
    return nothing;
}

int main(void)
{
    cookie_io_functions_t functions = {.write = asks_for_more};
    FILE *stream = fopencookie(NULL, "w", functions);
    CHECK(stream && setvbuf(stream, NULL, _IONBF, 0) == 0);
    errno = 77;
    CHECK(malloc_info(0, stream) == 0 && errno == 77 && calls > 1);
    CHECK(fclose(stream) == 0);

    int ends[2];
    CHECK(signal(SIGPIPE, SIG_IGN) != SIG_ERR && pipe2(ends, O_NONBLOCK) == 0);
    char page[4096] = "";
    while (write(ends[1], page, sizeof page) > 0) {
    }
    CHECK(fcntl(ends[1], F_SETFL, 0) == 0);
    nobody_reads = ends[1];
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, prints, NULL) == 0);
    usleep(100000);
    /* Wherever it is by now. */
    CHECK(mallinfo2().arena > 0 && pthread_cancel(thread) == 0 && close(ends[0]) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(mallinfo2().arena > 0 && tenure_stats_json(NULL, 0) > 100);
    return 0;
}
