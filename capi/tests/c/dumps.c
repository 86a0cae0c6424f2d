/* What a program does whose statistics and heap profile a signal asks for. The first argument says what; then come the files for which it waits. */

#include "check.h"
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define NOINLINE __attribute__((noinline))

static void *volatile last;

static void keep(void *block) {
    last = block;
}

NOINLINE static void kept_before_the_first(void) {
    for (int nth = 0; nth < 8; nth++)
        keep(malloc(1 << 20));
}

NOINLINE static void kept_before_the_second(void) {
    for (int nth = 0; nth < 8; nth++)
        keep(malloc(1 << 20));
}

NOINLINE static void given_back(void) {
    for (int nth = 0; nth < 8; nth++) {
        keep(malloc(1 << 20));
        free(last);
    }
}

static void wait_a_moment(void) {
    struct timespec moment = {0, 10000000};
    nanosleep(&moment, NULL);
}

/* Until the file is there: at most a minute. */
static void wait_for(const char *file) {
    struct stat status;
    for (int nth = 0; stat(file, &status) != 0; nth++) {
        CHECK(nth < 6000);
        wait_a_moment();
    }
}

static volatile int ends_of_children;

static void count_end(int number) {
    (void)number;
    ends_of_children++;
}

/* No child, and no signal that tells of one. */
static void has_noticed_nothing(void) {
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
    CHECK(ends_of_children == 0);
}

/* A large block, which is there to be given back. */
static void *exhaust(void) {
    struct rlimit limit;
    CHECK(getrlimit(RLIMIT_AS, &limit) == 0);
    limit.rlim_cur = 256 << 20;
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    void *large = malloc(1 << 24);
    CHECK(large != NULL);
    for (size_t size = 1 << 24; size >= 16; size /= 2) {
        for (char *block; (block = malloc(size)) != NULL;) {
            keep(block);
        }
    }
    CHECK(malloc(16) == NULL);
    return large;
}

int main(int count, char **arguments) {
    CHECK(count >= 2);
    const char *what = arguments[1];
    struct sigaction action = {.sa_handler = count_end};
    CHECK(sigaction(SIGCHLD, &action, NULL) == 0);
    kept_before_the_first();
    given_back();
    if (strcmp(what, "twice") == 0) {
        CHECK(count == 4);
        CHECK(raise(SIGUSR1) == 0);
        while (access(arguments[2], F_OK) != 0) {
            has_noticed_nothing();
        }
        kept_before_the_second();
        CHECK(raise(SIGUSR1) == 0);
        wait_for(arguments[3]);
        has_noticed_nothing();
    } else if (strcmp(what, "exhausted") == 0) {
        void *large = exhaust();
        CHECK(raise(SIGUSR1) == 0);
        for (int nth = 2; nth < count; nth++) {
            wait_for(arguments[nth]);
        }
        CHECK(malloc(16) == NULL && errno == ENOMEM);
        free(large);
        CHECK(malloc(16) != NULL);
        has_noticed_nothing();
    } else if (strcmp(what, "failing") == 0) {
        for (int nth = 0; nth < 20; nth++) {
            CHECK(nth != 0 || raise(SIGUSR1) == 0);
            wait_a_moment();
            free(malloc(100000));
        }
        has_noticed_nothing();
    } else if (strcmp(what, "ignoring") == 0) {
        CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
        CHECK(raise(SIGUSR1) == 0);
        wait_for(arguments[2]);
    } else {
        CHECK(!"this is nothing to do");
    }
    printf("went on\n");
    return 7;
}
