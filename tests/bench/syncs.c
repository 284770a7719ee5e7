/*
 * Counts waits for the disk: preloaded into a command, it writes the path of every file that the
 * command syncs, one a line, to the file named by BENCH_SYNCS. SQLite's are seen too.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void note(int descriptor)
{
    const char *log = getenv("BENCH_SYNCS");
    char link[32], line[4096];
    ssize_t length;
    int out;

    if (log == NULL)
        return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, line, sizeof line - 1);
    if (length < 0)
        return;
    line[length++] = '\n';
    out = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out >= 0) {
        if (write(out, line, (size_t)length) < 0)
            perror("BENCH_SYNCS");
        close(out);
    }
}

int fsync(int descriptor)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

    note(descriptor);
    return real(descriptor);
}

int fdatasync(int descriptor)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

    note(descriptor);
    return real(descriptor);
}

int syncfs(int descriptor)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "syncfs");

    note(descriptor);
    return real(descriptor);
}
