/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <unistd.h>

#include "sevmig-config.h"

#define DEVICE "/dev/sev"
#define HOOK "/etc/libvirt/hooks/qemu.d/sevmig"
#define LEAST_FREE_BYTES (G_GUINT64_CONSTANT(64) << 20)
#define USER "sevmig"

/* Written when the daemon starts. */
static const char *const pid_files[] = {"/run/libvirtd.pid", "/run/libvirt/libvirtd.pid",
                                        "/run/virtqemud.pid", "/run/libvirt/virtqemud.pid"};

static void
check_firmware(Doctor *self)
{
    GStatBuf st;
    const char *found = "it is neither a character device nor a socket";
    gboolean there = g_stat(DEVICE, &st) == 0;
    gboolean good = there && (S_ISCHR(st.st_mode) || S_ISSOCK(st.st_mode));
    if (!there)
        found = g_strerror(errno);
    else if (good)
        found = S_ISCHR(st.st_mode) ? "the host's own" : "software (swpsp)";
    g_autofree char *text = g_strdup_printf(DEVICE ": %s", found);
    checks_add(self->checks, "firmware", good ? CHECK_GOOD : CHECK_BAD, text,
               "load kvm_amd with sev=1 on hardware; elsewhere start swpsp, and let " DEVICE
               " point to its socket");
}

/* What is wrong with who owns a part of the way to the hook, which root runs; NULL: nothing. */
static char *
distrust(const char *path, gboolean program)
{
    GStatBuf st;
    if (g_stat(path, &st) < 0)
        return g_strdup_printf("%s: %s", path, g_strerror(errno));
    if (st.st_uid != 0)
        return g_strdup_printf("%s belongs to user %u, not to root", path, st.st_uid);
    if (st.st_mode & (S_IWGRP | S_IWOTH))
        return g_strdup_printf("%s can be written by others than root", path);
    if (program && !(S_ISREG(st.st_mode) && (st.st_mode & S_IXUSR)))
        return g_strdup_printf("%s is no program that can be run", path);
    return NULL;
}

static char *
distrust_way(const char *path)
{
    char *wrong = distrust(path, TRUE);
    g_autofree char *directory = g_path_get_dirname(path);
    while (wrong == NULL && strcmp(directory, "/") != 0) {
        char *parent = g_path_get_dirname(directory);
        wrong = distrust(directory, FALSE);
        g_free(directory);
        directory = parent;
    }
    return wrong;
}

/* 1: libvirt has looked for hooks since that one was made; 0: not for certain; -1: no libvirt. */
static int
hook_is_seen(void)
{
    GStatBuf hook, pid;
    if (g_lstat(HOOK, &hook) < 0)
        return 0;
    for (gsize i = 0; i < G_N_ELEMENTS(pid_files); i++) {
        if (g_stat(pid_files[i], &pid) == 0)
            return pid.st_mtime >= hook.st_ctime;
    }
    return -1;
}

static void
check_hook(Doctor *self)
{
    g_autofree char *wrong = distrust_way(HOOK);
    g_autofree char *target = realpath(HOOK, NULL);
    if (wrong == NULL && target != NULL)
        wrong = distrust_way(target);
    if (wrong != NULL) {
        checks_add(self->checks, "hook", CHECK_BAD, wrong,
                   "install sevmig again, or give it back to root with mode 0755");
        return;
    }
    int seen = hook_is_seen();
    checks_add(self->checks, "hook", seen > 0 ? CHECK_GOOD : CHECK_UNKNOWN,
               seen > 0   ? "there before libvirt was started"
               : seen < 0 ? "there; libvirt does not run"
                          : "there, but younger than the start of libvirt",
               "\"systemctl reload libvirtd\", or virtqemud: it looks for hooks then");
}

/* Neither is wrong; the administrator should know which it is. */
static void
check_incoming(Doctor *self)
{
    GStatBuf st;
    gboolean strict =
        g_stat(SEVMIG_INCOMING_STRICT_FILE, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
    checks_add(self->checks, "incoming", CHECK_GOOD,
               strict ? "refused if it cannot be checked: " SEVMIG_INCOMING_STRICT_FILE
                      : "let in if it cannot be checked within 3 s and 1 MiB, unless it says no; "
                        "\"touch " SEVMIG_INCOMING_STRICT_FILE "\" has it refused",
               "");
}

static void
check_state(Doctor *self)
{
    /* Not -R: what that user may put there would be root's hand elsewhere. */
    static const char mend[] = "\"chown -h " USER ": " SEVMIG_STATE_DIR
                               "\", move files there that are not that user's away, and make room";
    GStatBuf st;
    struct statvfs fs;
    g_autofree char *found = NULL;
    if (g_stat(SEVMIG_STATE_DIR, &st) < 0 || statvfs(SEVMIG_STATE_DIR, &fs) < 0) {
        found = g_strdup_printf(SEVMIG_STATE_DIR ": %s", g_strerror(errno));
        checks_add(self->checks, "records", CHECK_BAD, found, mend);
        return;
    }
    const struct passwd *user = getpwnam(USER);
    guint64 free_bytes = (guint64)fs.f_bavail * fs.f_frsize;
    g_autofree char *room = text_bytes(free_bytes);
    gboolean owned = user != NULL && user->pw_uid == st.st_uid;
    gboolean writable = !(fs.f_flag & ST_RDONLY);
    found = g_strdup_printf(SEVMIG_STATE_DIR ": %s free%s%s", room,
                            owned ? "" : ", does not belong to the user " USER,
                            writable ? "" : ", read-only");
    checks_add(self->checks, "records",
               owned && writable && free_bytes >= LEAST_FREE_BYTES ? CHECK_GOOD : CHECK_BAD, found,
               mend);
}

/* Records and history are ordered by it, and certificates have a beginning and an end. */
static void
check_clock(Doctor *self)
{
    struct timex now = {.modes = 0};
    int state = adjtimex(&now);
    gboolean good = state >= 0 && state != TIME_ERROR;
    checks_add(self->checks, "clock",
               state < 0 ? CHECK_UNKNOWN
               : good    ? CHECK_GOOD
                         : CHECK_BAD,
               state < 0 ? g_strerror(errno)
               : good    ? "synchronised"
                         : "not synchronised",
               "run chronyd or systemd-timesyncd; records are ordered by the clock");
}

void
doctor_check_host(Doctor *self)
{
    check_firmware(self);
    check_hook(self);
    check_incoming(self);
    check_state(self);
    check_clock(self);
}
