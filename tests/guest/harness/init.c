/* The guest's first process: loads modules, mounts the host's root file system over 9p, runs one
 * command, powers off.
 *
 * Linked statically and packed into the initramfs with: /modules (one module per file, loaded in
 * the order of the names), /command and /environment (strings that end in NUL). The root file
 * system is the host's, read-only; what must be writable is a tmpfs. Messages go to the console.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { kMaxStrings = 64, kTextBytes = 16384 };

static const char kRoot[] = "/root";

static void power_off(void) {
  sync();
  reboot(RB_POWER_OFF);
  for (;;) pause();
}

static void fail(const char* what, const char* on) {
  printf("guest init: %s %s: %s\n", what, on, strerror(errno));
  fflush(stdout);
  power_off();
}

static void mount_or_fail(const char* source, const char* target, const char* type,
                          unsigned long flags, const char* options) {
  if (mount(source, target, type, flags, options) != 0) fail("cannot mount", target);
}

static void load_modules(void) {
  struct dirent** names;
  int count = scandir("/modules", &names, NULL, alphasort);
  for (int i = 0; i < count; ++i) {
    if (names[i]->d_name[0] == '.') continue;
    char path[300];
    snprintf(path, sizeof path, "/modules/%s", names[i]->d_name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST))
      fail("cannot load", path);
    close(fd);
  }
}

/* Splits a file of NUL-ended strings into a NULL-ended array; `text` must outlive it. */
static void read_strings(const char* path, char* text, char** strings) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t size = fd < 0 ? -1 : read(fd, text, kTextBytes - 1);
  if (size < 0) fail("cannot read", path);
  close(fd);
  text[size] = '\0';
  int count = 0;
  for (char* at = text; at < text + size && count < kMaxStrings - 1; at += strlen(at) + 1)
    strings[count++] = at;
  strings[count] = NULL;
}

static void mount_guest_root(void) {
  /* Nothing changes under a running guest, so it may cache what it has read: imports take less than
   * half the time. */
  mount_or_fail("root", kRoot, "9p", MS_RDONLY,
                "version=9p2000.L,trans=virtio,msize=512000,cache=loose");
  if (chdir(kRoot) != 0) fail("cannot enter", kRoot);
  mount_or_fail("/dev", "dev", NULL, MS_MOVE, NULL);
  mount_or_fail("/proc", "proc", NULL, MS_MOVE, NULL);
  mount_or_fail("/sys", "sys", NULL, MS_MOVE, NULL);
  mkdir("/upper", 0755);
  mount_or_fail("upper", "/upper", "tmpfs", 0, "mode=0755");
  mkdir("/upper/tmp", 01777);
  mkdir("/upper/work", 0755);
  /* An overlay, not a tmpfs: the tests themselves may live in a checkout under the host's /tmp. */
  mount_or_fail("tmp", "tmp", "overlay", 0, "lowerdir=tmp,upperdir=/upper/tmp,workdir=/upper/work");
  mount_or_fail("tmp", "var/tmp", "tmpfs", 0, "mode=1777");
  mount_or_fail("run", "run", "tmpfs", 0, "mode=0755");
  mkdir("dev/shm", 01777);
  mkdir("dev/pts", 0755);
  mount_or_fail("shm", "dev/shm", "tmpfs", 0, "mode=1777");
  mount_or_fail("devpts", "dev/pts", "devpts", 0, NULL);
  mount_or_fail("cgroup2", "sys/fs/cgroup", "cgroup2", 0, NULL);
  mount("debugfs", "sys/kernel/debug", "debugfs", 0, NULL); /* some kernels lock it down */
  mkdir("run/share", 0755);
  mount_or_fail("share", "run/share", "9p", 0,
                "version=9p2000.L,trans=virtio,msize=512000,cache=none");
  if (mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
    fail("cannot switch to", kRoot);
}

int main(void) {
  static char command_text[kTextBytes], environment_text[kTextBytes];
  char *command[kMaxStrings], *environment[kMaxStrings];
  read_strings("/command", command_text, command);
  read_strings("/environment", environment_text, environment);
  mount_or_fail("dev", "/dev", "devtmpfs", 0, NULL);
  mount_or_fail("proc", "/proc", "proc", 0, NULL);
  mount_or_fail("sys", "/sys", "sysfs", 0, NULL);
  load_modules();
  mount_guest_root();
  sethostname("guest", 5);

  pid_t child = fork();
  if (child == 0) {
    setsid();
    execve(command[0], command, environment);
    fail("cannot run", command[0]);
  }
  for (;;) { /* also reaps orphans of tests */
    int status;
    pid_t ended = wait(&status);
    if (ended == child) {
      printf("guest init: %s ended with status %#x\n", command[0], (unsigned)status);
      fflush(stdout);
      power_off();
    }
    if (ended < 0 && errno != EINTR) fail("cannot wait for", command[0]);
  }
}
