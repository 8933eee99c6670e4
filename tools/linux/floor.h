// tools/linux/floor.h -- included first in every file: headers of a newer glibc, held to what glibc 2.28 has
#ifdef __cplusplus
#include <bits/c++config.h>
#undef _GLIBCXX_USE_PTHREAD_COND_CLOCKWAIT    // glibc 2.30
#undef _GLIBCXX_USE_PTHREAD_MUTEX_CLOCKLOCK   // glibc 2.30
#undef _GLIBCXX_USE_PTHREAD_RWLOCK_CLOCKLOCK  // glibc 2.30
#if __has_include(<sys/single_threaded.h>)    // glibc 2.32
#include <sys/single_threaded.h>
inline constexpr char nhwc_never_single_threaded = 0;
#define __libc_single_threaded nhwc_never_single_threaded
#endif
#endif
