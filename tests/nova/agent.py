#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""nova-compute without a cloud: the libvirt driver of the Nova that is installed, unmodified.

agent.py CONFIG... obeys requests, a line of JSON each, on its standard input, and answers on its standard output.

What needs a cloud ends where it ends for nova-compute as well: its objects' remote methods are not run in this process
but handed to the conductor, over RPC. A Conductor of our own takes them down and says so.
"""

from nova import monkey_patch  # noqa: F401 - before all else, as in nova-compute

import inspect
import json
import os
import sys

import eventlet
from eventlet import tpool
from lxml import etree

import nova.conf
from nova import config, context, exception, objects
from nova.compute import api, instance_actions
from nova.objects import base
from nova.virt.libvirt import config as vconfig
from nova.virt.libvirt import driver, guest
from oslo_log import log

CONF = nova.conf.CONF
# Nova >= 32 has this attribute, and writes the flavor's extra specs into the domain.
WRITES_EXTRA_SPECS = hasattr(vconfig.LibvirtConfigGuestMetaNovaFlavor(), "extra_specs")


# Nova logs to the standard output; that is for the answers alone.
ANSWERS = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
os.dup2(2, 1)


def tell(**message):
    ANSWERS.write(json.dumps(message, default=str) + "\n")


class Conductor:
    """What nova-compute asks the conductor of a cloud in which nothing runs but what this process was told of."""

    def object_action(self, _context, obj, method, _args, _kwargs):
        if method != "save":
            raise NotImplementedError(f"{obj.obj_name()}.{method}() needs a cloud")
        tell(event="save", object=obj.obj_name(), changes=obj.obj_get_changes())
        return {}, None

    def object_class_action_versions(self, _context, name, method, _versions, _args, _kwargs):
        if (name, method) != ("InstanceList", "get_by_host"):
            raise NotImplementedError(f"{name}.{method}() needs a cloud")
        return objects.InstanceList(objects=[])


def new_instance(ctx, asked):
    """As the database would have it; asked: id, uuid, flavor, project and extra_specs."""
    flavor = objects.Flavor(id=1, flavorid="1", name=asked["flavor"], memory_mb=asked["memory_mib"], vcpus=1, root_gb=0,
                            ephemeral_gb=0, swap=0, extra_specs=asked["extra_specs"])
    return objects.Instance(
        ctx, id=asked["id"], uuid=asked["uuid"], display_name="tenant's", user_id="5d3f0c6a", image_ref=None,
        project_id=asked["project"], flavor=flavor, host=CONF.host, node=CONF.host, vm_state="active", resources=None,
        migration_context=None, numa_topology=None,
        system_metadata={"image_hw_machine_type": "q35", "owner_user_name": "user", "owner_project_name": "project"})


class Agent:
    def __init__(self):
        self.ctx = context.RequestContext(user_id="5d3f0c6a", project_id="agent")
        self.driver = driver.LibvirtDriver(None)
        self.driver.init_host(CONF.host)
        self.instances = {}
        self.overridden = []

    def configure(self, options):
        """Other options of [libvirt] from now on, read as the driver reads them at its start."""
        for name in self.overridden:
            CONF.clear_override(name, group="libvirt")
        for name, value in options.items():
            CONF.set_override(name, value, group="libvirt")
        self.overridden = list(options)
        self.driver._parse_migration_flags()

    def _metadata(self, instance):
        """<metadata> of a domain, as Nova writes it."""
        described = self.driver.get_instance_driver_metadata(instance, network_info=[])
        node = self.driver._get_guest_config_meta(described).format_dom()
        if not WRITES_EXTRA_SPECS:
            # Not by this Nova: as Nova 33.1.0 wrote it into a domain.
            flavor = node.find("{*}flavor")
            specs = etree.SubElement(flavor, f"{{{vconfig.NOVA_NS}}}extraSpecs")
            for name, value in instance.flavor.extra_specs.items():
                etree.SubElement(specs, f"{{{vconfig.NOVA_NS}}}extraSpec", name=name).text = value
        metadata = etree.Element("metadata")
        metadata.append(node)
        return metadata

    def _launch_security(self):
        """As Nova has it for an instance with encrypted memory, from what libvirt says of the host."""
        sev = self.driver._find_sev_feature("x86_64", "q35")
        if sev is None:
            raise RuntimeError("libvirt says of no SEV in its domain capabilities: which QEMU did it ask?")
        domain = vconfig.LibvirtConfigGuest()
        self.driver._guest_add_launch_security(domain, sev)
        return domain.launch_security.format_dom()

    def start(self, xml, instance):
        """Defines and starts a domain of the lab with what Nova would have written into it."""
        made = new_instance(self.ctx, instance)
        domain = etree.fromstring(xml)
        domain.insert(2, self._metadata(made))
        domain.replace(domain.find("launchSecurity"), self._launch_security())
        # Nova names no emulator: libvirt takes the first on its path.
        devices = domain.find("devices")
        devices.remove(devices.find("emulator"))
        guest.Guest.create(etree.tostring(domain, encoding="unicode"), self.driver._host).launch()
        self.instances[made.uuid] = made
        return {"name": made.name, "writes_extra_specs": WRITES_EXTRA_SPECS}

    def migrate(self, uuid, host, address):
        """From the compute manager's call of the driver to the driver's call of the manager."""
        ended = {}

        def done(*_arguments, **_named):
            ended.update(outcome="completed")

        def rolled_back(*_arguments, migration_status="error", **_named):
            ended.update(outcome=migration_status)

        migration = objects.Migration(self.ctx, id=1, uuid=uuid, instance_uuid=uuid, status="running")
        data = objects.LibvirtLiveMigrateData(
            migration=migration, block_migration=False, bdms=[], serial_listen_addr=None, serial_listen_ports=[],
            supported_perf_events=[], target_connect_addr=address, dst_wants_file_backed_memory=False)
        self.driver.live_migration(self.ctx, self.instances[uuid], host, done, rolled_back, migrate_data=data)
        return ended

    def api_answer(self, uuid):
        """How Nova's API checks a live migration, and what that says of an instance with encrypted memory."""
        instance = self.instances[uuid]
        instance.system_metadata["image_hw_firmware_type"] = "uefi"
        checked = api.reject_sev_instances(instance_actions.LIVE_MIGRATION)(lambda *_: "goes on")
        try:
            says = checked(None, self.ctx, instance)
        except exception.OperationNotSupportedForSEV as refusal:
            says = refusal.format_message()
        return {"source": inspect.getsource(api.API.live_migrate), "says": says}

    def job(self, uuid):
        """What the driver sees of a migration under way."""
        return vars(self.driver._host.get_guest(self.instances[uuid]).get_job_info())

    def abort(self, uuid):
        self.driver.live_migration_abort(self.instances[uuid])

    def force_complete(self, uuid):
        self.driver.live_migration_force_complete(self.instances[uuid])


REQUESTS = ("configure", "start", "migrate", "api_answer", "job", "abort", "force_complete")


def obey(agent, number, do, arguments):
    try:
        if do not in REQUESTS:
            raise ValueError(f"{do} is none of {', '.join(REQUESTS)}")
        tell(answer=number, value=getattr(agent, do)(**arguments))
    except Exception as error:  # whatever it is, the test shall see it
        log.getLogger(__name__).exception("%s failed", do)
        tell(answer=number, error=f"{type(error).__name__}: {error}")


def main():
    files = [f"--config-file={path}" for path in sys.argv[1:]]
    config.parse_args(["nova-compute", *files], configure_db=False, init_rpc=False)
    log.setup(CONF, "nova")
    objects.register_all()
    base.NovaObject.indirection_api = Conductor()
    agent = Agent()
    tell(event="ready")
    while line := tpool.execute(sys.stdin.readline):
        request = json.loads(line)
        eventlet.spawn(obey, agent, request["number"], request["do"], request["arguments"])


if __name__ == "__main__":
    main()
