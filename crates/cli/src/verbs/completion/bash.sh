# bash completion of longshore: `source <(longshore completion bash)`
_longshore() {
    local line=${COMP_LINE:0:COMP_POINT} IFS=$' \t\n'
    local -a words reply
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local current=${words[${#words[@]}-1]}
    IFS=$'\n'
    reply=($("${words[0]/#\~\//$HOME/}" __complete "${words[@]:1}" 2>/dev/null))
    COMPREPLY=()
    if [[ ${reply[0]} == :files ]]; then
        compopt -o default -o filenames 2>/dev/null
        return
    fi
    # What stands before the last of these characters is no part of the word for bash.
    local breaks= prefix=
    [[ $COMP_WORDBREAKS == *:* ]] && breaks+=:
    [[ $COMP_WORDBREAKS == *=* ]] && breaks+='='
    [[ -n $breaks ]] && prefix=${current%"${current##*[$breaks]}"}
    reply=("${reply[@]%%$'\t'*}")
    COMPREPLY=("${reply[@]#"$prefix"}")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
}
complete -F _longshore longshore
