/* The process is ended where there is little stack, below which nothing may be accessed: by a signal handler, or by a thread. */
#include "check.h"
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static void ends_at_once(int number)
{
    (void)number;
    _exit(3);
}

static void *ends(void *nothing)
{
    exit(4);
    return nothing;
}

int main(int count, char **arguments)
{
    CHECK(count == 2);
    for (int nth = 0; nth < 1000; nth++)
        CHECK(malloc(1000));
    if (strcmp(arguments[1], "thread") == 0) {
        pthread_attr_t attributes;
        pthread_t thread;
        CHECK(pthread_attr_init(&attributes) == 0 && pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN) == 0);
        CHECK(pthread_create(&thread, &attributes, ends, NULL) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
    }
    /* What the system itself puts there, and no more than is usual beside. */
    size_t page = (size_t)sysconf(_SC_PAGESIZE), least = getauxval(AT_MINSIGSTKSZ), size = least + 4096;
    size = size < 8192 ? 8192 : (size + page - 1) / page * page;
    char *start = mmap(NULL, page + size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(start != MAP_FAILED && mprotect(start, page, PROT_NONE) == 0);
    stack_t stack = {.ss_sp = start + page, .ss_size = size};
    struct sigaction action = {.sa_handler = ends_at_once, .sa_flags = SA_ONSTACK};
    CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGABRT, &action, NULL) == 0);
    abort();
}
