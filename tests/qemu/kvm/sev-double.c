/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sev-double.h"

#include "swpsp-firmware.h"
#include "swpsp-submission.h"

#include <asm/kvm.h>
#include <errno.h>
#include <linux/kvm.h>
#include <linux/psp-sev.h>
#include <sanitizer/asan_interface.h>
#include <string.h>

#define OWNER 1
#define FIRST_FD 1000
#define MAX_HOSTS 4
#define HEADER_BYTES 52u

/* What the numbers of the interface were when this was written. */
_Static_assert(sizeof(struct kvm_sev_cmd) == 24, "kvm_sev_cmd");
_Static_assert(sizeof(struct kvm_sev_send_start) == 72, "kvm_sev_send_start");
_Static_assert(sizeof(struct kvm_sev_send_update_data) == 48, "kvm_sev_send_update_data");
_Static_assert(sizeof(struct kvm_sev_receive_start) == 40, "kvm_sev_receive_start");
_Static_assert(sizeof(struct kvm_sev_receive_update_data) == 48, "kvm_sev_receive_update_data");
_Static_assert(sizeof(struct sev_issue_cmd) == 16, "sev_issue_cmd");
_Static_assert(sizeof(struct sev_user_data_pdh_cert_export) == 24, "pdh_cert_export");
_Static_assert(KVM_SEV_SEND_START == 8 && KVM_SEV_SEND_CANCEL == 21, "command numbers");

struct Host {
    int fd;
    uint32_t command_bytes;
    SwpspFirmware *firmware;
    SwpspIdentity *identity; /* owned by the firmware */
    uint32_t handle;         /* of the guest; 0: none, and no context in the kernel */
    uint8_t *pinned;
    size_t pinned_len;
    const uint8_t *breaks_at;
    uint32_t fail_id;
    int fail_errno;
    unsigned counts[KVM_SEV_NR_MAX];
};

static Host *hosts[MAX_HOSTS];

static Host *
host_of(int fd)
{
    g_assert_cmpint(fd, >=, FIRST_FD);
    g_assert_cmpint(fd, <, FIRST_FD + MAX_HOSTS);
    g_assert_nonnull(hosts[fd - FIRST_FD]);
    return hosts[fd - FIRST_FD];
}

Host *
host_new(uint32_t command_bytes)
{
    const SwpspLimits limits = {.max_command_bytes = command_bytes, .max_submit_commands = 1};
    g_autoptr(GError) error = NULL;
    SwpspCost cost;
    Host *host = g_new0(Host, 1);
    unsigned i = 0;

    while (hosts[i])
        g_assert_cmpuint(++i, <, MAX_HOSTS);
    hosts[i] = host;
    host->fd = FIRST_FD + (int)i;
    host->command_bytes = command_bytes;
    swpsp_cost_init(&cost);
    host->identity = swpsp_identity_new(NULL, &error);
    g_assert_no_error(error);
    host->firmware = swpsp_firmware_new(host->identity, &limits, &cost);
    return host;
}

void
host_free(Host *host)
{
    hosts[host->fd - FIRST_FD] = NULL;
    swpsp_firmware_free(host->firmware);
    g_free(host);
}

int
host_fd(const Host *host)
{
    return host->fd;
}

void
host_pin(Host *host, void *memory, size_t len)
{
    host->pinned = memory;
    host->pinned_len = len;
}

void
host_break_at(Host *host, const void *address)
{
    host->breaks_at = address;
}

unsigned
host_count(const Host *host, uint32_t id)
{
    return host->counts[id];
}

const uint8_t *
host_amd_certs(const Host *host, size_t *len)
{
    *len = SWPSP_AMD_SIZE;
    return (const uint8_t *)&swpsp_identity_chain(host->identity)->ask;
}

bool
host_guest_runs(const Host *host)
{
    enum swpsp_guest_state state = SWPSP_GUEST_INVALID;
    uint32_t handle;

    swpsp_firmware_guest_of(host->firmware, OWNER, &handle, &state);
    return state == SWPSP_GUEST_RUNNING;
}

static enum swpsp_op
op_of(uint32_t id)
{
    switch (id) {
    case KVM_SEV_SEND_START:
        return SWPSP_OP_SEND_START;
    case KVM_SEV_SEND_UPDATE_DATA:
        return SWPSP_OP_SEND_UPDATE_DATA;
    case KVM_SEV_SEND_FINISH:
        return SWPSP_OP_SEND_FINISH;
    case KVM_SEV_SEND_CANCEL:
        return SWPSP_OP_SEND_CANCEL;
    case KVM_SEV_RECEIVE_START:
        return SWPSP_OP_RECEIVE_START;
    case KVM_SEV_RECEIVE_UPDATE_DATA:
        return SWPSP_OP_RECEIVE_UPDATE_DATA;
    case KVM_SEV_RECEIVE_FINISH:
        return SWPSP_OP_RECEIVE_FINISH;
    default:
        g_error("command %u is none of migration", id);
    }
}

void
host_fail_firmware(Host *host, uint32_t id, unsigned after, uint32_t sev_ret)
{
    const SwpspFault fault = {.kind = SWPSP_FAULT_ERROR, .status = sev_ret, .after = after,
                              .count = 1};

    g_assert_true(swpsp_firmware_set_fault(host->firmware, op_of(id), &fault));
}

void
host_fail_kernel(Host *host, uint32_t id, int error_number)
{
    host->fail_id = id;
    host->fail_errno = error_number;
}

static int
fail(int error_number)
{
    errno = error_number;
    return -1;
}

/* Runs a command in the firmware. Returns as the ioctl does: EIO if the firmware refuses. */
static int
run(Host *host, uint16_t op, const GByteArray *payload, SwpspAnswer *answer, uint32_t *error)
{
    swpsp_firmware_execute(host->firmware, OWNER, op, payload->data, payload->len, answer);
    g_assert_false(answer->malformed);
    *error = answer->status;
    return answer->status == SWPSP_OK ? 0 : fail(EIO);
}

static GByteArray *
bytes(const void *data, size_t len)
{
    return g_byte_array_append(g_byte_array_new(), data, (guint)len);
}

static int
run_step(Host *host, uint32_t id, uint32_t *error)
{
    const struct swpsp_guest guest = {.handle = host->handle};
    g_autoptr(GByteArray) payload = bytes(&guest, sizeof(guest));
    g_auto(SwpspAnswer) answer = {0};

    return run(host, (uint16_t)op_of(id), payload, &answer, error);
}

void
host_launch(Host *host, uint32_t policy)
{
    const struct swpsp_launch launch = {.policy = policy};
    g_autoptr(GByteArray) payload = bytes(&launch, sizeof(launch));
    g_auto(SwpspAnswer) answer = {0};
    struct swpsp_guest guest;
    uint32_t error;

    g_assert_cmpint(run(host, SWPSP_OP_LAUNCH_START, payload, &answer, &error), ==, 0);
    memcpy(&guest, answer.payload, sizeof(guest));
    host->handle = guest.handle;

    g_autoptr(GByteArray) finish = bytes(&guest, sizeof(guest));
    g_auto(SwpspAnswer) finished = {0};
    g_assert_cmpint(run(host, SWPSP_OP_LAUNCH_FINISH, finish, &finished, &error), ==, 0);
}

/* Memory of the caller: all of it must be his. */
static void *
user(uint64_t address, size_t len)
{
    void *memory = (void *)(uintptr_t)address;

    g_assert_nonnull(memory);
    g_assert_cmpuint(len, >, 0);
    g_assert_null(__asan_region_is_poisoned(memory, len));
    return memory;
}

/* As psp_copy_user_blob(); a backend that lets it come to EINVAL has not checked its input. */
static const uint8_t *
blob(uint64_t address, uint32_t len)
{
    g_assert_cmpuint(len, <=, DOUBLE_BLOB);
    return user(address, len);
}

static int
send_start(Host *host, struct kvm_sev_send_start *p, uint32_t *error)
{
    g_assert_cmpuint(p->pad0 | p->pad1 | p->pad2 | p->pad3 | p->pad4, ==, 0);
    g_assert_cmpuint(p->policy, ==, 0); /* out */
    if (p->session_len == 0) {
        p->session_len = SWPSP_SESSION_SIZE;
        *error = SEV_RET_INVALID_LEN;
        return fail(EIO);
    }

    const struct swpsp_guest guest = {.handle = host->handle};
    g_autoptr(GByteArray) payload = bytes(&guest, sizeof(guest));
    uint8_t amd[SWPSP_AMD_SIZE] = {0};
    g_assert_cmpuint(p->pdh_cert_len, ==, SWPSP_CERT_SIZE);
    g_assert_cmpuint(p->plat_certs_len, ==, SWPSP_CHAIN_SIZE);
    g_byte_array_append(payload, blob(p->pdh_cert_uaddr, p->pdh_cert_len), SWPSP_CERT_SIZE);
    g_byte_array_append(payload, blob(p->plat_certs_uaddr, p->plat_certs_len), SWPSP_CHAIN_SIZE);
    memcpy(amd, blob(p->amd_certs_uaddr, p->amd_certs_len), MIN(p->amd_certs_len, sizeof(amd)));
    g_byte_array_append(payload, amd, sizeof(amd));

    g_auto(SwpspAnswer) answer = {0};
    struct swpsp_send_started started;
    g_assert_cmpuint(p->session_len, ==, SWPSP_SESSION_SIZE);
    uint8_t *session = user(p->session_uaddr, p->session_len);
    int ret = run(host, SWPSP_OP_SEND_START, payload, &answer, error);
    if (ret == 0) {
        memcpy(&started, answer.payload, sizeof(started));
        memcpy(session, started.session, SWPSP_SESSION_SIZE);
        p->policy = started.policy;
    }
    return ret;
}

static int
receive_start(Host *host, struct kvm_sev_receive_start *p, uint32_t *error)
{
    g_assert_cmpuint(p->pad0 | p->pad1, ==, 0);
    g_assert_cmpuint(p->handle, ==, 0); /* a context of its own */
    g_assert_cmpuint(host->handle, ==, 0);

    const struct swpsp_receive receive = {p->policy, p->pdh_len, p->session_len, 0};
    g_autoptr(GByteArray) payload = bytes(&receive, sizeof(receive));
    g_byte_array_append(payload, blob(p->pdh_uaddr, p->pdh_len), p->pdh_len);
    g_byte_array_append(payload, blob(p->session_uaddr, p->session_len), p->session_len);

    g_auto(SwpspAnswer) answer = {0};
    struct swpsp_guest guest;
    int ret = run(host, SWPSP_OP_RECEIVE_START, payload, &answer, error);
    if (ret == 0) {
        memcpy(&guest, answer.payload, sizeof(guest));
        host->handle = p->handle = guest.handle;
    }
    return ret;
}

/* One command of the firmware; `in` and `out` are as long as each other. */
static int
update_data(Host *host, uint16_t op, uint64_t address, uint8_t *hdr, const uint8_t *in,
            uint8_t *out, uint32_t len, uint32_t *error)
{
    const struct swpsp_submit submit = {host->handle, 1};
    struct swpsp_command command = {.guest_addr = address, .guest_len = len, .trans_len = len};
    memcpy(command.hdr, hdr, sizeof(command.hdr));
    g_autoptr(GByteArray) payload = bytes(&submit, sizeof(submit));
    g_byte_array_append(payload, (const guint8 *)&command, sizeof(command));
    g_byte_array_append(payload, in, len);

    g_auto(SwpspAnswer) answer = {0};
    int ret = run(host, op, payload, &answer, error);
    if (ret == 0) {
        const uint8_t *done = answer.payload + sizeof(struct swpsp_submitted);
        memcpy(&command, done, sizeof(command));
        memcpy(hdr, command.hdr, sizeof(command.hdr));
        memcpy(out, done + sizeof(command), len);
    }
    return ret;
}

/*
 * What the kernel checks of SEND_ and RECEIVE_UPDATE_DATA, which have the same fields, before the
 * firmware sees them. 0 if it may see them; and then `p` points to memory of the caller.
 */
static int
check_update(Host *host, struct kvm_sev_send_update_data *p)
{
    g_assert_cmpuint(p->pad0 | p->pad1 | p->pad2, ==, 0);
    g_assert_cmpuint(p->hdr_len, ==, HEADER_BYTES);
    g_assert_cmpuint(p->guest_len, ==, p->trans_len);
    g_assert_cmpuint(p->guest_len % DOUBLE_PAGE, ==, 0);
    g_assert_cmpuint(p->guest_uaddr % DOUBLE_PAGE, ==, 0);
    g_assert_cmpuint(p->guest_len, <=, DOUBLE_BLOB);
    user(p->hdr_uaddr, p->hdr_len);
    user(p->trans_uaddr, p->trans_len);
    const uint8_t *guest = user(p->guest_uaddr, p->guest_len);

    if (p->guest_len > host->command_bytes)
        return fail(EINVAL);
    if (host->breaks_at > guest && host->breaks_at < guest + p->guest_len) {
        p->guest_len = (uint32_t)(host->breaks_at - guest);
        return fail(EXDEV);
    }
    if (host->handle == 0)
        return fail(EBADF); /* the kernel has the device only from LAUNCH_ or RECEIVE_START on */
    g_assert_true(guest >= host->pinned);
    g_assert_true(guest + p->guest_len <= host->pinned + host->pinned_len);
    return 0;
}

static int
send_update(Host *host, struct kvm_sev_send_update_data *p, uint32_t *error)
{
    int ret = check_update(host, p);

    return ret ? ret
               : update_data(host, SWPSP_OP_SEND_UPDATE_DATA, p->guest_uaddr,
                             (uint8_t *)(uintptr_t)p->hdr_uaddr,
                             (const uint8_t *)(uintptr_t)p->guest_uaddr,
                             (uint8_t *)(uintptr_t)p->trans_uaddr, p->guest_len, error);
}

static int
receive_update(Host *host, struct kvm_sev_receive_update_data *p, uint32_t *error)
{
    _Static_assert(sizeof(*p) == sizeof(struct kvm_sev_send_update_data), "the same fields");
    int ret = check_update(host, (struct kvm_sev_send_update_data *)p);

    return ret ? ret
               : update_data(host, SWPSP_OP_RECEIVE_UPDATE_DATA, p->guest_uaddr,
                             (uint8_t *)(uintptr_t)p->hdr_uaddr,
                             (const uint8_t *)(uintptr_t)p->trans_uaddr,
                             (uint8_t *)(uintptr_t)p->guest_uaddr, p->guest_len, error);
}

static int
guest_command(Host *host, struct kvm_sev_cmd *cmd)
{
    void *data = (void *)(uintptr_t)cmd->data;

    switch (cmd->id) {
    case KVM_SEV_SEND_START:
        return send_start(host, user(cmd->data, sizeof(struct kvm_sev_send_start)), &cmd->error);
    case KVM_SEV_SEND_UPDATE_DATA:
        return send_update(host, user(cmd->data, sizeof(struct kvm_sev_send_update_data)),
                           &cmd->error);
    case KVM_SEV_RECEIVE_START:
        return receive_start(host, user(cmd->data, sizeof(struct kvm_sev_receive_start)),
                             &cmd->error);
    case KVM_SEV_RECEIVE_UPDATE_DATA:
        return receive_update(host, user(cmd->data, sizeof(struct kvm_sev_receive_update_data)),
                              &cmd->error);
    default:
        g_assert_null(data);
        return run_step(host, cmd->id, &cmd->error);
    }
}

int
double_vm_ioctl(unsigned long request, void *arg)
{
    struct kvm_sev_cmd *cmd = user((uintptr_t)arg, sizeof(*cmd));
    Host *host = host_of((int)cmd->sev_fd);

    g_assert_cmpuint(request, ==, KVM_MEMORY_ENCRYPT_OP);
    g_assert_cmpuint(cmd->pad0, ==, 0);
    g_assert_cmpuint(cmd->error, ==, 0);
    g_assert_cmpuint(cmd->id, <, KVM_SEV_NR_MAX);
    host->counts[cmd->id]++;
    if (host->fail_errno && host->fail_id == cmd->id) {
        int error_number = host->fail_errno;
        host->fail_errno = 0;
        return fail(error_number);
    }
    return guest_command(host, cmd);
}

int
double_sev_ioctl(int sev_fd, unsigned long request, void *arg)
{
    Host *host = host_of(sev_fd);
    struct sev_issue_cmd *cmd = user((uintptr_t)arg, sizeof(*cmd));
    g_assert_cmpuint(request, ==, SEV_ISSUE_CMD);
    g_assert_cmpuint(cmd->cmd, ==, SEV_PDH_CERT_EXPORT);

    struct sev_user_data_pdh_cert_export *p = user(cmd->data, sizeof(*p));
    const SwpspCertChain *chain = swpsp_identity_chain(host->identity);
    const bool query = p->pdh_cert_address == 0 && p->cert_chain_address == 0;
    if (query) {
        g_assert_cmpuint(p->pdh_cert_len | p->cert_chain_len, ==, 0);
    } else {
        g_assert_cmpuint(p->pdh_cert_len, ==, SWPSP_CERT_SIZE);
        g_assert_cmpuint(p->cert_chain_len, ==, SWPSP_CHAIN_SIZE);
        memcpy(user(p->pdh_cert_address, SWPSP_CERT_SIZE), &chain->pdh, SWPSP_CERT_SIZE);
        memcpy(user(p->cert_chain_address, SWPSP_CHAIN_SIZE), &chain->pek, SWPSP_CHAIN_SIZE);
    }
    p->pdh_cert_len = SWPSP_CERT_SIZE;
    p->cert_chain_len = SWPSP_CHAIN_SIZE;
    cmd->error = query ? SEV_RET_INVALID_LEN : SEV_RET_SUCCESS;
    return query ? fail(EIO) : 0;
}
