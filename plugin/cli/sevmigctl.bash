# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of sevmigctl(1) for bash.

_sevmigctl_names()
{
    # Ids and domains of what sevmigd remembers, or policy names: the "$1" members of its JSON.
    local member=$1
    shift
    sevmigctl --timeout 2 --json "$@" 2>/dev/null |
        grep -o "\"$member\": \"[^\"]*\"" | cut -d'"' -f4 | sort -u
}

_sevmigctl()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local global='--json --connect --timeout --help' word verb='' sub='' skip=''
    local -a words=()

    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ -n $skip ]]; then
            skip=''
        elif [[ $word == --connect || $word == --timeout || $word == --interval ]]; then
            skip=yes
        elif [[ $word != -* ]]; then
            if [[ -z $verb ]]; then verb=$word; elif [[ -z $sub ]]; then sub=$word; fi
        fi
    done
    [[ $prev == --connect || $prev == --timeout || $prev == --interval ]] && return

    case "$verb ${sub}" in
        ' ') words=(list show watch policy version) ;;
        'list '*) global+=' --all' ;;
        'show ') mapfile -t words < <(_sevmigctl_names domain list --all) ;;
        'watch '*)
            global+=' --once --interval'
            [[ -z $sub ]] && mapfile -t words < <(_sevmigctl_names domain list)
            ;;
        'policy ') words=(list show lint explain reload) ;;
        'policy show') mapfile -t words < <(_sevmigctl_names name policy list) ;;
        'policy explain') mapfile -t words < <(virsh list --all --name 2>/dev/null) ;;
        'policy lint')
            if [[ $cur != -* ]]; then
                mapfile -t COMPREPLY < <(compgen -f -- "$cur")
                compopt -o filenames 2>/dev/null
                return
            fi
            ;;
    esac
    [[ $cur == -* ]] && read -ra words <<<"$global"
    mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$cur")
}

complete -F _sevmigctl sevmigctl
