# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# archive.sh - packages from Debian 13's archive, without touching the machine's apt
#
# For scripts that fetch what they patch. The mirror and the keyring are the machine's own; apt's
# lists and cache are in a directory of the caller's. Needs die().

# archive_open DIR TYPE: reads what the archive has of TYPE (deb or deb-src); leaves apt's options
# in archive_options.
archive_open() {
    local apt=$1 type=$2 mirror
    # shellcheck disable=SC2016 # for apt to expand
    mirror=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' | sort -u |
        sed -n 's/^Debian Debian \(http.*\)$/\1/p' | head -n 1)
    [[ -n $mirror ]] || die "no Debian mirror in this machine's apt sources"
    mkdir -p "$apt"/{parts,lists/partial,cache/archives/partial}
    printf '%s [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' \
        "$type" "$mirror" trixie "$type" "$mirror" trixie-updates >"$apt/parts/trixie.list"
    archive_options=(-o Dir::Etc::SourceList=/dev/null -o "Dir::Etc::SourceParts=$apt/parts"
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
    apt-get "${archive_options[@]}" update
}

# archive_pick QUERY PACKAGE VERSION SERIES: VERSION if apt-cache's QUERY (show or showsrc) lists
# it, else the newest version with SERIES in it, else nothing.
archive_pick() {
    local versions
    versions=$(apt-cache "${archive_options[@]}" "$1" "$2" | sed -n 's/^Version: //p' | sort -V)
    grep -m 1 -xF -- "$3" <<<"$versions" || grep -F -- "$4" <<<"$versions" | tail -n 1 || true
}

# archive_verify DIR SOURCES: whether the files in DIR have the checksums that SOURCES pins.
archive_verify() {
    (cd "$1" && sed -n 's/^sha256 //p' "$2" | sha256sum --check --strict -)
}
