#include "check.h"
#include "tenure.h"
#include <fcntl.h>
#include <sys/resource.h>

int main(void)
{
    CHECK(strcmp(tenure_version(), TENURE_VERSION) == 0);

    size_t needed = tenure_stats_json(NULL, 0);
    CHECK(needed > 100);
    char *text = malloc(needed + 1000);
    CHECK(text);
    size_t len = tenure_stats_json(text, needed + 1000);
    CHECK(len == strlen(text) && len <= needed + 1000 && text[0] == '{' && text[len - 1] == '}');
    char cut[10];
    memset(cut, 'x', sizeof cut);
    CHECK(tenure_stats_json(cut, 5) > 100 && cut[4] == 0 && cut[5] == 'x' && strncmp(cut, text, 4) == 0);
    free(text);

    int pipes[2];
    CHECK(pipe(pipes) == 0 && tenure_stats_print(pipes[1]) == 0 && close(pipes[1]) == 0);
    char line[7] = "";
    CHECK(read(pipes[0], line, 6) == 6 && strcmp(line, "memory") == 0);
    errno = 0;
    CHECK(tenure_stats_print(-1) == -1 && errno == EBADF);
    /* Whom nobody reads, or whose file may not grow, is told so, and not ended by a signal. */
    CHECK(close(pipes[0]) == 0 && pipe(pipes) == 0 && close(pipes[0]) == 0);
    errno = 0;
    CHECK(tenure_stats_print(pipes[1]) == -1 && errno == EPIPE);
    FILE *file = tmpfile();
    struct rlimit limit = {0, RLIM_INFINITY};
    CHECK(file && setrlimit(RLIMIT_FSIZE, &limit) == 0);
    errno = 0;
    CHECK(tenure_stats_print(fileno(file)) == -1 && errno == EFBIG);

    CHECK(tenure_purge_delay() == 1000 && tenure_set_purge_delay(0) == 0 && tenure_purge_delay() == 0);
    errno = 0;
    CHECK(tenure_set_purge_delay(3600001) == -1 && errno == EINVAL && tenure_purge_delay() == 0);
    CHECK(tenure_set_purge_delay(3600000) == 0 && tenure_purge_delay() == 3600000);
    tenure_count_exact_bytes(1);
    void *exact = malloc(1000);
    CHECK(exact != NULL);
    tenure_count_exact_bytes(0);
    free(exact);
    tenure_purge();
    return 0;
}
