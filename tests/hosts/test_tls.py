# SPDX-License-Identifier: LGPL-2.1-or-later
"""Migrations over QEMU's own TLS: verified peers, renewed keys, and who is refused.

A peer that cannot show a certificate of the lab's authority, valid today and for its address, gets no byte of
the guest; the guest runs on at the source, and can migrate over TLS to the true peer afterwards.
"""

import json
import re
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

from lab import firmware
from lab.hosts import HOSTS, IMAGES, RUN, TOP
from scene import SLOW_SCALE, HostCase, Under, set_time_scale

TLS = ["--tls"]
PKI = "/etc/pki/libvirt-migrate"  # where the hosts' QEMUs read their certificates
AUTHORITY = RUN / "tls"
MADE = AUTHORITY / "made"  # the tests' own; both hosts see it at that path
PORT = 49401
QEMU_NS = "http://libvirt.org/schemas/domain/qemu/1.0"
PAST = ("20200101000000Z", "20200102000000Z")


def certify(*arguments):
    subprocess.run([TOP / "tests/lab/certify", *map(str, arguments)], check=True, capture_output=True)


def for_host(host, name, authority=AUTHORITY, address=None, times=()):
    """A directory of certificates that say they are that host's."""
    directory = MADE / name
    certify("host", directory, authority, f"sevmig-{host}", address or host.address, *times)
    return directory


def other_authority():
    certify("authority", MADE / "authority")
    return MADE / "authority"


class Verified(HostCase):
    def test_verified_peers(self):
        """Both ends demand a certificate, and the source one for the address that it asked for."""
        guest = self.start("over-tls")
        scale = firmware.time_scale(HOSTS["a"])
        self.addCleanup(set_time_scale, scale)
        set_time_scale(SLOW_SCALE)
        with Under(guest, extra=TLS) as under:
            under.wait_for("pages are sent", lambda view: view["Pages"] > 0)
            parameters = self.ask("query-migrate-parameters")
            self.assertEqual(parameters["tls-hostname"], HOSTS["b"].address)
            path = f"/objects/{parameters['tls-creds']}"
            for name, value in ("endpoint", "client"), ("verify-peer", True), ("dir", PKI):
                self.assertEqual(self.ask("qom-get", path=path, property=name), value)
            set_time_scale(scale)
            self.assertEqual(under.wait_end()[0], 0)
            books = under.wait_daemon_end()
        self.assertEqual((books["Phase"], books["State"]), ("done", "ended"))
        self.assert_runs_on(guest, HOSTS["b"])

    def ask(self, command, **arguments):
        done = HOSTS["a"].run(["virsh", "-c", "qemu:///system", "qemu-monitor-command", "over-tls",
                               json.dumps({"execute": command, "arguments": arguments})])
        return json.loads(done.stdout)["return"]


class Renewed(HostCase):
    """GnuTLS renews the key of what is sent after 2^24 records; here it does four times in a second.

    The source's return path waits meanwhile in GnuTLS, with state that a renewal in the sending thread frees.
    """

    LIBRARY = IMAGES / "rekey.so"

    def create(self, host, xml):
        domain = ET.fromstring(xml)
        ET.register_namespace("qemu", QEMU_NS)
        command_line = ET.SubElement(domain, f"{{{QEMU_NS}}}commandline")
        ET.SubElement(command_line, f"{{{QEMU_NS}}}env", name="LD_PRELOAD", value=str(self.LIBRARY))
        return host.connect().createXML(ET.tostring(domain, encoding="unicode"), 0)

    def test_keys_are_renewed(self):
        subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-shared", "-fPIC", "-o", self.LIBRARY,
                        Path(__file__).with_name("rekey.c")], check=True)
        guest = self.start("renewed", create=self.create)
        self.assert_migrates(guest, TLS)
        # Or none of them is: a program may have forbidden it, and a cipher be in no need of it.
        said = re.findall(r"rekey: (renewed|never due)", self.qemu_said(guest, HOSTS["a"]))
        self.assertGreater(len(said), 4)
        self.assertEqual(len(set(said)), 1, said)
        self.assert_runs_on(guest, HOSTS["b"])


class Impostor(HostCase):
    """Somebody on the way takes the connection, to be the destination, and the source for the destination."""

    def meet(self, certificates, *, both=True):
        """The guest, what virsh says, and what the impostor was given."""
        source, destination = HOSTS["a"], HOSTS["b"]
        guest = self.start(f"impostor-{certificates.name}")
        argv = ["python3", str(Path(__file__).with_name("impostor.py")), str(certificates),
                f"{source.address}:{PORT}", *([f"{destination.address}:{PORT}"] if both else [])]
        impostor = source.popen(argv)
        for done in impostor.kill, impostor.wait, impostor.stderr.close, impostor.stdout.close:
            self.addCleanup(done)
        self.assertEqual(impostor.stdout.readline(), "ready\n", "the impostor listens")
        with Under(guest, f"tcp://{source.address}:{PORT}", TLS) as under:
            status, errors = under.wait_end(60)
        self.assertNotEqual(status, 0)
        self.assert_runs_on(guest, source)
        return guest, errors, impostor.communicate(timeout=60)[0].splitlines()

    def refused(self, certificates, why, *, both=True):
        guest, errors, given = self.meet(certificates, both=both)
        self.assertIn(why, errors)
        self.assertEqual(given, [*(["destination gave 0"] if both else []), "source gave 0"])
        if both:
            self.assertIn(why, self.qemu_said(guest, HOSTS["b"]))
        return guest

    def test_with_a_host_s_own_key(self):
        """Whoever has that is the host: so the other tests' impostors are given nothing for want of it alone."""
        _guest, _errors, given = self.meet(for_host(HOSTS["a"], "true"), both=False)
        self.assertRegex(given[0], "source gave [1-9]")

    def test_of_another_authority(self):
        self.assert_migrates(self.refused(for_host(HOSTS["a"], "wrong", other_authority()),
                                          "The certificate hasn't got a known issuer"), TLS)

    def test_expired(self):
        self.refused(for_host(HOSTS["a"], "expired", times=PAST), "The certificate is not trusted")

    def test_self_signed(self):
        self.refused(for_host(HOSTS["a"], "self-signed", "-"), "The certificate hasn't got a known issuer")

    def test_of_another_host(self):
        """A client's address proves nothing, so the destination does not look at the name in its certificate."""
        self.refused(for_host(HOSTS["a"], "elsewhere", address="10.77.0.9"),
                     f"Certificate does not match the hostname {HOSTS['a'].address}", both=False)


class Misconfigured(HostCase):
    """What the destination's own QEMU has is not what the source takes."""

    def refused(self, certificates, why):
        guest, destination = self.start(f"bad-{certificates.name}"), HOSTS["b"]
        destination.run(["mount", "--bind", str(certificates), PKI])
        self.addCleanup(destination.run, ["umount", PKI], check=False)
        with Under(guest, extra=TLS) as under:
            status, errors = under.wait_end(60)
        self.assertNotEqual(status, 0)
        self.assertIn(why, errors)
        destination.run(["umount", PKI])
        self.assert_runs_on(guest, HOSTS["a"])
        return guest

    def test_of_another_authority(self):
        self.assert_migrates(self.refused(for_host(HOSTS["b"], "foreign", other_authority()),
                                          "The certificate hasn't got a known issuer"), TLS)

    def test_expired(self):
        """QEMU of the destination says so before anybody connects."""
        self.refused(for_host(HOSTS["b"], "old", times=PAST), "has expired")

    def test_none(self):
        (MADE / "none").mkdir(parents=True, exist_ok=True)
        self.refused(MADE / "none", "Unable to access credentials")
