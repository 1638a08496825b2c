/* Faults beneath a store: a slow or full disk and a wall clock that jumps, steered by small files while it runs.

   GATE_TEST_FSYNC_MS_FILE  milliseconds that each fsync and fdatasync sleeps first
   GATE_TEST_CLOCK_FILE     seconds (may be negative) added to the wall clock
   GATE_TEST_FULL_FILE      1: writes to regular files fail with ENOSPC

   The library calls the kernel itself wherever it can: a server's allocator may ask for the time before the dynamic
   linker is able to look a function up. The monotonic clock is left alone: real clock jumps do not move it either. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REREAD_NS 10000000LL

static char fsync_file[PATH_MAX], clock_file[PATH_MAX], full_file[PATH_MAX];
static int (*next_clock)(clockid_t, struct timespec *);
static size_t (*next_fwrite)(const void *, size_t, size_t, FILE *);

/* Paths are copied: these servers write over their environment when they set their title. */
static void keep(char *to, const char *name) {
    const char *value = getenv(name);
    if (value && strlen(value) < PATH_MAX) strcpy(to, value);
}

__attribute__((constructor)) static void begin(void) {
    keep(fsync_file, "GATE_TEST_FSYNC_MS_FILE");
    keep(clock_file, "GATE_TEST_CLOCK_FILE");
    keep(full_file, "GATE_TEST_FULL_FILE");
    next_fwrite = dlsym(RTLD_NEXT, "fwrite");
    next_clock = dlsym(RTLD_NEXT, "clock_gettime");
}

static long long number_in(const char *path) {
    char text[32];
    int saved = errno;
    long long value = 0;
    if (!path[0]) return 0;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t got = syscall(SYS_read, fd, text, sizeof text - 1);
        syscall(SYS_close, fd);
        if (got > 0) {
            text[got] = 0;
            value = strtoll(text, NULL, 10);
        }
    }
    errno = saved;
    return value;
}

static int true_clock(clockid_t id, struct timespec *at) {
    return next_clock ? next_clock(id, at) : (int)syscall(SYS_clock_gettime, id, at);
}

/* The file's number, as of at most 10 ms ago: these are asked for several times a command. */
static long long cached(const char *path, long long *value, long long *read_at) {
    struct timespec now;
    if (!path[0]) return 0;
    true_clock(CLOCK_MONOTONIC, &now);
    long long ns = now.tv_sec * 1000000000LL + now.tv_nsec;
    if (ns - __atomic_load_n(read_at, __ATOMIC_RELAXED) > REREAD_NS) {
        __atomic_store_n(read_at, ns, __ATOMIC_RELAXED);
        __atomic_store_n(value, number_in(path), __ATOMIC_RELAXED);
    }
    return __atomic_load_n(value, __ATOMIC_RELAXED);
}

static long long offset(void) {
    static long long value, read_at;
    return cached(clock_file, &value, &read_at);
}

int clock_gettime(clockid_t id, struct timespec *at) {
    int failed = true_clock(id, at);
    if (!failed && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += offset();
    return failed;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    struct timespec now;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec;
    at->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}

static void sleep_first(void) {
    long long ms = number_in(fsync_file);
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    if (ms > 0)
        while (nanosleep(&left, &left) && errno == EINTR) {
        }
}

int fsync(int fd) {
    sleep_first();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    sleep_first();
    return (int)syscall(SYS_fdatasync, fd);
}

static int is_full(int fd) {
    static long long value, read_at;
    struct stat about;
    return cached(full_file, &value, &read_at) && fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

#define FAIL_IF_FULL(fd)  \
    if (is_full(fd)) {    \
        errno = ENOSPC;   \
        return -1;        \
    }

ssize_t write(int fd, const void *data, size_t size) {
    FAIL_IF_FULL(fd)
    return syscall(SYS_write, fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    FAIL_IF_FULL(fd)
    return syscall(SYS_pwrite64, fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    FAIL_IF_FULL(fd)
    return syscall(SYS_pwrite64, fd, data, size, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    FAIL_IF_FULL(fd)
    return syscall(SYS_writev, fd, parts, count);
}

/* Snapshots are written through stdio, whose own write cannot be replaced from here. */
size_t fwrite(const void *data, size_t size, size_t count, FILE *to) {
    if (is_full(fileno(to))) {
        errno = ENOSPC;
        return 0;
    }
    return next_fwrite(data, size, count, to);
}
