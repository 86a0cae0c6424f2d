#include "check.h"
#include <malloc.h>

int main(void)
{
    char *blocks[1000], *large = malloc(10 << 20);
    CHECK(large);
    for (int nth = 0; nth < 1000; nth++)
        CHECK((blocks[nth] = malloc(1000)) != NULL);
    struct mallinfo2 info = mallinfo2();
    CHECK(info.uordblks >= 1000000 && info.arena >= info.uordblks && info.hblks >= 1 && info.hblkhd >= 10 << 20);
    CHECK(info.arena == info.uordblks + info.fordblks);
    for (int nth = 0; nth < 1000; nth++)
        free(blocks[nth]);
    free(large);
    struct mallinfo2 after = mallinfo2();
    CHECK(after.uordblks + 900000 < info.uordblks && after.hblkhd < info.hblkhd);

    CHECK(malloc_trim(0) == 1);

    CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1 && mallopt(M_ARENA_MAX, 1) == 1);

    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    CHECK(stream && malloc_info(1, stream) == EINVAL && malloc_info(0, stream) == 0 && fclose(stream) == 0);
    CHECK(strncmp(text, "<malloc", 7) == 0 && strstr(text, "</malloc>"));
    free(text);
    malloc_stats();
    return 0;
}
