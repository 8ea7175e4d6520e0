# fish completion of longshore: `longshore completion fish | source`
function __longshore_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l program (string replace -r '^~/' "$HOME/" -- $words[1])
    set -l lines ($program __complete $words[2..-1] 2>/dev/null)
    if test "$lines[1]" = :files
        # The file begins behind the flag.
        set -l flag (string match -r '^--[^=]*=' -- $words[-1])
        set -l file (string replace -r '^--[^=]*=' '' -- $words[-1])
        for path in (__fish_complete_path $file)
            echo "$flag$path"
        end
    else
        printf '%s\n' $lines
    end
end
complete -c longshore -f -a '(__longshore_complete)'
