/* A program that does what reports may come in the middle of. The first argument says what. */

#include "check.h"
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void wait_ms(long ms) {
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0) {
    }
}

static int threads(void) {
    DIR *folder = opendir("/proc/self/task");
    CHECK(folder != NULL);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    closedir(folder);
    return count;
}

static void exhaust(void) {
    struct rlimit limit = {256 << 20, 256 << 20};
    CHECK(setrlimit(RLIMIT_AS, &limit) == 0);
    for (size_t size = 1 << 24; size >= 16; size /= 2) {
        for (char *block; (block = malloc(size)) != NULL;) {
            block[0] = 1;
        }
    }
    CHECK(malloc(16) == NULL);
}

static volatile int is_over;

static void *work(void *unused) {
    void *blocks[200];
    while (!is_over) {
        for (int nth = 0; nth < 200; nth++) {
            blocks[nth] = malloc((size_t)nth * 40 + 1);
        }
        for (int nth = 0; nth < 200; nth++) {
            free(blocks[nth]);
        }
    }
    return unused;
}

/* Signals to threads that allocate, from one that allocates. */
static void storm(void) {
    pthread_t workers[3];
    for (int nth = 0; nth < 3; nth++) {
        CHECK(pthread_create(&workers[nth], NULL, work, NULL) == 0);
    }
    for (int nth = 0; nth < 300; nth++) {
        CHECK(pthread_kill(nth % 4 < 3 ? workers[nth % 4] : pthread_self(), SIGUSR1) == 0);
        free(malloc(100000));
        wait_ms(1);
    }
    is_over = 1;
    for (int nth = 0; nth < 3; nth++) {
        CHECK(pthread_join(workers[nth], NULL) == 0);
    }
}

static void *end_at_once(void *unused) {
    _exit(7);
    return unused;
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    const char *what = arguments[1];
    if (strcmp(what, "wait") == 0) {
        wait_ms(500);
    } else if (strcmp(what, "signal") == 0) {
        for (int nth = 0; nth < 3; nth++) {
            errno = 77;
            CHECK(raise(SIGUSR1) == 0);
            CHECK(errno == 77);
            wait_ms(200);
        }
    } else if (strcmp(what, "fork") == 0 || strcmp(what, "fork-signal") == 0) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0 && strcmp(what, "fork-signal") == 0) {
            CHECK(raise(SIGUSR1) == 0);
        }
        wait_ms(400);
        CHECK(child == 0 || waitpid(child, NULL, 0) == child);
    } else if (strcmp(what, "ends-at-once") == 0) {
        printf("not written");
        _exit(3);
    } else if (strcmp(what, "ends-by-its-other-name") == 0) {
        _Exit(4);
    } else if (strcmp(what, "children-end-at-once") == 0) {
        void *own = malloc(1000);
        for (int nth = 0; nth < 3; nth++) {
            pid_t child = fork();
            CHECK(child >= 0);
            if (child == 0) {
                free(own);
                _exit(5);
            }
            int status;
            CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 5);
        }
        pid_t child = vfork();
        if (child == 0) {
            execl("/nowhere", "nowhere", NULL);
            _exit(6);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 6);
    } else if (strcmp(what, "threads-end-at-once") == 0) {
        pthread_t enders[4];
        for (int nth = 0; nth < 4; nth++) {
            CHECK(pthread_create(&enders[nth], NULL, end_at_once, NULL) == 0);
        }
        pthread_join(enders[0], NULL);
    } else if (strcmp(what, "exhaust") == 0) {
        exhaust();
    } else if (strcmp(what, "storm") == 0) {
        storm();
    } else if (strcmp(what, "closes-all-but-the-three") == 0) {
        for (int descriptor = 3; descriptor < 1024; descriptor++) {
            close(descriptor);
        }
    } else if (strcmp(what, "count") == 0) {
        printf("%d\n", threads());
    } else {
        CHECK(!"this is nothing to do");
    }
    return 0;
}
