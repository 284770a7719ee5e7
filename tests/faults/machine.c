/*
 * Writes down what a program does to the disk below one folder, in the order in which it is done:
 * preloaded, so that SQLite's calls are seen as well as Python's.
 *
 * FAULTS_FOLDER is the folder, FAULTS_LOG the file that gets a record a call:
 *
 *     kind (1 byte) device, inode (8 bytes each) offset, length (8 each) data of that length
 *
 *     c  a descriptor was opened that may have made a file: data is the path
 *     w  data written at the offset            t  length of the file is now the offset
 *     s  file or folder synced                 a  everything synced (syncfs)
 *     r  rename: data is both paths            l  link: data is both paths
 *     u  unlink or rmdir: data is the path     m  mkdir: data is the path
 *
 * Paths end in a zero byte. A lock is held over a call and its record: the order of records is the
 * order of calls. What is written through a mapping is not seen (SQLite's -shm, which is made anew
 * after a crash).
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static pthread_mutex_t order = PTHREAD_MUTEX_INITIALIZER;

struct record {
    uint64_t device, inode, offset, length;
};

static void append(char kind, uint64_t device, uint64_t inode, uint64_t offset,
                   const void *data, size_t length)
{
    const char *log = getenv("FAULTS_LOG");
    struct record head = {device, inode, offset, length};
    struct iovec parts[] = {{&kind, 1}, {&head, sizeof head}, {(void *)data, length}};
    int out;

    if (log == NULL)
        return;
    out = REAL(open)(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (out < 0 || REAL(writev)(out, parts, 3) != (ssize_t)(1 + sizeof head + length))
        abort();
    REAL(close)(out);
}

static int is_ours(const char *path)
{
    const char *folder = getenv("FAULTS_FOLDER");

    return folder != NULL && strncmp(path, folder, strlen(folder)) == 0;
}

/* Whether a descriptor is of a file below the folder; gives which. */
static int known(int descriptor, struct stat *found)
{
    char link[32], path[PATH_MAX];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    length = readlink(link, path, sizeof path - 1);
    if (length < 0)
        return 0;
    path[length] = '\0';
    return is_ours(path) && fstat(descriptor, found) == 0;
}

static void of_descriptor(char kind, int descriptor, uint64_t offset, const void *data, size_t size)
{
    struct stat found;

    if (known(descriptor, &found))
        append(kind, found.st_dev, found.st_ino, offset, data, size);
}

static void of_paths(char kind, const char *first, const char *second)
{
    char both[2 * PATH_MAX];
    struct stat found = {0};
    size_t length = strlen(first) + 1;

    if (!is_ours(first) && !(second && is_ours(second)))
        return;
    memcpy(both, first, length);
    if (second) {
        memcpy(both + length, second, strlen(second) + 1);
        length += strlen(second) + 1;
    }
    if (kind != 'u')
        lstat(second ? second : first, &found);
    append(kind, found.st_dev, found.st_ino, 0, both, length);
}

static int opened(int descriptor, const char *path, int flags)
{
    struct stat found;

    if (descriptor >= 0 && (flags & (O_CREAT | O_TRUNC)) && is_ours(path)
        && fstat(descriptor, &found) == 0) {
        append('c', found.st_dev, found.st_ino, 0, path, strlen(path) + 1);
        if (flags & O_TRUNC)
            append('t', found.st_dev, found.st_ino, 0, NULL, 0);
    }
    return descriptor;
}

#define OPEN(name)                                                 \
    int name(const char *path, int flags, ...)                     \
    {                                                              \
        va_list more;                                              \
        mode_t mode = 0;                                           \
        int descriptor;                                            \
                                                                   \
        va_start(more, flags);                                     \
        if (flags & (O_CREAT | O_TMPFILE))                         \
            mode = va_arg(more, mode_t);                           \
        va_end(more);                                              \
        pthread_mutex_lock(&order);                                \
        descriptor = opened(REAL(name)(path, flags, mode), path, flags); \
        pthread_mutex_unlock(&order);                              \
        return descriptor;                                         \
    }

OPEN(open)
OPEN(open64)

/* A call on a descriptor: made, and written down where it did what it should. */
#define NOTED(type, call, did, record)     \
    type result;                           \
                                           \
    pthread_mutex_lock(&order);            \
    result = call;                         \
    if (did)                               \
        record;                            \
    pthread_mutex_unlock(&order);          \
    return result

ssize_t write(int descriptor, const void *data, size_t size)
{
    NOTED(ssize_t, REAL(write)(descriptor, data, size), result > 0,
          of_descriptor('w', descriptor, (uint64_t)(lseek(descriptor, 0, SEEK_CUR) - result), data,
                        (size_t)result));
}

ssize_t pwrite(int descriptor, const void *data, size_t size, off_t at)
{
    NOTED(ssize_t, REAL(pwrite)(descriptor, data, size, at), result > 0,
          of_descriptor('w', descriptor, (uint64_t)at, data, (size_t)result));
}

ssize_t pwrite64(int descriptor, const void *data, size_t size, off64_t at)
{
    NOTED(ssize_t, REAL(pwrite64)(descriptor, data, size, at), result > 0,
          of_descriptor('w', descriptor, (uint64_t)at, data, (size_t)result));
}

int ftruncate(int descriptor, off_t size)
{
    NOTED(int, REAL(ftruncate)(descriptor, size), result == 0,
          of_descriptor('t', descriptor, (uint64_t)size, NULL, 0));
}

int ftruncate64(int descriptor, off64_t size)
{
    NOTED(int, REAL(ftruncate64)(descriptor, size), result == 0,
          of_descriptor('t', descriptor, (uint64_t)size, NULL, 0));
}

int fsync(int descriptor)
{
    NOTED(int, REAL(fsync)(descriptor), result == 0, of_descriptor('s', descriptor, 0, NULL, 0));
}

int fdatasync(int descriptor)
{
    NOTED(int, REAL(fdatasync)(descriptor), result == 0, of_descriptor('s', descriptor, 0, NULL, 0));
}

int syncfs(int descriptor)
{
    NOTED(int, REAL(syncfs)(descriptor), result == 0, of_descriptor('a', descriptor, 0, NULL, 0));
}

int rename(const char *from, const char *to)
{
    NOTED(int, REAL(rename)(from, to), result == 0, of_paths('r', from, to));
}

int link(const char *from, const char *to)
{
    NOTED(int, REAL(link)(from, to), result == 0, of_paths('l', from, to));
}

int unlink(const char *path)
{
    NOTED(int, REAL(unlink)(path), result == 0, of_paths('u', path, NULL));
}

int rmdir(const char *path)
{
    NOTED(int, REAL(rmdir)(path), result == 0, of_paths('u', path, NULL));
}

int mkdir(const char *path, mode_t mode)
{
    NOTED(int, REAL(mkdir)(path, mode), result == 0, of_paths('m', path, NULL));
}
