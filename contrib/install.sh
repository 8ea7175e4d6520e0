#!/bin/sh
# Installs what lies beside it: as root into /usr/local, else into ~/.local.
set -eu

usage() {
    echo "Usage: ./install.sh [--prefix DIRECTORY] [--uninstall]

Installs longshore, its completions and manual pages; as root also systemd's units and the examples
of /etc/longshore, which are kept where they are already. DESTDIR is put before every path."
}

if [ "$(id -u)" = 0 ]; then prefix=/usr/local; else prefix=$HOME/.local; fi
remove=
while [ $# -gt 0 ]; do
    case $1 in
        --prefix) prefix=${2:?--prefix takes a directory}; shift ;;
        --prefix=*) prefix=${1#*=} ;;
        --uninstall) remove=yes ;;
        -h | --help) usage; exit ;;
        *) usage >&2; exit 64 ;;
    esac
    shift
done
case $prefix in /*) ;; *) echo "install.sh: the prefix has to begin with a slash: $prefix" >&2; exit 64 ;; esac
here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}
# fish looks for what an administrator adds here, and not below /usr/local.
fish=$root/etc/fish/completions/longshore.fish

# Each file of a folder of this archive, as a path in it. Units are for root.
files() {
    (cd "$here" && find bin share $([ "$(id -u)" = 0 ] && echo lib) -type f | sort)
}

# Whether systemd reads a unit from here. It may call the folder otherwise: /lib is a link on most systems. Where it does not run, it
# would read the first of these.
is_ours() {
    path=$(systemctl show -p FragmentPath --value "$1" 2> /dev/null) ours=$prefix/lib/systemd/system/$1
    for folder in /etc /run /usr/local/lib /usr/lib /lib; do
        if [ -z "$path" ] && [ -e "$folder/systemd/system/$1" ]; then path=$folder/systemd/system/$1; fi
    done
    [ "$path" = "$ours" ] || [ "$path" -ef "$ours" ]
}

if [ -n "$remove" ]; then
    if [ "$(id -u)" = 0 ] && [ -z "$root" ] && command -v systemctl > /dev/null; then
        for unit in longshore.socket longshore.service; do
            # That of another installation goes on.
            if is_ours "$unit"; then
                systemctl disable --quiet --now "$unit" 2> /dev/null || true
            fi
        done
    fi
    # The one that was put there with these.
    if [ "$(id -u)" = 0 ] && cmp -s "$root$prefix/share/fish/vendor_completions.d/longshore.fish" "$fish"; then rm -f "$fish"; fi
    files | while read -r file; do rm -f "$root$prefix/$file"; done
    # The folders that are its own, the inner ones first.
    (cd "$here" && find share -type d -path '*/longshore*' | sort -r) | while read -r folder; do
        rmdir "$root$prefix/$folder" 2> /dev/null || true
    done
    echo "Removed from $prefix. Images and /etc/longshore are left."
    exit
fi
files | while read -r file; do
    mkdir -p "$root$prefix/$(dirname "$file")"
    # Aside and then into place: a binary that runs cannot be written to.
    cp "$here/$file" "$root$prefix/$file.new"
    mv -f "$root$prefix/$file.new" "$root$prefix/$file"
done
if [ "$(id -u)" = 0 ]; then
    unit=$root$prefix/lib/systemd/system/longshore.service
    sed "s|^ExecStart=/usr/bin/|ExecStart=$prefix/bin/|" "$here/lib/systemd/system/longshore.service" > "$unit"
    mkdir -p "$(dirname "$fish")"
    cp "$here/share/fish/vendor_completions.d/longshore.fish" "$fish"
    (cd "$here/etc" && find . -type f) | while read -r file; do
        file=${file#./}
        if [ ! -e "$root/etc/$file" ]; then
            mkdir -p "$root/etc/$(dirname "$file")"
            cp "$here/etc/$file" "$root/etc/$file"
        fi
    done
fi
echo "Installed $prefix/bin/longshore"
case :$PATH: in
    *:"$prefix/bin":*) ;;
    *) echo "It is not in your PATH. For this shell and the next ones:
  export PATH=\"$prefix/bin:\$PATH\"    # and this line into ~/.profile" ;;
esac
if [ "$(id -u)" = 0 ]; then
    echo "For the daemon: systemd-sysusers; systemctl enable --now longshore.socket"
fi
