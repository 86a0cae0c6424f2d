#include "check.h"
#include "tenure.h"
#include <dirent.h>
#include <sys/wait.h>

/* True where the process has a thread of this name. */
static int has_thread(const char *name)
{
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    int found = 0;
    for (struct dirent *entry; (entry = readdir(tasks));) {
        char path[300], text[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "r");
        if (!file)
            continue;
        if (fgets(text, sizeof text, file))
            found |= strcmp(text, name) == 0;
        fclose(file);
    }
    closedir(tasks);
    return found;
}

/* The thread names itself once it runs. */
static void await_purger(void)
{
    while (!has_thread("tenure-purger\n"))
        usleep(1000);
}

static size_t resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long size, pages;
    CHECK(file && fscanf(file, "%lu %lu", &size, &pages) == 2);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

int main(void)
{
    CHECK(!has_thread("tenure-purger\n"));
    CHECK(tenure_set_purge_delay(20) == 0);
    errno = 0;
    CHECK(tenure_start_purger() == 0 && tenure_start_purger() == 0 && errno == 0);
    await_purger();

    /* What is freed goes back though this thread does nothing with memory any more. */
    enum { COUNT = 1000, SIZE = 60000 };
    static void *blocks[COUNT];
    for (int nth = 0; nth < COUNT; nth++) {
        blocks[nth] = malloc(SIZE);
        CHECK(blocks[nth]);
        fill(blocks[nth], SIZE, (unsigned)nth);
    }
    size_t with_blocks = resident();
    for (int nth = 0; nth < COUNT; nth++)
        free(blocks[nth]);
    while (resident() > with_blocks - COUNT * (size_t)SIZE / 10 * 9)
        usleep(10000);

    /* A child has none until it starts one. */
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(!has_thread("tenure-purger\n"));
        CHECK(tenure_start_purger() == 0);
        await_purger();
        _exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return 0;
}
