# SPDX-License-Identifier: LGPL-2.1-or-later
# Completion of sevmigctl(1) for bash.

# Names of domains and policies may hold anything but a slash and a newline. They never become words for
# the shell: compgen -W would expand them, commands and all. They are compared, and quoted.

_sevmigctl_foreign()
{
    # Adds lines of standard input to words. sevmigctl would take one with a dash for an option.
    local -a lines=()
    local line
    mapfile -t lines
    for line in "${lines[@]}"; do
        [[ -z $line || $line == -* ]] || words+=("$line")
    done
}

_sevmigctl_names()
{
    # Ids and domains of what sevmigd remembers, names of policies or workloads: the "$1" members of
    # the JSON, whose escapes are all known to printf %b.
    local member=$1 text
    shift
    _sevmigctl_foreign < <(sevmigctl --timeout 2 --json "$@" 2>/dev/null |
        grep -oE "\"$member\": \"([^\"\\]|\\\\.)*\"" | sed 's/^"[^"]*": "//; s/"$//' | sort -u |
        while IFS= read -r text; do
            printf '%b\n' "${text//\\\"/\"}"
        done)
}

_sevmigctl_domains()
{
    _sevmigctl_foreign < <(virsh list "$@" --name 2>/dev/null)
}

_sevmigctl_offer()
{
    # Those of words that begin as what was typed, with quotes or without.
    local word quoted
    for word in "${words[@]}"; do
        printf -v quoted %q "$word"
        [[ $word == "$cur"* || $quoted == "$cur"* ]] || continue
        # readline itself quotes what is offered among files
        [[ -n $files ]] || word=$quoted
        COMPREPLY+=("$word")
    done
}

_sevmigctl_files()
{
    # Files besides the words that are there already.
    local -a found=()
    mapfile -t found < <(compgen -f -- "$1")
    COMPREPLY+=("${found[@]}")
    compopt -o filenames 2>/dev/null
}

_sevmigctl()
{
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD - 1]}
    local valued=' --connect --timeout --interval --policy --policy-dir --workload --memory --vcpus
        --dirty-rate --working-set --seed --set --limit --domain --history --xml --ceiling --uri --to
        --on-failure --reason --throttle --batch --output -o '
    local global='--json --connect --timeout --help' word verb='' sub='' third='' skip='' files=''
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
        --policy) _sevmigctl_names name policy list ;;
        --domain | --history) _sevmigctl_names domain history --limit 0 ;;
        --workload) _sevmigctl_names name simulate --list ;;
        --on-failure) words=(warn refuse) ;;
    esac
    if [[ " --domain --history --on-failure " == *" $prev "* ]]; then
        _sevmigctl_offer
        return
    fi
    if [[ $prev == --output || $prev == -o ]]; then
        _sevmigctl_files "$cur"
        return
    fi
    if [[ " --policy --workload --policy-dir --xml --ceiling " == *" $prev "* ]]; then
        files=yes
        _sevmigctl_offer
        _sevmigctl_files "$cur"
        return
    fi
    [[ $prev == -* && $valued == *[[:space:]]"$prev"[[:space:]]* ]] && return

    case "$verb ${sub}" in
        ' ') words=(list show watch history policy steer preflight evacuate simulate replay tune report doctor version) ;;
        'list '*) global+=' --all' ;;
        'show ') _sevmigctl_names domain list --all ;;
        'watch '*)
            global+=' --once --interval'
            [[ -z $sub ]] && _sevmigctl_names domain list
            ;;
        'history '*) global+=' --limit --domain' ;;
        'policy ') words=(list show lint explain assign unassign switch reload) ;;
        'policy show') _sevmigctl_names name policy list ;;
        'policy explain')
            global+=' --xml --policy-dir --ceiling'
            _sevmigctl_domains --all
            ;;
        'policy assign' | 'policy unassign')
            global+=' --uri --live --config'
            [[ $sub == assign ]] && global+=' --on-failure --unknown'
            if [[ -z $third ]]; then
                _sevmigctl_domains --all
            elif [[ $sub == assign ]]; then
                _sevmigctl_names name policy list
            fi
            ;;
        'policy switch')
            global+=' --reason'
            if [[ -z $third ]]; then
                _sevmigctl_names domain list
            else
                _sevmigctl_names name policy list
            fi
            ;;
        'steer '*)
            global+=' --throttle --batch --auto --reason'
            [[ -z $sub ]] && _sevmigctl_names domain list
            ;;
        'preflight '*)
            global+=' --to --uri --policy --copy-storage'
            [[ -z $sub ]] && _sevmigctl_domains
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
            [[ -z $sub ]] && _sevmigctl_names domain list --all
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
    if [[ $verb == report && -z $sub && $cur != -* ]]; then
        files=yes
        _sevmigctl_files "$cur"
    fi
    [[ $cur == -* ]] && read -ra words <<<"$global"
    _sevmigctl_offer
}

complete -F _sevmigctl sevmigctl
