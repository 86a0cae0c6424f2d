/* Libraries that are opened with RTLD_DEEPBIND, as PHP opens its extensions, and the program free each other's memory. */
#include "check.h"

static void exchange(void *plugin)
{
    CHECK(plugin);
    char *(*text)(size_t) = (char *(*)(size_t))dlsym(plugin, "plugin_text");
    void (*free_there)(void *) = (void (*)(void *))dlsym(plugin, "plugin_free");
    char *(*longer)(char *, size_t) = (char *(*)(char *, size_t))dlsym(plugin, "plugin_longer");
    CHECK(text && free_there && longer);
    for (size_t at = 0; at < BORDER_COUNT; at++) {
        size_t size = BORDERS[at];
        char *here = malloc(size), *there = text(size);
        memset(here, 'y', size);
        here = longer(here, size + 100);
        CHECK(here && here[size - 1] == 'y' && there[size - 1] == 'x');
        free_there(here);
        free(there);
    }
}

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    exchange(plugin);
    CHECK(dlclose(plugin) == 0);
    exchange(dlopen(argv[1], RTLD_LAZY | RTLD_GLOBAL | RTLD_DEEPBIND));

    /* Nothing else about dlopen is different: the program itself, what is not there, and what is there already. */
    CHECK(dlopen(NULL, RTLD_LAZY));
    CHECK(!dlopen("/nowhere/plugin.so", RTLD_LAZY | RTLD_DEEPBIND));
    const char *reason = dlerror();
    CHECK(reason && strstr(reason, "/nowhere/plugin.so"));
    CHECK(dlopen(argv[1], RTLD_LAZY | RTLD_NOLOAD));
    return 0;
}
