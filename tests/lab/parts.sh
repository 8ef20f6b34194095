# shellcheck shell=bash disable=SC2016 # parameters expand in the tree
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# parts.sh - builds what the hosts run, each part only when its sources changed
#
# build/plugin   meson build of the plugin and swpsp      build/checks  the same with sanitizers
# build/qemu     the patched QEMU (see qemu/build)        build/images  guest images
# build/install  what the hosts see above the tree's /

: "${top:?}" "${build:?}" "${run:?}"

install=$build/install

plugin_build() {
    tree_run sh -ec '
        [ -f "$1/build.ninja" ] || meson setup "$1" --prefix=/usr --sysconfdir=/etc \
            --localstatedir=/var --libexecdir=libexec
        ninja -C "$1"
        rm -rf "$2" && DESTDIR=$2 meson install -C "$1" --no-rebuild
    ' plugin "$build/plugin" "$install.plugin"
}

build_plugin() {
    step plugin "build sevmig and swpsp" plugin_build
}

checks_build() {
    tree_run sh -ec '
        [ -f "$1/build.ninja" ] || meson setup "$1" --prefix=/usr --sysconfdir=/etc \
            --localstatedir=/var --libexecdir=libexec --werror \
            -Db_sanitize=address,undefined -Db_lundef=false
        ninja -C "$1"
    ' checks "$build/checks"
}

build_checks() {
    step checks "build the same with sanitizers and warnings as errors" checks_build
}

build_qemu() {
    mkdir -p "$install.qemu/usr/lib/sevmig"
    if [[ -n ${SEVMIG_QEMU-} ]]; then
        [[ -x $SEVMIG_QEMU ]] || die "SEVMIG_QEMU=$SEVMIG_QEMU is not a program"
        say "qemu       the given $SEVMIG_QEMU"
        cp -- "$SEVMIG_QEMU" "$install.qemu/usr/lib/sevmig/qemu-system-x86_64"
        return
    fi
    local key
    key=$(tree_run qemu/build --print-key)
    if [[ $(cat "$build/qemu/installed" 2>/dev/null) != "$key" ]]; then
        step qemu "build the patched QEMU (about 6 minutes)" \
            tree_run qemu/build --output "$build/qemu" --install "$install.qemu/usr/lib/sevmig"
        printf '%s\n' "$key" >"$build/qemu/installed"
    fi
}

images_build() {
    mkdir -p "$build/images"
    tree_run sh -ec '
        make -C tests/guests/tiny OUT="$1"
        make -C tests/lab OUT="$1"
        tests/guests/linux/build "$1"
    ' images "$build/images"
}

build_images() {
    step images "build the guest images" images_build
}
