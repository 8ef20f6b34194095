# shellcheck shell=bash disable=SC2016 # parameters expand in the tree
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# compat.sh - the oldest distribution that sevmig is for: Debian 12, with libvirt 9.0
#
# build/bookworm   a Debian 12 tree      build/compat   the plugin and swpsp, built there

: "${top:?}" "${build:?}"

compat_packages=(
    build-essential meson ninja-build pkgconf libglib2.0-dev libglib2.0-dev-bin libjson-c-dev
    libxml2-dev libvirt-dev libvirt-glib-1.0-dev libpolkit-gobject-1-dev libssl-dev
    libseccomp-dev libncurses-dev libjs-chart.js
    # what the tests run
    dbus-daemon polkitd procps qemu-system-x86 python3-dbusmock python3-gi python3-pyte libxml2-utils
)

compat_bootstrap() {
    rm -f -- "$build/bookworm.key"
    suite=bookworm bootstrap "$build/bookworm" "$(tree_mirror)" "${compat_packages[@]}"
    suite=bookworm key_of "${compat_packages[@]}" >"$build/bookworm.key"
}

# GCC 12 takes an array that is passed with the number of its elements in use for uninitialized.
compat_build() {
    tree=$build/bookworm tree_run sh -ec '
        [ -f "$1/build.ninja" ] || meson setup "$1" --prefix=/usr --sysconfdir=/etc \
            --localstatedir=/var --libexecdir=libexec -Dseccomp=enabled --werror \
            -Dc_args=-Wno-error=maybe-uninitialized
        ninja -C "$1"
    ' compat "$build/compat"
}

build_compat() {
    [[ $(cat "$build/bookworm.key" 2>/dev/null) == "$(suite=bookworm key_of "${compat_packages[@]}")" ]] ||
        step bookworm "make a Debian 12 tree" compat_bootstrap
    step compat "build sevmig and swpsp there, with libvirt 9.0" compat_build
}
