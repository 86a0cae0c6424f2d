/* A program that writes over its environment, as some do for a title, and stays. */

#include "check.h"

int main(void)
{
    for (char **entry = environ; *entry != NULL; entry++)
        memset(*entry, 0, strlen(*entry));
    for (;;)
        pause();
}
