# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of sevmigctl(1) for bash.

_sevmigctl_names()
{
    # Ids and domains of what sevmigd remembers, names of policies or workloads: the "$1" members of
    # the JSON.
    local member=$1
    shift
    sevmigctl --timeout 2 --json "$@" 2>/dev/null |
        grep -o "\"$member\": \"[^\"]*\"" | cut -d'"' -f4 | sort -u
}

_sevmigctl_files()
{
    # Files besides the words that are there already.
    local -a files=()
    mapfile -t files < <(compgen -f -- "$1")
    COMPREPLY+=("${files[@]}")
    compopt -o filenames 2>/dev/null
}

_sevmigctl()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local valued=' --connect --timeout --interval --policy --policy-dir --workload --memory --vcpus
        --dirty-rate --working-set --seed --set --limit --domain --history --xml --ceiling --uri --to
        --on-failure --reason --throttle --batch --output -o '
    local global='--json --connect --timeout --help' word verb='' sub='' third='' skip=''
    local -a words=()

    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        if [[ -n $skip ]]; then
            skip=''
        elif [[ $word == -* && $valued == *[[:space:]]"$word"[[:space:]]* ]]; then
            skip=yes
        elif [[ $word != -* ]]; then
            if [[ -z $verb ]]; then
                verb=$word
            elif [[ -z $sub ]]; then
                sub=$word
            else
                third=$word
            fi
        fi
    done
    case $prev in
        --policy) mapfile -t words < <(_sevmigctl_names name policy list) ;;
        --domain | --history) mapfile -t words < <(_sevmigctl_names domain history --limit 0) ;;
        --workload) mapfile -t words < <(_sevmigctl_names name simulate --list) ;;
        --on-failure)
            mapfile -t COMPREPLY < <(compgen -W 'warn refuse' -- "$cur")
            return
            ;;
    esac
    if [[ $prev == --domain || $prev == --history ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$cur")
        return
    fi
    if [[ $prev == --output || $prev == -o ]]; then
        _sevmigctl_files "$cur"
        return
    fi
    if [[ " --policy --workload --policy-dir --xml --ceiling " == *" $prev "* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "${words[*]}" -- "$cur")
        _sevmigctl_files "$cur"
        return
    fi
    [[ $prev == -* && $valued == *[[:space:]]"$prev"[[:space:]]* ]] && return

    case "$verb ${sub}" in
        ' ') words=(list show watch history policy steer preflight evacuate simulate replay tune report doctor version) ;;
        'list '*) global+=' --all' ;;
        'show ') mapfile -t words < <(_sevmigctl_names domain list --all) ;;
        'watch '*)
            global+=' --once --interval'
            [[ -z $sub ]] && mapfile -t words < <(_sevmigctl_names domain list)
            ;;
        'history '*) global+=' --limit --domain' ;;
        'policy ') words=(list show lint explain assign unassign switch reload) ;;
        'policy show') mapfile -t words < <(_sevmigctl_names name policy list) ;;
        'policy explain')
            global+=' --xml --policy-dir --ceiling'
            mapfile -t words < <(virsh list --all --name 2>/dev/null)
            ;;
        'policy assign' | 'policy unassign')
            global+=' --uri --live --config'
            [[ $sub == assign ]] && global+=' --on-failure --unknown'
            if [[ -z $third ]]; then
                mapfile -t words < <(virsh list --all --name 2>/dev/null)
            elif [[ $sub == assign ]]; then
                mapfile -t words < <(_sevmigctl_names name policy list)
            fi
            ;;
        'policy switch')
            global+=' --reason'
            if [[ -z $third ]]; then
                mapfile -t words < <(_sevmigctl_names domain list)
            else
                mapfile -t words < <(_sevmigctl_names name policy list)
            fi
            ;;
        'steer '*)
            global+=' --throttle --batch --auto --reason'
            [[ -z $sub ]] && mapfile -t words < <(_sevmigctl_names domain list)
            ;;
        'preflight '*)
            global+=' --to --uri --policy --copy-storage'
            [[ -z $sub ]] && mapfile -t words < <(virsh list --name 2>/dev/null)
            ;;
        'doctor '*) global+=' --uri' ;;
        'evacuate '*) global+=' --plan --uri --copy-storage' ;;
        'simulate '*)
            global+=' --policy --policy-dir --workload --list --memory --vcpus --dirty-rate'
            global+=' --working-set --seed --set --compare --decisions'
            ;;
        'replay '*) global+=' --policy --policy-dir --decisions' ;;
        'tune '*) global+=' --history --policy --policy-dir --output' ;;
        'report '*)
            global+=' --output'
            [[ -z $sub ]] && mapfile -t words < <(_sevmigctl_names domain list --all)
            ;;
    esac
    case "$verb ${sub}" in
        'policy lint' | 'replay ' | 'tune '*)
            if [[ $cur != -* ]]; then
                _sevmigctl_files "$cur"
                return
            fi
            ;;
    esac
    [[ $verb == report && -z $sub && $cur != -* ]] && _sevmigctl_files "$cur"
    [[ $cur == -* ]] && read -ra words <<<"$global"
    mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "${words[*]}" -- "$cur")
}

complete -F _sevmigctl sevmigctl
