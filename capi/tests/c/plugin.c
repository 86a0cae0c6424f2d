/* A library that allocates: in its constructor, when it is used, and in its destructor. */
#include <stdlib.h>
#include <string.h>

static char *kept;

__attribute__((constructor)) static void start(void)
{
    kept = malloc(1000);
    memset(kept, 1, 1000);
}

__attribute__((destructor)) static void end(void)
{
    char *last = malloc(500);
    memset(last, 2, 500);
    free(last);
    free(kept);
}

char *plugin_text(size_t size)
{
    char *text = malloc(size);
    memset(text, 'x', size);
    return text;
}
