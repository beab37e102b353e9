// Injects disk faults into a process (LD_PRELOAD), for files whose path contains "countersign.db". Files in the folder FAULTY_DISK
// switch them on:
//
// - "sync", "write", "read": these calls fail with EIO. "full": writes fail with ENOSPC.
// - "durable", a folder: gets a copy of each file, named by its inode, as a loss of power would leave it. It has a write only after
//   a sync. With "torn" it has every other write at once.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

struct range { ino_t inode; off_t from; size_t length; };
static struct range *unsynced;
static size_t count, room;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static const char *const names[] = {"sync", "write", "read", "full", "durable", "torn"};
enum { names_count = sizeof names / sizeof *names };

// Whether there is a file of that name in FAULTY_DISK. Looks at most once a millisecond.
static int is_set(const char *what) {
  static _Thread_local int set[names_count];
  static _Thread_local long looked_at = -1;
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  long now = time.tv_sec * 1000 + time.tv_nsec / 1000000;
  const char *folder = getenv("FAULTY_DISK");
  for (int i = 0; folder && now != looked_at && i < names_count; i++) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, names[i]);
    set[i] = access(path, F_OK) == 0;
  }
  looked_at = now;
  for (int i = 0; i < names_count; i++)
    if (strcmp(names[i], what) == 0) return set[i];
  abort();
}

static int is_ours(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = 0;
  return strstr(path, "countersign.db") && !strstr(path, "-shm");
}

static int fails(const char *what, int code) {
  if (!is_set(what)) return 0;
  errno = code;
  return 1;
}

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static ssize_t plain_pread(int fd, void *to, size_t n, off_t at) {
  REAL(ssize_t, "pread64", int, void *, size_t, off_t);
  return real(fd, to, n, at);
}

static ssize_t plain_pwrite(int fd, const void *from, size_t n, off_t at) {
  REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
  return real(fd, from, n, at);
}

static int open_durable(ino_t inode) {
  char path[4096];
  snprintf(path, sizeof path, "%s/durable/%lu", getenv("FAULTY_DISK"), (unsigned long)inode);
  return open(path, O_RDWR | O_CREAT, 0600);
}

static void keep(int fd, int to, struct range range) {
  char *bytes = malloc(range.length);
  ssize_t n = plain_pread(fd, bytes, range.length, range.from);
  if (n > 0 && plain_pwrite(to, bytes, n, range.from) != n) abort();
  free(bytes);
}

static void written(int fd, off_t from, size_t length) {
  struct stat file;
  if (!is_set("durable") || fstat(fd, &file)) return;
  struct range range = {file.st_ino, from, length};
  pthread_mutex_lock(&lock);
  if (is_set("torn") && random() % 2) {
    int to = open_durable(file.st_ino);
    keep(fd, to, range);
    close(to);
  } else {
    struct range *last = count > 0 ? &unsynced[count - 1] : NULL;
    if (last && last->inode == range.inode && last->from + (off_t)last->length == from) {
      last->length += length;
    } else {
      if (count == room) unsynced = realloc(unsynced, (room = room * 2 + 1024) * sizeof *unsynced);
      unsynced[count++] = range;
    }
  }
  pthread_mutex_unlock(&lock);
}

static void synced(int fd) {
  struct stat file;
  if (!is_set("durable") || fstat(fd, &file)) return;
  pthread_mutex_lock(&lock);
  int to = open_durable(file.st_ino);
  size_t left = 0;
  for (size_t i = 0; i < count; i++) {
    if (unsynced[i].inode == file.st_ino) keep(fd, to, unsynced[i]);
    else unsynced[left++] = unsynced[i];
  }
  count = left;
  if (ftruncate(to, file.st_size)) abort();
  close(to);
  pthread_mutex_unlock(&lock);
}

static int sync_file(const char *name, int fd) {
  int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
  if (!is_ours(fd)) return real(fd);
  if (fails("sync", EIO)) return -1;
  int result = real(fd);
  if (result == 0) synced(fd);
  return result;
}

int fsync(int fd) { return sync_file("fsync", fd); }
int fdatasync(int fd) { return sync_file("fdatasync", fd); }

ssize_t pwrite64(int fd, const void *from, size_t n, off_t at) {
  if (!is_ours(fd)) return plain_pwrite(fd, from, n, at);
  if (fails("write", EIO) || fails("full", ENOSPC)) return -1;
  ssize_t done = plain_pwrite(fd, from, n, at);
  if (done > 0) written(fd, at, done);
  return done;
}

ssize_t pwrite(int fd, const void *from, size_t n, off_t at) { return pwrite64(fd, from, n, at); }

ssize_t write(int fd, const void *from, size_t n) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (!is_ours(fd)) return real(fd, from, n);
  if (fails("write", EIO) || fails("full", ENOSPC)) return -1;
  off_t at = lseek(fd, 0, SEEK_CUR);
  ssize_t done = real(fd, from, n);
  if (done > 0) written(fd, at, done);
  return done;
}

ssize_t pread64(int fd, void *to, size_t n, off_t at) {
  if (is_ours(fd) && fails("read", EIO)) return -1;
  return plain_pread(fd, to, n, at);
}

ssize_t pread(int fd, void *to, size_t n, off_t at) { return pread64(fd, to, n, at); }

ssize_t read(int fd, void *to, size_t n) {
  REAL(ssize_t, "read", int, void *, size_t);
  if (is_ours(fd) && fails("read", EIO)) return -1;
  return real(fd, to, n);
}
