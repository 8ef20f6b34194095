# shellcheck shell=bash disable=SC2016 # parameters expand in the tree
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# parts.sh - builds what the hosts run, each part only when its sources changed
#
# build/plugin   meson build of the plugin and swpsp      build/checks  the same with sanitizers
# build/qemu     the patched QEMU (see qemu/build)        build/images  guest images
# build/install.*  what the hosts see above the tree's /

: "${top:?}" "${build:?}" "${run:?}"

install=$build/install

plugin_build() {
    tree_run sh -ec '
        [ -f "$1/build.ninja" ] || meson setup "$1" --prefix=/usr --sysconfdir=/etc \
            --localstatedir=/var --libexecdir=libexec -Dseccomp=enabled
        ninja -C "$1"
        rm -rf "$2" && DESTDIR=$2 meson install -C "$1" --no-rebuild
    ' plugin "$build/plugin" "$install.plugin.new"
}

build_plugin() {
    step plugin "build sevmig and swpsp" plugin_build
    replace_install plugin
}

# replace_install PART: what was just built becomes what the hosts see, unless it is the same. A
# running host must not have its root changed below it.
replace_install() {
    local old=$install.$1 new=$install.$1.new
    if diff -rq --no-dereference "$old" "$new" >/dev/null 2>&1; then
        rm -rf -- "$new"
    elif host_any_up && hosts_are_ours; then
        say "$1: the hosts go on with the build they were raised with; 'lab down' lets go of it"
    else
        rm -rf -- "$old"
        mv -- "$new" "$old"
    fi
}

checks_build() {
    tree_run sh -ec '
        [ -f "$1/build.ninja" ] || meson setup "$1" --prefix=/usr --sysconfdir=/etc \
            --localstatedir=/var --libexecdir=libexec -Dseccomp=enabled --werror \
            -Db_sanitize=address,undefined -Db_lundef=false
        ninja -C "$1"
    ' checks "$build/checks"
}

build_checks() {
    step checks "build the same with sanitizers and warnings as errors" checks_build
}

qemu_build() {
    mkdir -p "$install.qemu.new/usr/lib/sevmig"
    if [[ -n ${SEVMIG_QEMU-} ]]; then
        cp -- "$SEVMIG_QEMU" "$install.qemu.new/usr/lib/sevmig/qemu-system-x86_64"
    else
        tree_run qemu/build --output "$build/qemu" --install "$install.qemu.new/usr/lib/sevmig"
    fi
}

build_qemu() {
    [[ -z ${SEVMIG_QEMU-} || -x $SEVMIG_QEMU ]] || die "SEVMIG_QEMU=$SEVMIG_QEMU is not a program"
    step qemu "build the patched QEMU (about 6 minutes; cached by version and patches)" qemu_build
    replace_install qemu
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

fuzz_usage='usage: lab fuzz stream [ARGUMENT]...; lab fuzz stream --help names them
       lab fuzz parsers [--seconds N] [--only NAME] [--keep]'

fuzz() {
    case ${1-} in
    stream) ;;
    parsers) tree_make; tree_run tests/fuzz/parsers/fuzz "$build/fuzz-parsers" "${@:2}"; return ;;
    -h | --help) say "$fuzz_usage"; return ;;
    *) say "$fuzz_usage" >&2; exit 2 ;;
    esac
    tree_make
    fuzz_run "${@:2}" --check || return
    ! only_asks "${@:2}" || return 0
    build_qemu
    fuzz_run "${@:2}"
}

fuzz_run() {
    tree_run env PYTHONDONTWRITEBYTECODE=1 tests/fuzz/stream/fuzz \
        --qemu "$build/qemu" --output "$build/fuzz" "$@"
}
