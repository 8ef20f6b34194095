/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-proto.h - what a client and swpsp, the software SEV firmware, say to each other
 *
 * Transport: a UNIX stream socket. Each message is a struct swpsp_msg followed by `length` bytes of
 * payload. All integers are little-endian; structures have no implicit padding. The client sends a
 * request, the server answers with the same op and tag; a client may have several requests in
 * flight, answers come in order. A request that is not well formed (magic, length, counts that do
 * not add up) ends the connection; a command the firmware refuses is answered with its SEV error
 * and, submissions aside, no payload. An op swpsp does not know is refused with UNSUPPORTED.
 *
 * Guests belong to the connection that made them: when it closes they are decommissioned.
 *
 * This header is self-contained and is the same file in swpsp and in the QEMU patch series; a test
 * compares the two.
 *
 * Sources: command numbers, structure fields and error codes are those of <linux/psp-sev.h>; the
 * submission (many commands in one request) is the second level of batching that no published
 * firmware of AMD has, modelled on a list of one-command descriptors.
 */
#ifndef SWPSP_PROTO_H
#define SWPSP_PROTO_H

#include <stdint.h>

#define SWPSP_MAGIC 0x50535753u /* "SWSP" in memory order */
#define SWPSP_VERSION 1

#define SWPSP_MAX_PAYLOAD (32u * 1024 * 1024) /* larger messages end the connection */
#define SWPSP_MAX_COMMANDS 4096               /* most commands in one submission */
#define SWPSP_CERT_SIZE 2084
#define SWPSP_CHAIN_SIZE (3 * SWPSP_CERT_SIZE) /* PEK, OCA, CEK */
#define SWPSP_AMD_SIZE (2 * SWPSP_CERT_SIZE)   /* ASK, ARK; a stand-in, not AMD's own encoding */
#define SWPSP_SESSION_SIZE 128
#define SWPSP_PACKET_HEADER_SIZE 52

enum swpsp_op {
    SWPSP_OP_HELLO = 1,           /* - -> struct swpsp_hello */
    SWPSP_OP_PDH_CERT_EXPORT = 2, /* - -> pdh[2084], chain[6252], amd[4168] */
    SWPSP_OP_STATS = 3,           /* - -> JSON text, see swpspctl(1) */
    SWPSP_OP_CONTROL = 4,         /* JSON text -> JSON text: reset, fault injection; see swpspctl(1) */
    SWPSP_OP_LAUNCH_START = 0x30, /* struct swpsp_launch -> struct swpsp_guest */
    SWPSP_OP_LAUNCH_FINISH = 0x33,/* struct swpsp_guest -> - */
    SWPSP_OP_DECOMMISSION = 0x20, /* struct swpsp_guest -> - */
    SWPSP_OP_GUEST_STATUS = 0x23, /* struct swpsp_guest -> struct swpsp_guest_status */
    SWPSP_OP_SEND_START = 0x40,   /* struct swpsp_guest, pdh, chain, amd -> struct swpsp_send_started */
    SWPSP_OP_SEND_UPDATE_DATA = 0x41, /* struct swpsp_submit, commands, plaintext -> below */
    SWPSP_OP_SEND_FINISH = 0x43,  /* struct swpsp_guest -> - */
    SWPSP_OP_SEND_CANCEL = 0x44,  /* struct swpsp_guest -> - */
    SWPSP_OP_RECEIVE_START = 0x50,/* struct swpsp_receive, pdh, session -> struct swpsp_guest */
    SWPSP_OP_RECEIVE_UPDATE_DATA = 0x51, /* struct swpsp_submit, commands, ciphertext -> below */
    SWPSP_OP_RECEIVE_FINISH = 0x53, /* struct swpsp_guest -> - */
};

/* SEV guest states, as GUEST_STATUS reports them. */
enum swpsp_guest_state {
    SWPSP_GUEST_INVALID = 0,
    SWPSP_GUEST_LAUNCHING = 1,
    SWPSP_GUEST_RUNNING = 3,
    SWPSP_GUEST_SENDING = 4,
    SWPSP_GUEST_RECEIVING = 5,
    SWPSP_GUEST_SENT = 6,
};

/*
 * What swpsp returns in swpsp_msg.status: a subset of SEV_RET_*, 0 is success; and one that is not
 * the firmware's, see struct swpsp_submit.
 */
enum swpsp_status {
    SWPSP_OK = 0,
    SWPSP_INVALID_PLATFORM_STATE = 0x01,
    SWPSP_INVALID_GUEST_STATE = 0x02,
    SWPSP_INVALID_LENGTH = 0x04,
    SWPSP_INVALID_CERTIFICATE = 0x06,
    SWPSP_POLICY_FAILURE = 0x07,
    SWPSP_INACTIVE = 0x08,
    SWPSP_INVALID_ADDRESS = 0x09,
    SWPSP_BAD_MEASUREMENT = 0x0b,
    SWPSP_INVALID_GUEST = 0x10,
    SWPSP_UNSUPPORTED = 0x15,
    SWPSP_INVALID_PARAM = 0x16,
    SWPSP_RESOURCE_LIMIT = 0x17, /* too many guests */
    SWPSP_NOT_CONTIGUOUS = 0x10001, /* the kernel's word: it pins the pages before a command */
};

struct swpsp_msg {
    uint32_t magic;
    uint16_t version;
    uint16_t op;
    uint32_t length; /* bytes of payload that follow */
    uint32_t status; /* 0 in a request; in an answer the SEV error of the command */
    uint64_t tag;    /* chosen by the client, returned unchanged */
};

struct swpsp_hello {
    uint8_t api_major, api_minor, build, reserved;
    uint32_t max_command_bytes;   /* largest guest_len of one command: 4 pages by default */
    uint32_t max_submit_commands; /* most commands in one submission */
    uint32_t backing_page_bytes;  /* RECEIVE must not cross a boundary of this size; 0: none */
    uint32_t time_scale;          /* costs are divided by this; informational */
    uint32_t send_boundary_bytes; /* the same for SEND: what crosses one is NOT_CONTIGUOUS, what
                                     does not may still be */
};

struct swpsp_launch {
    uint32_t policy; /* SEV guest policy bits */
    uint32_t reserved;
};

struct swpsp_guest {
    uint32_t handle;
    uint32_t reserved;
};

struct swpsp_guest_status {
    uint32_t handle;
    uint32_t policy;
    uint32_t state; /* enum swpsp_guest_state */
    uint32_t reserved;
};

struct swpsp_send_started {
    uint32_t policy;
    uint32_t reserved;
    uint8_t session[SWPSP_SESSION_SIZE];
};

struct swpsp_receive {
    uint32_t policy;
    uint32_t pdh_len;     /* SWPSP_CERT_SIZE */
    uint32_t session_len; /* SWPSP_SESSION_SIZE */
    uint32_t reserved;
};

/*
 * A submission: n_commands structures, then the data of all commands one after the other: for
 * SEND guest_len bytes of plaintext each, for RECEIVE trans_len bytes of ciphertext each. (The two
 * lengths are equal in whatever the firmware accepts: SEND takes trans_len >= guest_len, as the
 * size of a buffer, and answers with trans_len = guest_len; RECEIVE needs them equal.)
 *
 * The answer: struct swpsp_submitted, n_commands structures with hdr filled in (SEND) and status
 * set, then, for SEND the ciphertext, for RECEIVE the plaintext, of the first `done` commands. The
 * first command that fails ends the submission: its status is also the message's, `done` counts
 * those before it. A submission refused as a whole (unknown guest, wrong state) is answered the
 * same way, with done = 0 and the error in the first command. n_commands = 0: INVALID_PARAM.
 *
 * A SEND command whose memory is not contiguous on the host never reaches the firmware: its status
 * is NOT_CONTIGUOUS and its guest_len is written back as the bytes from guest_addr on that are
 * contiguous (for an address that is a multiple of 4096 a multiple of 4096, and at least that). It
 * can be submitted again cut to that length. On RECEIVE, where a packet cannot be cut, crossing a
 * boundary of backing_page_bytes is INVALID_ADDRESS.
 */
struct swpsp_submit {
    uint32_t handle;
    uint32_t n_commands;
};

struct swpsp_command {
    uint64_t guest_addr; /* guest-physical; 16-byte aligned; stands for the system-physical address */
    uint32_t guest_len;
    uint32_t trans_len;
    uint32_t status;
    uint8_t hdr[SWPSP_PACKET_HEADER_SIZE]; /* flags u32, iv[16], mac[32] */
};

struct swpsp_submitted {
    uint32_t n_commands;
    uint32_t done;
    uint64_t service_us; /* time in the firmware, of this submission, after time_scale */
    uint64_t wait_us;    /* time queued behind other clients */
};

#endif
