/* A library that gives away what it has allocated, and frees what it is given. */
#include <stdlib.h>
#include <string.h>

char *plugin_text(size_t size)
{
    char *text = malloc(size);
    memset(text, 'x', size);
    return text;
}

void plugin_free(void *block)
{
    free(block);
}

char *plugin_longer(char *block, size_t size)
{
    return realloc(block, size);
}
