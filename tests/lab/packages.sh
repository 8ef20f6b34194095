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
)

packages_build() {
    rm -rf --one-file-system -- "$build/packages"
    mkdir -p "$build/packages/sevmig"
    tar -C "$top" --exclude=./build --exclude=./.git --exclude=__pycache__ -cf - . |
        tar -C "$build/packages/sevmig" -xf -
    tree_run sh -ec '
        cd "$1" && DEB_BUILD_OPTIONS=parallel=$(nproc) dpkg-buildpackage --build=binary --no-sign
    ' packages "$build/packages/sevmig"
}

build_packages() {
    step packages "build Debian packages (build/packages)" packages_build
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
