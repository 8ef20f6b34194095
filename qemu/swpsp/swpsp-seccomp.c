/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* swpsp-seccomp.c - the system calls that serving needs; see swpsp-sandbox.h */
#include "swpsp-sandbox-private.h"

#include "sevmig-config.h"

#ifdef HAVE_SECCOMP

#include <errno.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct {
    int number;
    struct scmp_arg_cmp condition; /* of one argument */
} Rule;

static const int plain_calls[] = {
    /* clients */
    SCMP_SYS(accept4),
    SCMP_SYS(close),
    SCMP_SYS(getsockopt),
    SCMP_SYS(recvfrom),
    SCMP_SYS(sendmsg),
    /* the main loop, its timer, signals, the log */
    SCMP_SYS(poll),
    SCMP_SYS(ppoll),
    SCMP_SYS(read),
    SCMP_SYS(write),
    SCMP_SYS(timerfd_settime),
    SCMP_SYS(clock_gettime),
    SCMP_SYS(clock_nanosleep),
    SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday),
    SCMP_SYS(fstat),
    SCMP_SYS(newfstatat),
    SCMP_SYS(lseek),
    /* memory, and what OpenSSL wants to know */
    SCMP_SYS(brk),
    SCMP_SYS(munmap),
    SCMP_SYS(mremap),
    SCMP_SYS(madvise),
    SCMP_SYS(futex),
    SCMP_SYS(getrandom),
    SCMP_SYS(getpid),
    SCMP_SYS(gettid),
    /* the socket appears, and it and the pid file disappear */
    SCMP_SYS(rename),
    SCMP_SYS(unlink),
    /* the end, also by abort() */
    SCMP_SYS(exit),
    SCMP_SYS(exit_group),
    SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction),
    SCMP_SYS(rt_sigreturn),
    SCMP_SYS(restart_syscall),
    SCMP_SYS(writev), /* glibc's last words */
#if SWPSP_SANITIZED
    SCMP_SYS(clone),
    SCMP_SYS(ioctl),
    SCMP_SYS(fcntl),
    SCMP_SYS(getdents64),
    SCMP_SYS(getppid),
    SCMP_SYS(openat),
    SCMP_SYS(prctl),
    SCMP_SYS(ptrace),
    SCMP_SYS(readlink),
    SCMP_SYS(sched_yield),
    SCMP_SYS(sigaltstack),
    SCMP_SYS(wait4),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(getrlimit),
    SCMP_SYS(prlimit64),
    SCMP_SYS(mlock),
    SCMP_SYS(munlock),
    SCMP_SYS(sched_getaffinity),
#endif
};

static int
add_rules(scmp_filter_ctx filter)
{
    /* No memory that new code could be run from. */
    const struct scmp_arg_cmp not_executable = SCMP_CMP(2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    /* Signals to itself alone. */
    const struct scmp_arg_cmp own = SCMP_CMP(0, SCMP_CMP_EQ, (scmp_datum_t)getpid());
    const Rule rules[] = {
        {SCMP_SYS(mmap), not_executable},
        {SCMP_SYS(mprotect), not_executable},
        {SCMP_SYS(tgkill), own},
    };
    int code = 0;

    for (size_t i = 0; code == 0 && i < G_N_ELEMENTS(plain_calls); i++)
        code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, plain_calls[i], 0);
    for (size_t i = 0; code == 0 && i < G_N_ELEMENTS(rules); i++)
        code =
            seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rules[i].number, 1, &rules[i].condition);
    return code;
}

bool
swpsp_seccomp_load(GError **error)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int code = filter ? add_rules(filter) : -ENOMEM;

    if (code == 0)
        code = seccomp_load(filter);
    seccomp_release(filter);
    return code == 0 || swpsp_sandbox_refused(error, "cannot restrict system calls", -code);
}

#else

bool
swpsp_seccomp_load(GError **error)
{
    return true;
}

#endif

bool
swpsp_sandbox_has_filter(void)
{
#ifdef HAVE_SECCOMP
    return true;
#else
    return false;
#endif
}
