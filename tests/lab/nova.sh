# shellcheck shell=bash disable=SC2016 # parameters expand in the tree
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# nova.sh - OpenStack Nova's libvirt driver, which one suite needs and nothing else
#
#   build/nova        what Debian's packages of it would add to build/root, unpacked, not installed
#   build/nova-cache  its modules as Python compiled them, so that only the first run waits for that
#
# tests/nova/beside mounts the one above the other. The tree itself stays as it is.

: "${top:?}" "${build:?}"

nova_packages=(python3-nova)

nova_unpack() {
    tree_run sh -ec '
        new=$1
        shift
        rm -rf "$new"
        mkdir -p "$new/tree" "$new/archives/partial"
        fetch() {
            apt-get install -y --no-install-recommends --download-only \
                -o Dir::Cache::archives="$new/archives" "$@"
        }
        fetch "$@" || { apt-get update && fetch "$@"; }
        for package in "$new"/archives/*.deb; do
            dpkg-deb --fsys-tarfile "$package" | tar -C "$new/tree" -xf - \
                --exclude=./usr/share/doc --exclude=./usr/share/locale
        done
    ' nova "$build/nova.new" "${nova_packages[@]}"
    rm -rf -- "$build/nova" "$build/nova-cache"
    mv -- "$build/nova.new/tree" "$build/nova"
    rm -rf -- "$build/nova.new"
}

# What has to be unpacked depends on what the tree has.
nova_make() {
    local key
    key=$(key_of "${nova_packages[@]}" "$(cat "$build/root/.sevmig-lab")")
    [[ $(cat "$build/nova.key" 2>/dev/null) == "$key" ]] && return
    rm -f -- "$build/nova.key"
    step nova "unpack OpenStack Nova (about 400 MB)" nova_unpack
    printf '%s\n' "$key" >"$build/nova.key"
}
