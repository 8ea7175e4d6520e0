#compdef longshore
# zsh completion of longshore: save as `_longshore` in a folder of $fpath
_longshore() {
    local -a lines values
    local line
    lines=("${(@f)$("${words[1]/#\~\//$HOME/}" __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if [[ ${lines[1]} == :files ]]; then
        # The file begins behind the flag.
        [[ $PREFIX == --*=* ]] && compset -P 1 '*='
        _files
        return
    fi
    for line in $lines; do
        values+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
    done
    _describe longshore values
}
# Autoloaded, this file is what the function does the first time.
if [[ ${funcstack[1]} == _longshore ]]; then
    _longshore "$@"
else
    compdef _longshore longshore
fi
