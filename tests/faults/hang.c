/* Lets fsync and fdatasync hang while the file exists that HANG_WHILE names. Preload it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void wait_while_told(void) {
    const char *path = getenv("HANG_WHILE");
    while (path && access(path, F_OK) == 0) usleep(20000);
}

int fsync(int file) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    wait_while_told();
    return real(file);
}

int fdatasync(int file) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    wait_while_told();
    return real(file);
}
