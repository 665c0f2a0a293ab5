/* A platform with a C library. */
#include "platform.h"
#include <stdio.h>

void put(const char *text)
{
    fputs(text, stdout);
}
