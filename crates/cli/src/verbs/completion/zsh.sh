#compdef longshore
# zsh completion of longshore: save as `_longshore` in a folder of $fpath
_longshore() {
    local -a lines values
    local line
    lines=("${(@f)$(${words[1]} __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ ${lines[1]} == :files ]]; then
        _files
        return
    fi
    for line in $lines; do
        values+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    _describe longshore values
}
compdef _longshore longshore
