# shellcheck shell=bash disable=SC2016 # parameters expand in the tree
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# packages.sh - builds the Debian packages, and makes a clean Debian 13 to install them into
#
# build/packages   the packages      build/clean   a Debian 13 with systemd and libvirt, and no more

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

clean_make() {
    local key
    key=$(key_of "${clean_packages[@]}")
    [[ $(cat "$build/clean.key" 2>/dev/null) == "$key" ]] && return
    rm -f -- "$build/clean.key"
    step clean "make a clean Debian 13 to install them into" \
        bootstrap "$build/clean" "$(tree_mirror)" "${clean_packages[@]}"
    printf '%s\n' "$key" >"$build/clean.key"
}
