/* A disk whose fsync takes 5 ms longer: preloaded (LD_PRELOAD) into the gateway and into the peers that store.
   Tracing a process to delay one system call would slow down all the others as well. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <time.h>

static void wait_for_the_disk(void) {
  struct timespec left = {0, 5 * 1000 * 1000};
  while (nanosleep(&left, &left) == -1 && errno == EINTR) {
  }
}

typedef int (*sync_call)(int);

int fsync(int fd) {
  static sync_call real;
  if (!real) real = (sync_call)dlsym(RTLD_NEXT, "fsync");
  wait_for_the_disk();
  return real(fd);
}

int fdatasync(int fd) {
  static sync_call real;
  if (!real) real = (sync_call)dlsym(RTLD_NEXT, "fdatasync");
  wait_for_the_disk();
  return real(fd);
}
