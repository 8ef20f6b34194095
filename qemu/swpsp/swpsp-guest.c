/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "swpsp-guest.h"

#define ALIGNMENT 16             /* of addresses and lengths: the cipher's block */
#define FLAG_COMPRESSED (1 << 0) /* in a packet header */

struct SwpspGuest {
    enum swpsp_guest_state state;
    uint32_t policy;
    SwpspTransport *transport; /* in SENDING and RECEIVING */
};

typedef struct {
    enum swpsp_op op;
    enum swpsp_guest_state from, to;
} Transition;

static const Transition transitions[] = {
    {SWPSP_OP_LAUNCH_START, SWPSP_GUEST_INVALID, SWPSP_GUEST_LAUNCHING},
    {SWPSP_OP_LAUNCH_FINISH, SWPSP_GUEST_LAUNCHING, SWPSP_GUEST_RUNNING},
    {SWPSP_OP_SEND_START, SWPSP_GUEST_RUNNING, SWPSP_GUEST_SENDING},
    {SWPSP_OP_SEND_UPDATE_DATA, SWPSP_GUEST_SENDING, SWPSP_GUEST_SENDING},
    {SWPSP_OP_SEND_FINISH, SWPSP_GUEST_SENDING, SWPSP_GUEST_SENT},
    {SWPSP_OP_SEND_CANCEL, SWPSP_GUEST_SENDING, SWPSP_GUEST_RUNNING},
    {SWPSP_OP_RECEIVE_START, SWPSP_GUEST_INVALID, SWPSP_GUEST_RECEIVING},
    {SWPSP_OP_RECEIVE_UPDATE_DATA, SWPSP_GUEST_RECEIVING, SWPSP_GUEST_RECEIVING},
    {SWPSP_OP_RECEIVE_FINISH, SWPSP_GUEST_RECEIVING, SWPSP_GUEST_RUNNING},
};

SwpspGuest *
swpsp_guest_new(void)
{
    return g_new0(SwpspGuest, 1);
}

void
swpsp_guest_free(SwpspGuest *guest)
{
    if (!guest)
        return;
    swpsp_transport_free(guest->transport);
    g_free(guest);
}

enum swpsp_guest_state
swpsp_guest_state(const SwpspGuest *guest)
{
    return guest->state;
}

uint32_t
swpsp_guest_policy(const SwpspGuest *guest)
{
    return guest->policy;
}

static const Transition *
transition_of(const SwpspGuest *guest, enum swpsp_op op)
{
    for (size_t i = 0; i < G_N_ELEMENTS(transitions); i++) {
        if (transitions[i].op == op && transitions[i].from == guest->state)
            return &transitions[i];
    }
    return NULL;
}

enum swpsp_status
swpsp_guest_allows(const SwpspGuest *guest, enum swpsp_op op)
{
    return transition_of(guest, op) ? SWPSP_OK : SWPSP_INVALID_GUEST_STATE;
}

/* Takes the transition, which must exist; the transport keys become `transport` (or none). */
static void
guest_move(SwpspGuest *guest, enum swpsp_op op, SwpspTransport *transport)
{
    const Transition *transition = transition_of(guest, op);

    g_assert(transition);
    swpsp_transport_free(guest->transport);
    guest->transport = transport;
    guest->state = transition->to;
    g_assert((guest->transport != NULL) ==
             (guest->state == SWPSP_GUEST_SENDING || guest->state == SWPSP_GUEST_RECEIVING));
}

/* A command that only moves on. */
static enum swpsp_status
guest_step(SwpspGuest *guest, enum swpsp_op op)
{
    enum swpsp_status status = swpsp_guest_allows(guest, op);
    if (status == SWPSP_OK)
        guest_move(guest, op, NULL);
    return status;
}

static enum swpsp_status
policy_acceptable(uint32_t policy, SwpspApi api)
{
    if (policy & SWPSP_POLICY_ES) /* there are no VMSA commands here */
        return SWPSP_UNSUPPORTED;
    return swpsp_api_meets(api, policy) ? SWPSP_OK : SWPSP_POLICY_FAILURE;
}

enum swpsp_status
swpsp_guest_launch_start(SwpspGuest *guest, SwpspApi api, uint32_t policy)
{
    enum swpsp_status status = swpsp_guest_allows(guest, SWPSP_OP_LAUNCH_START);
    if (status == SWPSP_OK)
        status = policy_acceptable(policy, api);
    if (status != SWPSP_OK)
        return status;

    guest->policy = policy;
    guest_move(guest, SWPSP_OP_LAUNCH_START, NULL);
    return SWPSP_OK;
}

enum swpsp_status
swpsp_guest_launch_finish(SwpspGuest *guest)
{
    return guest_step(guest, SWPSP_OP_LAUNCH_FINISH);
}

/* Whether the policy lets the guest go to that platform. */
static enum swpsp_status
peer_acceptable(uint32_t policy, const SwpspIdentity *own, const SwpspCertChain *peer)
{
    if (policy & SWPSP_POLICY_NOSEND)
        return SWPSP_POLICY_FAILURE;
    if (policy & SWPSP_POLICY_SEV && !swpsp_cert_chain_genuine(peer, swpsp_identity_root(own)))
        return SWPSP_INVALID_CERTIFICATE;
    if (policy & SWPSP_POLICY_DOMAIN &&
        !swpsp_cert_chain_same_domain(peer, swpsp_identity_oca(own)))
        return SWPSP_INVALID_CERTIFICATE;
    /* Both chains begin PDH <- PEK. */
    const bool reads_pek = policy & (SWPSP_POLICY_SEV | SWPSP_POLICY_DOMAIN);
    if (!swpsp_api_meets(swpsp_cert_api(&peer->pdh), policy) ||
        (reads_pek && !swpsp_api_meets(swpsp_cert_api(&peer->pek), policy)))
        return SWPSP_POLICY_FAILURE;
    return SWPSP_OK;
}

enum swpsp_status
swpsp_guest_send_start(SwpspGuest *guest, const SwpspIdentity *own, const SwpspCertChain *peer,
                       SwpspSession *session)
{
    enum swpsp_status status = swpsp_guest_allows(guest, SWPSP_OP_SEND_START);
    if (status == SWPSP_OK)
        status = peer_acceptable(guest->policy, own, peer);
    if (status != SWPSP_OK)
        return status;

    g_autoptr(SwpspKey) peer_pdh = swpsp_cert_key(&peer->pdh, SWPSP_USAGE_PDH);
    if (!peer_pdh)
        return SWPSP_INVALID_CERTIFICATE;

    SwpspTransportKeys keys;
    SwpspTransport *transport = NULL;
    if (swpsp_crypto_random(&keys, sizeof(keys)) &&
        swpsp_session_wrap(session, swpsp_identity_pdh(own), peer_pdh, guest->policy, &keys))
        transport = swpsp_transport_new(&keys);
    swpsp_crypto_wipe(&keys, sizeof(keys));
    if (!transport)
        return SWPSP_INVALID_PLATFORM_STATE;

    guest_move(guest, SWPSP_OP_SEND_START, transport);
    return SWPSP_OK;
}

static bool
length_valid(uint32_t len, uint32_t max)
{
    return len > 0 && len <= max && len % ALIGNMENT == 0;
}

static bool
address_valid(uint64_t address, uint32_t len)
{
    return address % ALIGNMENT == 0 && address <= UINT64_MAX - len;
}

/* A packet cannot be split on receive: its memory must be known to be contiguous. */
static bool
receivable(const SwpspContiguity *contiguity, uint64_t address, uint32_t len)
{
    const uint32_t boundary = swpsp_contiguity_receive_boundary(contiguity);
    return boundary == 0 || address / boundary == (address + len - 1) / boundary;
}

enum swpsp_status
swpsp_guest_send_update(SwpspGuest *guest, const SwpspLimits *limits, struct swpsp_command *command,
                        const uint8_t *plain, uint8_t *cipher)
{
    enum swpsp_status status = swpsp_guest_allows(guest, SWPSP_OP_SEND_UPDATE_DATA);
    if (status != SWPSP_OK)
        return status;
    if (!length_valid(command->guest_len, limits->max_command_bytes) ||
        command->trans_len % ALIGNMENT != 0 || command->trans_len < command->guest_len)
        return SWPSP_INVALID_LENGTH;
    if (!address_valid(command->guest_addr, command->guest_len))
        return SWPSP_INVALID_ADDRESS;

    if (!swpsp_transport_seal(guest->transport, plain, command->guest_len, command->hdr, cipher))
        return SWPSP_INVALID_PLATFORM_STATE;
    command->trans_len = command->guest_len;
    return SWPSP_OK;
}

enum swpsp_status
swpsp_guest_send_finish(SwpspGuest *guest)
{
    return guest_step(guest, SWPSP_OP_SEND_FINISH);
}

enum swpsp_status
swpsp_guest_send_cancel(SwpspGuest *guest)
{
    return guest_step(guest, SWPSP_OP_SEND_CANCEL);
}

enum swpsp_status
swpsp_guest_receive_start(SwpspGuest *guest, const SwpspIdentity *own, uint32_t policy,
                          const SwpspCert *peer_pdh, const SwpspSession *session)
{
    enum swpsp_status status = swpsp_guest_allows(guest, SWPSP_OP_RECEIVE_START);
    if (status == SWPSP_OK)
        status = policy_acceptable(policy, swpsp_identity_api(own));
    if (status != SWPSP_OK)
        return status;

    g_autoptr(SwpspKey) peer = swpsp_cert_key(peer_pdh, SWPSP_USAGE_PDH);
    if (!peer)
        return SWPSP_INVALID_CERTIFICATE;

    SwpspTransportKeys keys;
    status = swpsp_session_unwrap(session, swpsp_identity_pdh(own), peer, policy, &keys);
    if (status != SWPSP_OK)
        return status;
    SwpspTransport *transport = swpsp_transport_new(&keys);
    swpsp_crypto_wipe(&keys, sizeof(keys));
    if (!transport)
        return SWPSP_INVALID_PLATFORM_STATE;

    guest->policy = policy;
    guest_move(guest, SWPSP_OP_RECEIVE_START, transport);
    return SWPSP_OK;
}

/* The flags of a packet header. */
static enum swpsp_status
flags_acceptable(const uint8_t *header)
{
    const uint32_t flags = header[0] | header[1] << 8 | header[2] << 16 | (uint32_t)header[3] << 24;

    if (flags & FLAG_COMPRESSED)
        return SWPSP_UNSUPPORTED;
    return flags == 0 ? SWPSP_OK : SWPSP_INVALID_PARAM;
}

enum swpsp_status
swpsp_guest_receive_update(SwpspGuest *guest, const SwpspLimits *limits,
                           const struct swpsp_command *command, const uint8_t *cipher,
                           uint8_t *plain)
{
    enum swpsp_status status = swpsp_guest_allows(guest, SWPSP_OP_RECEIVE_UPDATE_DATA);
    if (status != SWPSP_OK)
        return status;
    if (!length_valid(command->guest_len, limits->max_command_bytes) ||
        command->trans_len != command->guest_len)
        return SWPSP_INVALID_LENGTH;
    if (!address_valid(command->guest_addr, command->guest_len) ||
        !receivable(&limits->contiguity, command->guest_addr, command->guest_len))
        return SWPSP_INVALID_ADDRESS;

    status = flags_acceptable(command->hdr);
    if (status != SWPSP_OK)
        return status;
    return swpsp_transport_open(guest->transport, command->hdr, command->guest_len,
                                command->trans_len, cipher, plain);
}

enum swpsp_status
swpsp_guest_receive_finish(SwpspGuest *guest)
{
    return guest_step(guest, SWPSP_OP_RECEIVE_FINISH);
}
