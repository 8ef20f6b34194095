# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests whose memory libvirt makes of more than one block: they migrate, or are refused beforehand."""

import xml.etree.ElementTree as ET

from lab import guests, migrate
from lab.guests import Guest
from lab.hosts import HOSTS
from scene import HostCase

WORKLOAD = "pattern=uniform rate=2000"
ONE_CELL = '<cpu><numa><cell id="0" cpus="0" memory="96" unit="MiB"/></numa></cpu>'
LAYOUTS = {
    "cells": ['<cpu><numa><cell id="0" cpus="0" memory="32" unit="MiB"/>'
              '<cell id="1" memory="64" unit="MiB"/></numa></cpu>'],
    "dimm": [ONE_CELL, '<maxMemory slots="4" unit="MiB">1024</maxMemory>',
             '<memory model="dimm"><target><size unit="MiB">128</size><node>0</node></target></memory>'],
    "virtio-mem": [ONE_CELL, '<maxMemory slots="4" unit="MiB">1024</maxMemory>',
                   '<memory model="virtio-mem"><target><size unit="MiB">128</size><node>0</node>'
                   '<block unit="MiB">2</block><requested unit="MiB">0</requested></target></memory>'],
    "memfd": [ONE_CELL, '<memoryBacking><source type="memfd"/><access mode="shared"/></memoryBacking>'],
    "file": [ONE_CELL, '<memoryBacking><source type="file"/><access mode="shared"/></memoryBacking>'],
    "shmem": ['<shmem name="sevmig-layout" role="master"><model type="ivshmem-plain"/>'
              '<size unit="M">1</size></shmem>'],
}
IN_DEVICES = ("shmem",)


def laid_out(xml: str, layout: str) -> str:
    domain = ET.fromstring(xml)
    for text in LAYOUTS[layout]:
        element = ET.fromstring(text)
        inside = element.tag in IN_DEVICES or element.get("model")
        (domain.find("devices") if inside else domain).append(element)
    added = sum(int(size.text) for size in domain.findall("devices/memory/target/size"))
    domain.find("memory").text = str(int(domain.find("memory").text) + added)
    return ET.tostring(domain, encoding="unicode")


class Layouts(HostCase):
    def start_as(self, layout: str) -> Guest:
        guest = Guest(layout, kind="tiny", workload=WORKLOAD)
        guests.start(guest, HOSTS["a"], create=lambda host, xml: host.connect().createXML(laid_out(xml, layout), 0))
        self.addCleanup(guests.stop, layout)
        return guest

    def test_migrate(self):
        for layout in LAYOUTS.keys() - {"shmem"}:
            with self.subTest(layout=layout):
                guest = self.start_as(layout)
                self.assert_migrates(guest)
                self.assert_runs_on(guest, HOSTS["b"])

    def test_shared_memory_is_refused(self):
        guest = self.start_as("shmem")
        done = HOSTS["a"].run(migrate.command(guest, HOSTS["a"], False, ()), check=False)
        self.assertNotEqual(done.returncode, 0)
        for word in "ivshmem-plain", "unplug":
            self.assertIn(word, done.stderr)
        self.assert_runs_on(guest, HOSTS["a"])
