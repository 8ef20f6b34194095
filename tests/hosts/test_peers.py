# SPDX-License-Identifier: LGPL-2.1-or-later
"""Whether guests may leave a host, and to whose platform, as its administrator decides."""

import json

from lab import firmware, migrate
from lab.hosts import HOSTS, TOP
from scene import ADMIN_POLICIES, HostCase, Under, write_on_host

FILE = "/etc/sevmig/qemu.conf"
MAY_LEAVE = "[sev-guest]\nmigratable=on\n"
GUARDED = "<policy xmlns='urn:sevmig:policy:1' name='guarded'><peer require='{}'/></policy>\n"


class Peers(HostCase):
    host = HOSTS["a"]

    def setUp(self):
        super().setUp()
        before = self.host.run(["cat", FILE]).stdout
        self.addCleanup(write_on_host, self.host, FILE, before)

    def decide(self, text):
        write_on_host(self.host, FILE, text)

    def checks(self, host, *command):
        told = json.loads(host.run(["sevmigctl", *command, "--json"], check=False).stdout)
        return {check["check"]: check for check in told["checks"]}

    def digest_there(self):
        """As the other host's administrator reads it."""
        check = self.checks(HOSTS["b"], "doctor")["platform"]
        self.assertEqual(check["state"], "good", check)
        return check["found"].removeprefix("digest ")

    def sessions(self):
        return firmware.statistics(self.host)["ops"].get("SEND_START", {"count": 0})["count"]

    def assert_stays(self, guest, *words):
        """No session is made, libvirt says why, and the guest goes on here."""
        before = self.sessions()
        result = migrate.migrate(guest)
        self.assertFalse(result.completed)
        for word in words:
            self.assertIn(word, result.error)
        self.assertEqual(self.sessions(), before)
        self.assert_runs_on(guest, self.host)

    def test_what_ships(self):
        """What the package says lets no guest leave; what it is told holds for guests that run."""
        guest = self.start("stayer", workload="hot")
        self.decide((TOP / "qemu/qemu.conf").read_text())
        self.assert_stays(guest, "nobody has decided", "migratable=on", FILE)
        self.assertEqual(self.checks(self.host, "doctor")["migratable"]["state"], "bad")

        self.decide(MAY_LEAVE)
        self.assert_stays(guest, "nothing shows that", "0x1", "TLS", self.digest_there())
        for to in (), ("--to", HOSTS["b"].peer_uri):
            check = self.checks(self.host, "preflight", guest.name, *to)["peer"]
            self.assertEqual(check["state"], "unknown")
            self.assertIn("guest policy 0x1", check["found"])

    def test_pinned(self):
        guest = self.start("pinned", workload="hot")
        self.decide(f"{MAY_LEAVE}[peers]\nhost-b={self.digest_there()}\n")
        result = self.assert_migrates(guest)
        self.assertEqual((result.daemon["Peer"], result.daemon["PeerDigest"]), ("pinned", self.digest_there()))

    def test_policies_of_guests(self):
        """Those that the firmware itself insists on, Nova's among them; nobody has to decide more."""
        self.decide(MAY_LEAVE)
        for policy, proofs in (("0x0021", "sev"), ("0x0033", "domain sev")):
            with self.subTest(policy):
                guest = self.start(f"policy-{policy}", workload="hot", sev_policy=policy)
                self.assertEqual(self.checks(self.host, "preflight", guest.name)["peer"]["found"], f"known by {proofs}")
                self.assertEqual(self.assert_migrates(guest).daemon["Peer"], proofs)

    def test_policy_demands(self):
        """Known by its digest is not enough for a policy that demands TLS."""
        self.decide(f"{MAY_LEAVE}[peers]\nhost-b={self.digest_there()}\n")
        path = f"{ADMIN_POLICIES}/guarded.xml"
        self.addCleanup(self.host.run, ["sevmigctl", "policy", "reload"])
        self.addCleanup(self.host.run, ["rm", path])
        for demanded, goes in (("pinned", True), ("tls", False)):
            with self.subTest(demanded):
                write_on_host(self.host, path, GUARDED.format(demanded))
                self.host.run(["sevmigctl", "policy", "reload"])
                guest = self.start(f"guarded-{demanded}", policy="guarded")
                if goes:
                    self.assertEqual(self.assert_migrates(guest).daemon["Peer"], "pinned")
                    continue
                with Under(guest) as under:
                    self.assertNotEqual(under.wait_end()[0], 0)
                    books = under.wait_daemon_end()
                for word in ("policy guarded", '"tls"', "there is pinned"):
                    self.assertIn(word, books["Error"])
                self.assert_runs_on(guest, self.host)
