/* The handler of the benchmark: writes two readings of CLOCK_MONOTONIC, in nanoseconds, to the file that its last
   argument names: one from its first moment and one from its last. Small and static, so that what is measured is the
   way to the program and not the program. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <time.h>

static long long nanoseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long long)now.tv_sec * 1000000000LL + now.tv_nsec;
}

int main(int argc, char **argv) {
    long long begin = nanoseconds();
    if (argc < 2) {
        return 2;
    }
    int file = open(argv[argc - 1], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0) {
        return 3;
    }
    return dprintf(file, "%lld %lld\n", begin, nanoseconds()) < 0 ? 4 : 0;
}
