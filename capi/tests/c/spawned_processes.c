#include "check.h"
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/wait.h>

extern char **environ;
static atomic_int is_over;

static void *load(void *nothing)
{
    while (!is_over)
        free(malloc(1000));
    return nothing;
}

static void expect_success(pid_t child)
{
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
}

int main(void)
{
    pthread_t thread;
    alarm(120);
    CHECK(pthread_create(&thread, NULL, load, NULL) == 0);
    char *arguments[] = {(char *)"sh", (char *)"-c", (char *)"exit 0", NULL};
    for (int nth = 0; nth < 20; nth++) {
        pid_t child;
        CHECK(posix_spawn(&child, "/bin/sh", NULL, NULL, arguments, environ) == 0);
        expect_success(child);
        child = vfork();
        if (child == 0) {
            execv("/bin/sh", arguments);
            _exit(127);
        }
        expect_success(child);
        CHECK(system("exit 0") == 0);
        FILE *pipe = popen("echo text", "r");
        char line[16];
        CHECK(pipe && fgets(line, sizeof line, pipe) && strcmp(line, "text\n") == 0 && pclose(pipe) == 0);
    }
    is_over = 1;
    CHECK(pthread_join(thread, NULL) == 0);
    return 0;
}
