# SPDX-License-Identifier: LGPL-2.1-or-later
"""Who may do what to sevmigd, and what sevmigd may do: real bus, real polkit, real libvirt."""

import json
import re
import subprocess
from pathlib import Path
from xml.etree import ElementTree

from lab import firmware
from lab.hosts import HOSTS, TOP
from scene import (ADMIN_POLICIES, SLOW_SCALE, HostCase, Under, daemon_pid, kill_daemon, set_time_scale, start_libvirtd,
                   wait_until, write_on_host)

INTERFACE = ElementTree.parse(TOP / "plugin/data/org.sevmig1.xml").getroot()
PROPERTIES = "org.freedesktop.DBus.Properties"
DENIED = "org.sevmig1.Error.NotAuthorized"
READ_ONLY = "org.freedesktop.DBus.Error.InvalidArgs"  # GDBus's word for a property that cannot be set
GUEST, AT_REST = "access", "access-at-rest"
POLICY = "<policy xmlns='urn:sevmig:policy:1' name='access-policy'/>"

# A rule of a site's own: by user, and by what the call is about.
RULES_FILE = "/etc/polkit-1/rules.d/10-access.rules"
RULES = """
polkit.addRule(function(action, subject) {
    if (action.id.indexOf("org.sevmig1.") != 0)
        return polkit.Result.NOT_HANDLED;
    if (subject.user == "barred")
        return polkit.Result.NO;
    if (subject.user == "permitted" && action.id == "org.sevmig1.reload-policies")
        return polkit.Result.YES;
    if (subject.user == "permitted" && action.id == "org.sevmig1.steer" && action.lookup("domain").indexOf("access") == 0 &&
        action.lookup("new-policy") != "evacuate")
        return polkit.Result.YES;
    return polkit.Result.NOT_HANDLED;
});
"""

# Who calls: the user, and whether the message lets polkit ask it (nobody has an agent that could).
CALLERS = {"root": ("root", False), "permitted": ("permitted", False), "other": ("other", False),
           "no agent": ("other", True), "barred": ("barred", False)}
EVERYONE = {"root", "permitted", "other", "no agent"}  # but whom the site has barred
TRUSTED = {"root", "permitted"}

# Each method: who may, and arguments by which it succeeds for those.
METHODS = {
    "Manager.ListMigrations": (EVERYONE, "(true,)"),
    "Manager.ListHistory": (EVERYONE, "('', uint32 1)"),
    "Manager.ListPolicies": (EVERYONE, "()"),
    "Manager.GetPolicy": (EVERYONE, "('default',)"),
    "Manager.Explain": (EVERYONE, f"('{GUEST}',)"),
    "Manager.ExplainXml": (EVERYONE, "('<domain/>',)"),
    "Manager.Probe": (TRUSTED, f"('{AT_REST}',)"),
    "Manager.ReloadPolicies": (TRUSTED, "()"),
    "Migration.SetPolicy": (TRUSTED, "('gentle', 'table')"),
    "Migration.Steer": (TRUSTED, "({'throttle-percent': <uint32 5>}, 'table')"),
    "Policy.GetXml": (EVERYONE, "()"),
}
# Signals are broadcast: they reach whom the bus lets connect, and carry what everyone may read. One
# that a migration is forgotten comes only after 32 others; it is in the suite `daemon`.
SIGNALS = {"Manager.MigrationAdded", "Manager.PolicyAdded", "Manager.PolicyRemoved", "Migration.Ended"}
UNHEARD = {"Manager.MigrationRemoved"}
# What only the details tell apart, for the permitted user.
BY_DETAIL = {
    ("Manager", "Probe", "('another',)"): False,
    ("Migration", "SetPolicy", "('evacuate', 'table')"): False,
    ("Migration", "SetPolicy", "('gentle', 'table')"): True,
}


def members(tag):
    return {f"{kind.get('name').rpartition('.')[2]}.{m.get('name')}": m
            for kind in INTERFACE for m in kind.findall(tag)}


def escaped(name):
    """As an object path holds it."""
    return re.sub("[^A-Za-z0-9]", lambda c: f"_{ord(c[0]):02x}", name)


class Table(HostCase):
    """Every method, property and signal, by every kind of caller."""

    def setUp(self):
        super().setUp()
        self.host = HOSTS["a"]
        self.paths = {}
        self.host.run(["systemd-sysusers", "--inline", "u permitted -", "u other -", "u barred -"])
        write_on_host(self.host, RULES_FILE, RULES)
        self.addCleanup(self.host.run, ["rm", "-f", RULES_FILE])
        self.addCleanup(set_time_scale, firmware.time_scale(self.host))
        set_time_scale(SLOW_SCALE)
        wait_until("the rule is in force",
                   lambda: self.ask("barred", [self.call("Manager", "ListPolicies", "()")]) == [DENIED])

    def program(self, user, *arguments):
        own = str(Path(__file__).with_name("caller.py"))
        return self.host.command(["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups", "python3", own,
                                  *arguments])

    def ask(self, user, calls):
        done = subprocess.run(self.program(user), input=json.dumps(calls), text=True, capture_output=True, timeout=120,
                              check=True)
        return json.loads(done.stdout)

    def call(self, kind, method, arguments, interactive=False, interface=None):
        return [self.paths[kind] if kind != "Manager" else "/org/sevmig1", interface or f"org.sevmig1.{kind}", method,
                arguments, interactive]

    def rows(self, caller):
        """The calls of one caller, with what must come of each."""
        user_may = lambda who: {""} if caller in who else {DENIED}  # noqa: E731
        interactive = CALLERS[caller][1]
        for kind in ("Manager", "Migration", "Policy"):
            read = user_may(EVERYONE)
            yield self.call(kind, "GetAll", f"('org.sevmig1.{kind}',)", interactive, PROPERTIES), read
            for name in (n.partition(".")[2] for n in members("property") if n.startswith(kind)):
                yield self.call(kind, "Get", f"('org.sevmig1.{kind}', '{name}')", interactive, PROPERTIES), read
                yield (self.call(kind, "Set", f"('org.sevmig1.{kind}', '{name}', <''>)", interactive, PROPERTIES),
                       {READ_ONLY})
        for name, (who, arguments) in METHODS.items():
            yield self.call(*name.split("."), arguments, interactive), user_may(who)

    def check_caller(self, caller):
        rows = list(self.rows(caller))
        found = self.ask(CALLERS[caller][0], [call for call, _ in rows])
        wrong = [(call, error) for (call, expected), error in zip(rows, found) if error not in expected]
        self.assertEqual(wrong, [], caller)
        return len(rows)

    def listeners(self):
        found = {user: subprocess.Popen(self.program(user, "--listen"), text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE) for user in ("root", "permitted", "other", "barred")}
        for process in found.values():
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)
            self.assertEqual(process.stdout.readline(), "listening\n")
        return found

    def assert_heard(self, listeners):
        wanted = {f"org.sevmig1.{name}".rpartition(".")[0] + " " + name.partition(".")[2] for name in SIGNALS}
        for user, process in listeners.items():
            heard = set(process.communicate("", timeout=20)[0].splitlines())
            self.assertEqual(wanted - heard, set(), user)
            self.assertIn(f"{PROPERTIES} PropertiesChanged", heard)

    def record(self, under):
        return self.host.run(["cat", under.seen()["RecordFile"]]).stdout

    def test_everything_by_everyone(self):
        self.assertEqual(set(METHODS), set(members("method")), "a method without a row")
        self.assertEqual(SIGNALS | UNHEARD, set(members("signal")), "a signal without a row")
        guest = self.start(GUEST)
        self.start(AT_REST, workload="idle")
        listeners = self.listeners()
        with Under(guest) as under:
            view = under.wait_for("it is steered", lambda view: view["State"] == "steered" and view["Pass"] >= 1)
            self.paths = {"Migration": "/org/sevmig1/migration/" + escaped(view["Id"]),
                          "Policy": "/org/sevmig1/policy/default"}
            for caller in ("other", "no agent", "barred"):
                self.assertGreater(self.check_caller(caller), 100)
            self.assertEqual((under.seen()["Policy"], "table" in self.record(under)), (view["Policy"], False),
                             "what was refused had no effect")
            for caller in ("permitted", "root"):
                self.check_caller(caller)
            self.assertEqual(under.seen()["Policy"], "gentle")
            self.assertIn("permitted (uid", self.record(under))
            found = self.ask("permitted", [self.call(*row) for row in BY_DETAIL])
            self.assertEqual([error == "" for error in found], list(BY_DETAIL.values()), found)
            write_on_host(self.host, f"{ADMIN_POLICIES}/access.xml", POLICY)
            self.host.run(["sevmigctl", "policy", "reload"])
            self.host.run(["rm", f"{ADMIN_POLICIES}/access.xml"])
            self.host.run(["sevmigctl", "policy", "reload"])
            under.press_ctrl_c()
            under.wait_end(30)
            under.wait_daemon_end()
        self.assert_heard(listeners)
        self.assert_runs_on(guest, self.host)


class Confined(HostCase):
    """sevmigd as its own user, under what the shipped rule lets it do with libvirt."""

    def setUp(self):
        super().setUp()
        self.host = HOSTS["a"]

    def test_it_has_no_privileges(self):
        status = dict(line.split(":\t", 1) for line in
                      Path(f"/proc/{daemon_pid(self.host, 'sevmigd')}/status").read_text().splitlines())
        user = self.host.run(["id", "-u", "sevmig"]).stdout.strip()
        self.assertNotEqual(user, "0")
        self.assertEqual(set(status["Uid"].split()), {user})
        for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            self.assertEqual(int(status[name], 16), 0, name)
        self.assertEqual((status["NoNewPrivs"], status["Seccomp"]), ("1", "2"))

    def restart_libvirtd(self, configuration):
        kill_daemon(self.host, "libvirtd")
        write_on_host(self.host, "/etc/libvirt/libvirtd.conf", configuration)
        start_libvirtd(self.host)

    def as_sevmig(self, *virsh):
        return self.host.run(["setpriv", "--reuid=sevmig", "--regid=sevmig", "--clear-groups", "virsh", "-c",
                              "qemu:///system", *virsh], check=False)

    def test_under_libvirts_own_access_control(self):
        """Where libvirt asks polkit about each object, the rule lets sevmigd do its work and no more."""
        plain = self.host.run(["cat", "/etc/libvirt/libvirtd.conf"]).stdout
        self.addCleanup(self.restart_libvirtd, plain)
        self.restart_libvirtd(plain + 'access_drivers = [ "polkit" ]\n')
        guest = self.start("confined")
        wait_until("sevmigd is connected again", lambda: self.as_sevmig("list", "--name").returncode == 0)
        with Under(guest) as under:
            under.wait_for("it is steered", lambda view: view["State"] == "steered" and view["Pages"] > 0)
            self.assertEqual(under.wait_end()[0], 0)
            books = under.wait_daemon_end()
        self.assertEqual((books["Phase"], books["Error"]), ("done", ""))
        self.assertGreater(books["DowntimeUs"], 0)
        kept = self.start("kept")
        for refused in (["destroy", kept.name], ["shutdown", kept.name], ["dumpxml", kept.name, "--security-info"],
                        ["undefine", kept.name], ["set-user-password", kept.name, "root", "x"],
                        ["memtune", kept.name, "--hard-limit", "1"]):
            done = self.as_sevmig(*refused)
            self.assertNotEqual(done.returncode, 0, refused)
            self.assertIn("access denied", done.stderr, refused)
        self.assert_runs_on(kept, self.host)
