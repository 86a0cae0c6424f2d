#include "check.h"

int main(void)
{
    const char *(*version)(void) = (const char *(*)(void))dlsym(RTLD_DEFAULT, "tenure_version");
    CHECK(version != NULL);
    CHECK(puts(version()) >= 0);
    return 0;
}
