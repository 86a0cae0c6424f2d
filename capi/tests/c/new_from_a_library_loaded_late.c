/* A program in C loads a library in C++, whose new finds no memory: the C++ library is there by then, but for that library alone. */
#include "check.h"

int main(int argc, char **argv)
{
    CHECK(argc == 2);
    void *plugin = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!plugin)
        dprintf(2, "%s\n", dlerror());
    CHECK(plugin);
    int (*catches)(void) = (int (*)(void))dlsym(plugin, "catches");
    CHECK(catches && catches() == 1);
    return 0;
}
