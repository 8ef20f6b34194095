# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# hosts.sh - a host of the lab is a network, mount and UTS namespace
#
#   network namespace sevmig-a, sevmig-b; a veth pair between them (10.77.0.1, 10.77.0.2)
#   /run/sevmig-lab/HOST      the host's /run: every socket is here, with a path short enough
#   /run/sevmig-lab/guests    serial ports, /run/sevmig-lab/images: kernels; both hosts see them
#   /run/sevmig-lab/owner-ca  key of the hosts' owner, who certified both: guests with the DOMAIN
#                             bit in their policy, as Nova starts them, move between them only so
#   /run/sevmig-lab/tls       the authority that certifies the hosts for TLS, made with them
#   build/lab/HOST            what outlives it: logs, migration records, firmware identity
#
# The root of a host is an overlay of build/install.* over the Debian 13 tree, its changes in a
# tmpfs. Everything a host runs is in its network namespace, so nothing is ever lost track of.

: "${top:?}" "${build:?}" "${run:?}" "${hosts:?}"

time_scale=${SEVMIG_TIME_SCALE:-10}

declare -A host_address=([a]=10.77.0.1 [b]=10.77.0.2)
declare -A host_uuid=([a]=5e3a0000-1ab0-4000-8000-00000000000a [b]=5e3a0000-1ab0-4000-8000-00000000000b)

host_is_up() {
    local pid
    pid=$(cat "$run/$1/init.pid" 2>/dev/null) || return 1
    [[ -n $pid && $(readlink "/proc/$pid/ns/net" 2>/dev/null) == "net:[$(stat -Lc %i "/run/netns/sevmig-$1" 2>/dev/null)]" ]]
}

host_any_up() { host_is_up a || host_is_up b; }

# This directory's build raised them.
hosts_are_ours() { [[ $(cat "$run/owner" 2>/dev/null) == "$build" ]]; }

# host_exec HOST COMMAND...: becomes a command on a host, as root, with that host's bus.
host_exec() {
    local host=$1
    shift
    exec nsenter --target "$(cat "$run/$host/init.pid")" --mount --net --uts -- \
        env -i HOME=/root TERM="${TERM-dumb}" LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        DBUS_SYSTEM_BUS_ADDRESS="unix:path=/run/dbus/system_bus_socket" "$@"
}

host_run() { (host_exec "$@"); }

# host_daemon HOST NAME COMMAND...: in the background, its output in the host's log.
host_daemon() {
    local host=$1 name=$2
    shift 2
    host_exec "$host" setsid "$@" >>"$build/lab/$host/log/$name.log" 2>&1 </dev/null &
    printf '%s\n' "$!" >"$run/$host/pids/$name"
    disown
}

# wait_for SECONDS WHAT LOG TEST...: polls until TEST succeeds.
wait_for() {
    local limit=$1 what=$2 log=$3 i
    shift 3
    for ((i = 0; i < limit * 10; i++)); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.1
    done
    printf 'lab: %s did not come up within %d s; the end of %s:\n' "$what" "$limit" "$log" >&2
    tail -n 8 "$log" | sed 's/^/    /' >&2
    return 1
}

network_up() {
    local host
    for host in "${hosts[@]}"; do
        ip netns add "sevmig-$host"
        ip -n "sevmig-$host" link set lo up
    done
    ip -n sevmig-a link add sevmig-ab type veth peer name sevmig-ba netns sevmig-b
    ip -n sevmig-a addr add 10.77.0.1/24 dev sevmig-ab
    ip -n sevmig-b addr add 10.77.0.2/24 dev sevmig-ba
    ip -n sevmig-a link set sevmig-ab up
    ip -n sevmig-b link set sevmig-ba up
}

# Makes the namespaces of one host and leaves a process that holds them.
host_create() {
    local host=$1 state=$build/lab/$1
    mkdir -p "$state"/{log,sevmig,swpsp,root} "$run/$host"/{pids,dbus,swpsp,libvirt/common,sevmig,lock} \
        "$run/guests" "$run/images"
    nsenter --net="/run/netns/sevmig-$host" unshare --mount --uts --propagation private \
        "$top/tests/lab/host-init" "$host" "$top" "$build" "$run" \
        >>"$state/log/init.log" 2>&1 </dev/null &
    printf '%s\n' "$!" >"$run/$host/init.pid"
    disown
    wait_for 10 "host $host" "$state/log/init.log" test -e "$run/$host/ready"
}

host_configure() {
    local host=$1
    host_run "$host" "$top/tests/lab/host-configure" "$host" "${host_uuid[$host]}" \
        "${host_address[$host]}" "$top"
}

host_services() {
    local host=$1 log=$build/lab/$1/log
    host_daemon "$host" swpsp swpsp --socket /run/swpsp/sev.sock --state /var/lib/swpsp \
        --time-scale "$time_scale" --domain-ca /run/sevmig-lab/owner-ca
    host_daemon "$host" dbus dbus-daemon --config-file=/etc/dbus-1/lab.conf --nofork --nopidfile
    wait_for 10 "the system bus of host $host" "$log/dbus.log" test -S "$run/$host/dbus/system_bus_socket"
    wait_for 10 "swpsp on host $host" "$log/swpsp.log" test -S "$run/$host/swpsp/sev.sock"
    host_daemon "$host" libvirtd libvirtd --listen
    wait_for 20 "libvirtd on host $host" "$log/libvirtd.log" \
        host_run "$host" virsh -c qemu:///system version
    host_daemon "$host" sevmigd "$top/tests/lab/sevmigd-as-service"
    wait_for 10 "sevmigd on host $host" "$log/sevmigd.log" host_run "$host" sevmigctl list
}

host_up() {
    host_is_up "$1" && return
    host_create "$1"
    host_configure "$1"
    host_services "$1"
}

hosts_raise() {
    local host
    mkdir -p "$run/images"
    printf '%s\n' "$build" >"$run/owner"
    cp -u -- "$build/images/"* "$run/images/"
    [[ -e $run/tls ]] || tree_run tests/lab/certify authority "$run/tls"
    ip netns list | grep -q '^sevmig-a\b' || network_up
    for host in "${hosts[@]}"; do
        host_up "$host"
    done
}

hosts_up() {
    if host_is_up a && host_is_up b; then
        hosts_are_ours ||
            die "a lab of another directory is up ($(cat "$run/owner")): run its 'lab down' first"
        return
    fi
    hosts_down >/dev/null
    step hosts "raise hosts a and b" hosts_raise
}

# What is in a host's network namespace is that host's, whatever became of our records.
host_down() {
    local netns=sevmig-$1 pids i
    if [[ -e /run/netns/$netns ]]; then
        for ((i = 0; i < 50; i++)); do
            pids=$(ip netns pids "$netns")
            [[ -n $pids ]] || break
            # shellcheck disable=SC2086
            if ((i == 0)); then kill -TERM $pids 2>/dev/null || true; fi
            # shellcheck disable=SC2086
            if ((i >= 20)); then kill -KILL $pids 2>/dev/null || true; fi
            sleep 0.1
        done
        [[ -z $pids ]] || die "host $1 still has processes that do not end: $pids"
        ip netns del "$netns"
    fi
    rm -rf --one-file-system -- "${run:?}/$1"
}

hosts_down() {
    local host file pid
    for file in "$run"/guests/*/observer.pid; do
        [[ -e $file ]] || continue
        pid=$(cat "$file")
        if grep -qs sevmig-lab "/proc/$pid/cmdline"; then kill "$pid"; fi
    done
    for host in "${hosts[@]}"; do
        host_down "$host"
    done
    rm -rf --one-file-system -- "$run"/{guests,images,tls,owner,owner-ca}
    say "lab        hosts a and b are down; logs stay in $build/lab"
}

status_host_json() {
    local up=false
    host_is_up "$1" && up=true
    printf '{"host": "%s", "up": %s, "address": "%s", "libvirt_uri": "%s", "dbus_address": "%s", "firmware_socket": "%s", "logs": "%s"}' \
        "$1" "$up" "${host_address[$1]}" \
        "qemu+unix:///system?socket=$run/$1/libvirt/libvirt-sock" \
        "unix:path=$run/$1/dbus/system_bus_socket" "$run/$1/swpsp/sev.sock" "$build/lab/$1/log"
}

status() {
    if [[ ${1-} == --json ]]; then
        printf '{"time_scale": %s, "hosts": [%s, %s]}\n' "$time_scale" "$(status_host_json a)" "$(status_host_json b)"
        return
    fi
    local host
    for host in "${hosts[@]}"; do
        if host_is_up "$host"; then
            printf 'host %s (%s) is up\n' "$host" "${host_address[$host]}"
            printf '  libvirt   qemu+unix:///system?socket=%s\n' "$run/$host/libvirt/libvirt-sock"
            printf '  D-Bus     unix:path=%s\n' "$run/$host/dbus/system_bus_socket"
            printf '  firmware  %s\n' "$run/$host/swpsp/sev.sock"
            printf '  logs      %s\n' "$build/lab/$host/log"
            host_run "$host" virsh -q -c qemu:///system list --all | sed 's/^/  guest    /'
        else
            printf 'host %s is down\n' "$host"
        fi
    done
}

logs() {
    local host=${1-} program=${2-} file
    [[ -z $host || $host == [ab] ]] || die "'$host' is not a host of the lab: say a or b"
    for file in "$build"/lab/"${host:-?}"/log/*.log "$build"/lab/"${host:-?}"/log/libvirt/qemu/*.log; do
        [[ -e $file ]] || continue
        [[ -z $program || $file == *"$program"* ]] || continue
        printf '== %s\n' "$file"
        tail -n "${SEVMIG_LOG_LINES:-5}" "$file"
    done
}
