/* The wall clock of a process, set wrong by as many seconds as the file $STEPPED_CLOCK says; monotonic clocks are let be. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long stepped(void) {
    long seconds = 0;
    const char *path = getenv("STEPPED_CLOCK");
    FILE *file = path ? fopen(path, "r") : NULL;
    if (file) {
        if (fscanf(file, "%ld", &seconds) != 1) seconds = 0;
        fclose(file);
    }
    return seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, now);
    if (!failed && clock == CLOCK_REALTIME) now->tv_sec += stepped();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec spec;
    int failed = clock_gettime(CLOCK_REALTIME, &spec);
    (void)zone;
    if (!failed) now->tv_sec = spec.tv_sec, now->tv_usec = spec.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *where) {
    struct timespec spec;
    clock_gettime(CLOCK_REALTIME, &spec);
    if (where) *where = spec.tv_sec;
    return spec.tv_sec;
}
