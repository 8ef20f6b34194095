/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-identity.h - who this platform is: its keys and certificates, kept in a directory
 *
 * Made on the first start, then read; a file that does not verify is an error, never replaced
 * behind the administrator's back. Written whole or not at all, mode 0600. The keys of the root of
 * trust (ARK, ASK) follow from its name, so that anyone can sign with them: they show that chains
 * are checked, they do not protect anything.
 */
#ifndef SWPSP_IDENTITY_H
#define SWPSP_IDENTITY_H

#include "swpsp-cert.h"
#include "swpsp-key.h"

#define SWPSP_IDENTITY_ERROR (swpsp_identity_error_quark())
GQuark swpsp_identity_error_quark(void);

typedef enum {
    SWPSP_IDENTITY_ERROR_FILE,    /* cannot be read or written */
    SWPSP_IDENTITY_ERROR_CORRUPT, /* read, but not an identity that verifies */
    SWPSP_IDENTITY_ERROR_CRYPTO,  /* OpenSSL failed */
} SwpspIdentityError;

typedef struct SwpspIdentity SwpspIdentity;

/* Which platform to be. */
typedef struct {
    const SwpspKey *domain_ca; /* the OCA's key pair; NULL: one of its own */
    const char *root; /* name of the root of trust, which makes its keys; NULL: the usual */
    SwpspApi api;     /* version of the firmware; 0.0: the newest */
} SwpspPlatform;

/* A new identity in memory; platform may be NULL for one with nothing special. */
SwpspIdentity *swpsp_identity_new(const SwpspPlatform *platform, GError **error);

/*
 * The identity kept in `dir` (made if it is not there, mode 0700). With a domain_ca that is not the
 * one the stored PEK is signed by, the PEK is signed anew, as PEK_CERT_IMPORT would, and stored.
 * Another root is an error. Another version changes only what the firmware says of itself: as after
 * an update of the real one, certificates stay as they were made until there are new keys.
 */
SwpspIdentity *swpsp_identity_load(const char *dir, const SwpspPlatform *platform, GError **error);

/*
 * The key pair in a PEM file, made if it is not there. Platforms that name the same file are of one
 * domain, which is what the DOMAIN bit of a guest's policy asks for.
 */
SwpspKey *swpsp_identity_load_domain_ca(const char *path, GError **error);

void swpsp_identity_free(SwpspIdentity *identity);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SwpspIdentity, swpsp_identity_free)

/* All owned by the identity. */
const SwpspCertChain *swpsp_identity_chain(const SwpspIdentity *identity);
const SwpspKey *swpsp_identity_pdh(const SwpspIdentity *identity);
const SwpspKey *swpsp_identity_oca(const SwpspIdentity *identity);
const SwpspKey *swpsp_identity_root(const SwpspIdentity *identity);

/* The version of the firmware that runs. */
SwpspApi swpsp_identity_api(const SwpspIdentity *identity);

#endif
