/* A handler that floods both its streams, in turn, with lines of 64 bytes: so many bytes in all, which is its second
   argument. The two readings of CLOCK_MONOTONIC, in nanoseconds, go into the file that is its first argument. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long long now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int write_all(int to, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t written = write(to, bytes, count);
        if (written < 0) return -1;
        bytes += written;
        count -= (size_t)written;
    }
    return 0;
}

int main(int argc, char **argv) {
    static char block[64 * 1024];
    if (argc != 3) return 2;
    for (size_t i = 0; i < sizeof block; i++) block[i] = i % 64 == 63 ? '\n' : 'x';
    long long total = atoll(argv[2]), begin = now();
    for (long long done = 0; done < total; done += 2 * (long long)sizeof block)
        if (write_all(1, block, sizeof block) || write_all(2, block, sizeof block)) return 1;
    FILE *file = fopen(argv[1], "w");
    if (!file || fprintf(file, "%lld %lld\n", begin, now()) < 0) return 1;
    return fclose(file) ? 1 : 0;
}
