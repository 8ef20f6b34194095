# shellcheck shell=bash disable=SC2016 # parameters expand in the tree
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tree.sh - the private Debian 13 tree that everything of the lab is built and run in
#
# One tree for Debian 12 and 13 hosts alike: the same compiler, libvirt and QEMU libraries, and
# nothing installed on the host but the tools that make the tree. It has its own apt configuration.

suite=trixie
tree= # tree_run's, if not the Debian 13 tree
: "${top:?}" "${build:?}" "${run:?}"

tree_packages=(
    # to build the plugin, and packages of it
    build-essential debhelper lintian ninja-build meson pkgconf libglib2.0-dev libglib2.0-dev-bin libjson-c-dev
    libxml2-dev libvirt-dev libvirt-glib-1.0-dev libpolkit-gobject-1-dev libssl-dev
    libseccomp-dev libncurses-dev libjs-chart.js
    # to build QEMU
    dpkg-dev git patch python3-venv flex bison libpixman-1-dev libfdt-dev libgnutls28-dev zlib1g-dev
    # to compile the kernel patch, and the fuzzers
    bc libelf-dev clang libclang-rt-19-dev
    # to run the hosts
    libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients dbus-daemon polkitd iproute2 procps
    util-linux kmod ovmf seabios qemu-system-x86 qemu-system-data ipxe-qemu
    # guests
    busybox-static cpio xz-utils
    # tests
    apparmor python3 python3-libvirt python3-dbusmock python3-gi python3-pyte gnuplot-nox libxml2-utils shellcheck man-db
    # tests of reports and metrics
    chromium chromium-driver fonts-dejavu-core python3-selenium
    prometheus prometheus-node-exporter python3-prometheus-client
    # and of the packages' bills of materials
    python3-cyclonedx-lib python3-jsonschema
)

say() { printf '%s\n' "$*"; }
die() { printf 'lab: %s\n' "$*" >&2; exit 1; }

# step NAME WHY COMMAND...: runs a command with its output in a log, shows how far it is, and says
# on failure which step, why, and where the log is.
step() {
    local name=$1 why=$2 log=$build/log/$1.log started=$SECONDS status=0 pid shown=0
    shift 2
    printf '%-10s %s\n' "$name" "$why"
    ("$@") >"$log" 2>&1 </dev/null &
    pid=$!
    while kill -0 "$pid" 2>/dev/null; do
        sleep 0.5
        if [[ -t 1 ]]; then
            printf '\r\033[K%-10s %4d s  %.60s' "$name" $((SECONDS - started)) \
                "$(tail -n 1 "$log" | tr -d '\r\033')"
        elif ((SECONDS - started >= shown + 20)); then
            shown=$((SECONDS - started))
            printf '%-10s %4d s  %.60s\n' "$name" "$shown" "$(tail -n 1 "$log" | tr -d '\r\033')"
        fi
    done
    wait "$pid" || status=$?
    [[ ! -t 1 ]] || printf '\r\033[K'
    if ((status != 0)); then
        printf 'lab: step "%s" (%s) failed with status %d; its last lines:\n' "$name" "$why" "$status" >&2
        tail -n 12 "$log" | sed 's/^/    /' >&2
        printf 'lab: the whole log is %s\n' "$log" >&2
        exit 1
    fi
    printf '%-10s done in %d s\n' "$name" $((SECONDS - started))
}

host_install() {
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" ||
        { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@"; }
}

# The machine needs only what makes the tree and the namespaces.
host_needs() {
    local missing=() tool
    declare -A package=([mmdebstrap]=mmdebstrap [ip]=iproute2 [nsenter]=util-linux [unshare]=util-linux)
    for tool in "${!package[@]}"; do
        command -v "$tool" >/dev/null || missing+=("${package[$tool]}")
    done
    [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || missing+=(debian-archive-keyring)
    ((${#missing[@]} == 0)) ||
        step tools "install on this machine, to make the Debian 13 tree: ${missing[*]}" \
            host_install "${missing[@]}"
}

# What the machine's apt knows of Debian's main archive, from lists it has already.
known_mirror() {
    apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' 2>/dev/null | sort -u |
        sed -n 's/^Debian Debian \(http.*\)$/\1/p' | head -n 1
}

# The mirror the machine itself uses for Debian's main archive.
tree_mirror() {
    local found=${SEVMIG_MIRROR-}
    [[ -n $found ]] || found=$(known_mirror)
    [[ -n $found ]] || found=$(apt-get update >/dev/null 2>&1 || true; known_mirror)
    [[ -n $found ]] || die "no Debian mirror in this machine's apt sources: set SEVMIG_MIRROR=URL"
    say "${found%/}"
}

# key_of PACKAGE...: what identifies a tree of these packages.
key_of() {
    printf '%s\n' "$suite" "$@" | sha256sum | cut -c1-16
}

# bootstrap DIRECTORY MIRROR PACKAGE...: a Debian tree in place of what is there.
bootstrap() {
    local directory=$1 mirror=$2 entry=() kind
    shift 2
    for kind in deb deb-src; do
        entry+=("$kind $mirror $suite main" "$kind $mirror $suite-updates main")
    done
    rm -rf --one-file-system -- "$directory"
    mmdebstrap --mode=root --variant=apt --skip=check/empty \
        --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        --aptopt='Apt::Install-Recommends "false"' \
        --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --include="$(IFS=,; echo "ca-certificates,$*")" "$suite" "$directory" "${entry[@]}"
}

tree_bootstrap() {
    local new=$build/root.new
    bootstrap "$new" "$1" "${tree_packages[@]}"
    key_of "${tree_packages[@]}" >"$new/.sevmig-lab"
    rm -rf --one-file-system -- "$build/root"
    mv -- "$new" "$build/root"
    tree_run apt-get update
}

tree_make() {
    [[ $(uname -m) == x86_64 ]] || die "the lab runs x86-64 guests and needs an x86-64 machine"
    host_needs
    [[ $(cat "$build/root/.sevmig-lab" 2>/dev/null) == "$(key_of "${tree_packages[@]}")" ]] &&
        return
    host_any_up && die "the tree must be made anew and the hosts still use it: run '$0 down' first"
    local mirror
    mirror=$(tree_mirror)
    step tree "make a private Debian 13 tree (about 2 GB)" tree_bootstrap "$mirror"
}

# tree_run COMMAND...: in the tree, the project at its own path, /tmp private, same network.
tree_run() {
    local root=${tree:-$build/root}
    mkdir -p "$run"
    unshare --mount --propagation private bash -euc '
        root=$1 top=$2 build=$3 run=$4 dir=$5; shift 5
        mount --bind "$root" "$root"
        for d in proc sys dev; do mount --rbind "/$d" "$root/$d"; done
        mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
        for d in "$top" "$build" "$run"; do
            mkdir -p "$root$d"; mount --rbind "$d" "$root$d"
        done
        cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
        exec chroot "$root" env -i HOME=/root TERM="${TERM-dumb}" LC_ALL=C.UTF-8 \
            PATH=/usr/sbin:/usr/bin:/sbin:/bin ${CI+CI="$CI"} \
            sh -c "cd \"\$0\" && exec \"\$@\"" "$dir" "$@"
    ' tree_run "$root" "$top" "$build" "$run" "$top" "$@"
}
