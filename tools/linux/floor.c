// tools/linux/floor.c -- what glibc 2.28 has in no shared library, but libstdc++.a asks for
#include <sys/stat.h>

#ifdef __x86_64__
enum { kVersion = 1 };  // glibc's _STAT_VER
#else
enum { kVersion = 0 };
#endif

int __xstat(int version, const char* path, struct stat* to);
int __lxstat(int version, const char* path, struct stat* to);
int __fxstat(int version, int file, struct stat* to);

int stat(const char* path, struct stat* to) { return __xstat(kVersion, path, to); }
int lstat(const char* path, struct stat* to) { return __lxstat(kVersion, path, to); }
int fstat(int file, struct stat* to) { return __fxstat(kVersion, file, to); }

char __libc_single_threaded = 0;  // glibc 2.32; 0 is always right
