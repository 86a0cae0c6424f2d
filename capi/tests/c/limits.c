#include "check.h"
#include "tenure.h"

enum { MIB = 1 << 20, BLOCKS = 4096, SIZE = 40000 };

static void *kept[BLOCKS];
static int calls, critical_calls;
static struct tenure_pressure seen;

static void note(const struct tenure_pressure *pressure)
{
    calls++;
    critical_calls += pressure->is_critical;
    seen = *pressure;
}

/* Gives half of what is kept back, once. */
static void give_half(const struct tenure_pressure *pressure)
{
    note(pressure);
    if (critical_calls == 1)
        for (int nth = 0; nth < BLOCKS; nth += 2) {
            free(kept[nth]);
            kept[nth] = NULL;
        }
}

static size_t committed(void)
{
    static char text[1 << 16];
    CHECK(tenure_stats_json(text, sizeof text) < sizeof text);
    const char *member = strstr(text, "\"committed\":");
    CHECK(member);
    return strtoull(member + strlen("\"committed\":"), NULL, 10);
}

/* Allocates and fills until there is no memory, and returns how many blocks that were. */
static int take_all(void)
{
    int count = 0;
    for (int nth = 0; nth < BLOCKS; nth++) {
        if (kept[nth])
            continue;
        errno = 0;
        kept[nth] = malloc(SIZE);
        if (!kept[nth]) {
            CHECK(errno == ENOMEM);
            return count;
        }
        CHECK(errno == 0);
        fill(kept[nth], SIZE, (unsigned)nth);
        count++;
    }
    CHECK(!"the limit was not reached");
    return count;
}

static void free_all(void)
{
    for (int nth = 0; nth < BLOCKS; nth++) {
        CHECK(!kept[nth] || is_filled(kept[nth], SIZE, (unsigned)nth));
        free(kept[nth]);
        kept[nth] = NULL;
    }
}

int main(void)
{
    CHECK(tenure_soft_limit() == TENURE_NO_LIMIT && tenure_hard_limit() == TENURE_NO_LIMIT);
    errno = 0;
    CHECK(tenure_set_limit(64 * MIB, 32 * MIB) == -1 && errno == EINVAL);
    CHECK(tenure_hard_limit() == TENURE_NO_LIMIT);

    /* A hard limit is kept, and passes. */
    size_t hard = committed() + 32 * MIB;
    CHECK(tenure_set_limit(TENURE_NO_LIMIT, hard) == 0);
    CHECK(tenure_soft_limit() == TENURE_NO_LIMIT && tenure_hard_limit() == hard);
    int first = take_all();
    CHECK(committed() <= hard && first > 400);
    free_all();
    int second = take_all();
    CHECK(second >= first - first / 50);

    /* The program is called before a request fails, and what it frees serves the request. */
    tenure_on_pressure(give_half);
    int more = take_all();
    CHECK(more > first / 4);
    CHECK(critical_calls == 2 && seen.is_critical == 1 && seen.limit <= hard && seen.committed <= hard);
    tenure_on_pressure(NULL);
    CHECK(take_all() == 0 && critical_calls == 2);
    free_all();

    /* A soft limit calls, and refuses nothing. */
    tenure_purge();
    size_t soft = committed() + 8 * MIB;
    calls = critical_calls = 0;
    tenure_on_pressure(note);
    CHECK(tenure_set_limit(soft, TENURE_NO_LIMIT) == 0 && tenure_soft_limit() == soft);
    for (int nth = 0; nth < 500; nth++) {
        kept[nth] = malloc(SIZE);
        CHECK(kept[nth]);
        fill(kept[nth], SIZE, (unsigned)nth);
    }
    CHECK(calls > 0 && critical_calls == 0 && seen.limit == soft && seen.committed > soft);
    free_all();
    tenure_on_pressure(NULL);
    CHECK(tenure_set_limit(TENURE_NO_LIMIT, TENURE_NO_LIMIT) == 0);

    /* The control group's, if it has one. */
    errno = 0;
    if (tenure_set_limit_of_cgroup() == 0)
        CHECK(tenure_soft_limit() < tenure_hard_limit() && tenure_hard_limit() < TENURE_NO_LIMIT);
    else
        CHECK(errno == ENOENT && tenure_hard_limit() == TENURE_NO_LIMIT);
    return 0;
}
