/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define G_LOG_DOMAIN "swpsp"

#include "swpsp-sandbox-private.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SECURE_HEAP_BYTES (256 * 1024) /* of private keys; a guest's are about 1 KiB */
#define OTHER_FILES 32 /* than clients: standard ones, log, timer, one being refused */

G_DEFINE_QUARK(swpsp - sandbox - error - quark, swpsp_sandbox_error)

const char *
swpsp_sandbox_strerror(int code)
{
#ifdef __GLIBC__
    const char *text = strerrordesc_np(code);
    return text ? text : "unknown error";
#else
    return strerror(code);
#endif
}

bool
swpsp_sandbox_refused(GError **error, const char *what, int code)
{
    g_set_error(error, SWPSP_SANDBOX_ERROR, SWPSP_SANDBOX_ERROR_KERNEL, "sandbox: %s: %s", what,
                swpsp_sandbox_strerror(code));
    return false;
}

bool
swpsp_sandbox_become(const char *user, GError **error)
{
    const struct passwd *entry = getpwnam(user);

    if (!entry) {
        g_set_error(error, SWPSP_SANDBOX_ERROR, SWPSP_SANDBOX_ERROR_USER, "user %s: no such user",
                    user);
        return false;
    }
    if (geteuid() == entry->pw_uid && getuid() == entry->pw_uid)
        return true;
    if (initgroups(entry->pw_name, entry->pw_gid) != 0 ||
        setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) != 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) != 0)
        return swpsp_sandbox_refused(error, "cannot become the user", errno);
    return true;
}

void
swpsp_sandbox_protect_memory(void)
{
    const struct rlimit none = {0, 0}, all = {RLIM_INFINITY, RLIM_INFINITY};
    struct rlimit lock;

    if (setrlimit(RLIMIT_CORE, &none) != 0 ||
        (!SWPSP_SANITIZED && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0))
        g_warning("core dumps cannot be forbidden: %s, ignoring", g_strerror(errno));
    /* OpenSSL keeps private keys there, locked and left out of dumps. */
    if (CRYPTO_secure_malloc_init(SECURE_HEAP_BYTES, 16) != 1)
        g_debug("no locked memory for private keys, ignoring");
    /*
     * Transport keys are in ordinary memory. All of it is locked only where that has no limit: with
     * one, an allocation beyond it would fail.
     */
    (void)setrlimit(RLIMIT_MEMLOCK, &all);
    if (getrlimit(RLIMIT_MEMLOCK, &lock) != 0 || lock.rlim_cur != RLIM_INFINITY ||
        mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
        g_debug("memory may be swapped: the limit of locked memory is not infinity, ignoring");
}

static bool
drop_capabilities(GError **error)
{
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    const struct __user_cap_data_struct nothing[_LINUX_CAPABILITY_U32S_3] = {{0}};

    /* Without CAP_SETPCAP the bounding set stays; with no new privileges it does not matter. */
    for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
        (void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (syscall(SYS_capset, &head, nothing) != 0)
        return swpsp_sandbox_refused(error, "cannot drop capabilities", errno);
    return true;
}

/* Never raises a hard limit. */
static bool
limit(int resource, rlim_t value, const char *what, GError **error)
{
    struct rlimit now;

    if (getrlimit(resource, &now) != 0)
        return swpsp_sandbox_refused(error, what, errno);
    const struct rlimit wanted = {MIN(value, now.rlim_max), MIN(value, now.rlim_max)};
    return setrlimit(resource, &wanted) == 0 || swpsp_sandbox_refused(error, what, errno);
}

bool
swpsp_sandbox_enter(unsigned max_clients, size_t memory_bytes, GError **error)
{
    if (!limit(RLIMIT_NOFILE, max_clients + OTHER_FILES, "cannot limit open files", error) ||
        (!SWPSP_SANITIZED && !limit(RLIMIT_NPROC, 0, "cannot limit processes", error)) ||
        (!SWPSP_SANITIZED && !limit(RLIMIT_AS, memory_bytes, "cannot limit memory", error)) ||
        !drop_capabilities(error))
        return false;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return swpsp_sandbox_refused(error, "cannot forbid new privileges", errno);
    return swpsp_seccomp_load(error);
}
