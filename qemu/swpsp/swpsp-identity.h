/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * swpsp-identity.h - who this platform is: its keys and certificates, kept in a directory
 *
 * Made on the first start, then read; a file that does not verify is an error, never replaced
 * behind the administrator's back. Written whole or not at all, mode 0600. The root of trust (ARK,
 * ASK) is the simulation's, compiled in, the same for every swpsp, and anyone can sign with it: it
 * shows that chains are checked, it does not protect anything.
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

/* A new identity in memory. domain_ca: the OCA's key pair, or NULL for one of its own. */
SwpspIdentity *swpsp_identity_new(const SwpspKey *domain_ca, GError **error);

/*
 * The identity kept in `dir` (made if it is not there, mode 0700). With a domain_ca that is not the
 * one the stored PEK is signed by, the PEK is signed anew, as PEK_CERT_IMPORT would, and stored.
 */
SwpspIdentity *swpsp_identity_load(const char *dir, const SwpspKey *domain_ca, GError **error);

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

#endif
