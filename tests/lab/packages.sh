# shellcheck shell=bash disable=SC2016 # parameters expand in the tree
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# packages.sh - builds the Debian packages, and makes a clean Debian 13 to install them into
#
# build/packages        the packages     build/clean     a Debian 13 with systemd and libvirt, and no more
# build/packages-qemu   qemu-sevmig      build/qemu-root  a Debian 13 to build it in

: "${top:?}" "${build:?}"

clean_packages=(
    systemd-sysv dbus polkitd procps libvirt-daemon-system libvirt-clients
    # what sevmig depends on besides
    libvirt-glib-1.0-0 libjson-c5 libncursesw6 libseccomp2
    # what the patched QEMU does
    ipxe-qemu libfdt1 libpixman-1-0 qemu-system-data seabios
)

# packages_build DIRECTORY [VARIABLE=VALUE]...
packages_build() {
    local directory=$1
    shift
    rm -rf --one-file-system -- "$directory"
    mkdir -p "$directory/sevmig"
    tar -C "$top" --exclude=./build --exclude=./.git --exclude=__pycache__ -cf - . |
        tar -C "$directory/sevmig" -xf -
    tree_run env "$@" sh -ec '
        cd "$1"
        DEB_BUILD_OPTIONS="parallel=$(nproc) ${DEB_BUILD_OPTIONS-}" dpkg-buildpackage --build=binary --no-sign
        debian/sbom ..
    ' packages "$directory/sevmig"
}

build_packages() {
    step packages "build Debian packages (build/packages)" packages_build "$build/packages"
}

# For the tests: under another path, at another time of another place, they must come out the same.
build_packages_again() {
    step packages "build them again, to compare" \
        packages_build "$build/packages.again" TZ=Pacific/Auckland LC_ALL=C DEB_BUILD_OPTIONS=nocheck
}

# Debian's own QEMU, which has the libraries that qemu-sevmig needs, too.
beside_packages=(
    qemu-system-x86 qemu-system-modules-spice qemu-system-modules-opengl qemu-block-extra qemu-utils ovmf
)

qemu_root_key() {
    key_of "$(sed -n 's/^version //p' "$top/qemu/sources")"
}

# Debian's QEMU wants some hundred packages to build, which nothing else of the lab does.
qemu_root_bootstrap() {
    local root=$build/qemu-root
    bootstrap "$root" "$(tree_mirror)" build-essential debhelper dpkg-dev git procps
    tree=$root tree_run sh -ec '
        apt-get update
        DEBIAN_FRONTEND=noninteractive apt-get build-dep -y --arch-only \
            --build-profiles nocheck,pkg.qemu.use-upstream-vdso qemu/trixie
        apt-get clean
    '
    qemu_root_key >"$root/.sevmig-lab"
}

qemu_package_build() {
    tree=$build/qemu-root tree_run env DEB_BUILD_PROFILES=nocheck\ pkg.qemu.use-upstream-vdso \
        qemu/package "$build/packages-qemu"
}

build_packages_qemu() {
    [[ $(cat "$build/qemu-root/.sevmig-lab" 2>/dev/null) == "$(qemu_root_key)" ]] ||
        step qemu-root "make a Debian 13 tree that can build Debian's QEMU" qemu_root_bootstrap
    step packages-qemu "build the package qemu-sevmig (build/packages-qemu; about 10 minutes)" qemu_package_build
}

# clean_make NAME PACKAGE...: build/NAME, a clean Debian 13 with these packages.
clean_make() {
    local name=$1 key
    shift
    key=$(key_of "$@")
    [[ $(cat "$build/$name.key" 2>/dev/null) == "$key" ]] && return
    rm -f -- "$build/$name.key"
    step "$name" "make a clean Debian 13 to install them into" \
        bootstrap "$build/$name" "$(tree_mirror)" "$@"
    printf '%s\n' "$key" >"$build/$name.key"
}

# What the suite `packages` needs, and what `packages-qemu` needs.
packages_parts() {
    build_packages
    build_packages_again
    clean_make clean "${clean_packages[@]}"
}

packages_qemu_parts() {
    build_packages
    build_packages_qemu
    clean_make clean-qemu "${clean_packages[@]}" "${beside_packages[@]}"
}
