#include "check.h"

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    for (int round = 0; round < 50; round++) {
        void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        CHECK(plugin);
        char *(*text)(size_t) = (char *(*)(size_t))dlsym(plugin, "plugin_text");
        CHECK(text);
        char *short_one = text(100), *long_one = text(200000);
        CHECK(dlclose(plugin) == 0);
        CHECK(short_one[99] == 'x' && long_one[199999] == 'x');
        free(short_one);
        free(long_one);
    }
    return 0;
}
