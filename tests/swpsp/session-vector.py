#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Prints the section [session-0] of vectors.ini: a session and a packet, made without swpsp's code.

P-384 in plain Python, HMAC from the standard library, AES-128-CTR by the openssl command. Only
needed to make the section again.
"""
import hashlib
import hmac
import struct
import subprocess

P = 2**384 - 2**128 - 2**96 + 2**32 - 1
GX = int("aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a38"
         "5502f25dbf55296c3a545e3872760ab7", 16)
GY = int("3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c0"
         "0a60b1ce1d7e819d7a431d7c90ea0e5f", 16)


def add(a, b):
    if a is None or b is None:
        return a or b
    if a[0] == b[0]:
        if (a[1] + b[1]) % P == 0:
            return None
        slope = (3 * a[0] * a[0] - 3) * pow(2 * a[1], -1, P)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def mul(k, point):
    result = None
    while k:
        if k & 1:
            result = add(result, point)
        point = add(point, point)
        k >>= 1
    return result


def mac(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def kdf(key, label, context=b""):
    return mac(key, struct.pack("<I", 1) + label + b"\0" + context + struct.pack("<I", 128))[:16]


def ctr(key, iv, data):
    return subprocess.run(["openssl", "enc", "-aes-128-ctr", "-K", key.hex(), "-iv", iv.hex()],
                          input=data, stdout=subprocess.PIPE, check=True).stdout


def seed(name, size):
    return hashlib.sha512(name.encode()).digest()[:size]


sender = int.from_bytes(seed("sender", 47), "big")
receiver = int.from_bytes(seed("receiver", 47), "big")
sender_public = mul(sender, (GX, GY))
z = mul(receiver, sender_public)[0].to_bytes(48, "big")
nonce, wrap_iv, iv = seed("nonce", 16), seed("wrap_iv", 16), seed("iv", 16)
tek, tik, policy = seed("tek", 16), seed("tik", 16), 0x00010021
plain = bytes(range(48))

master = kdf(z, b"sev-master-secret", nonce)
kek, kik = kdf(master, b"sev-kek"), kdf(master, b"sev-kik")
wrapped = ctr(kek, wrap_iv, tek + tik)
session = (nonce + wrapped + wrap_iv + mac(kik, wrapped) + mac(tik, struct.pack("<I", policy)))
cipher = ctr(tek, iv, plain)
flags = struct.pack("<I", 0)
packet_mac = mac(tik, b"\x02" + flags + iv + struct.pack("<II", 48, 48) + cipher)

print("[session-0]")
print("source=session-vector.py")
for name, value in (
        ("receiver-scalar", receiver.to_bytes(48, "big")),
        ("sender-x", sender_public[0].to_bytes(48, "big")),
        ("sender-y", sender_public[1].to_bytes(48, "big")),
        ("policy", struct.pack(">I", policy)), ("session", session), ("tek", tek), ("tik", tik),
        ("plain", plain), ("header", flags + iv + packet_mac), ("cipher", cipher)):
    print(f"{name}={value.hex()}")
