//! The words of help and manual pages beside the flags: the groups of commands, examples, keys, exit statuses.

use clap::Command;

/// The columns of a help text, at most.
pub(super) const WIDTH: usize = 80;

/// The commands as `--help` lists them, in groups.
pub(super) const GROUPS: [(&str, &[&str]); 6] = [
    (
        "Images",
        &[
            "pull", "push", "images", "inspect", "history", "tag", "rmi", "prune", "save", "load",
            "import", "copy", "sync", "image", "manifest",
        ],
    ),
    ("Registries", &["login", "logout", "search", "registry"]),
    ("Trust", &["trust", "verify"]),
    ("Files of images", &["mount", "umount", "unpack"]),
    ("Store and daemon", &["daemon", "system", "doctor", "info", "events", "version"]),
    ("Shell and manual", &["completion", "man"]),
];

/// The exit statuses of all commands.
const STATUSES: &str = "\
0    done
1    failed: standard error says why, and often what helps (hint:)
64   a --format that is no template, of the commands that say so
125  an unknown flag, or a wrong value of one
130  ended by Ctrl-C (SIGINT); 143: by SIGTERM; 141: nobody reads the output";

/// Puts examples, keys and statuses below the help of a command at `path` and of those below it.
pub(super) fn with_ends(command: Command, path: &[&str]) -> Command {
    let names: Vec<String> =
        command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let command = names.iter().fold(command, |command, name| {
        let path = [path, &[name.as_str()]].concat();
        command.mut_subcommand(name, |verb| with_ends(verb, &path))
    });
    let mut end = String::new();
    for (title, lines) in sections(path) {
        let lines = lines.iter().map(|line| format!("  {line}\n"));
        end.extend(["\n", title, ":\n"].map(str::to_owned).into_iter().chain(lines));
    }
    match command.get_after_help().map(ToString::to_string) {
        Some(last) => command.after_help(format!("{}\n{last}", end.trim_start())),
        None => command.after_help(end.trim().to_owned()),
    }
}

/// Shows the commands of the program in groups.
pub(super) fn grouped(command: &Command) -> Command {
    let mut groups = String::new();
    for (title, names) in GROUPS {
        groups.extend([title, ":\n"]);
        for verb in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            let about = about.lines().next().unwrap_or_default();
            let mut line = format!("  {:<10}", verb.get_name());
            for word in about.split(' ') {
                if line.chars().count() + word.chars().count() >= WIDTH {
                    groups.extend([line.as_str(), "\n"]);
                    line = " ".repeat(12);
                }
                line.extend([" ", word]);
            }
            groups.extend([line.as_str(), "\n"]);
        }
        groups.push('\n');
    }
    let template = format!(
        "Usage:  {{usage}}\n\n{{about-with-newline}}\n{groups}{{all-args}}{{after-help}}\n"
    );
    command.clone().mut_subcommands(|verb| verb.hide(true)).help_template(template)
}

/// Returns what stands below the flags of a command: titles, and lines.
pub(crate) fn sections(path: &[&str]) -> Vec<(&'static str, Vec<&'static str>)> {
    let keys = keys(path).map(|keys| ("Keys", keys.lines().collect()));
    let examples = Some(("Examples", examples(path).to_vec()));
    let statuses = path.is_empty().then(|| ("Exit status", STATUSES.lines().collect()));
    let all = [keys, examples, statuses].into_iter().flatten();
    all.filter(|(_, lines): &(_, Vec<_>)| !lines.is_empty()).collect()
}

/// Returns the examples of all commands.
#[cfg(test)]
pub(super) fn all_examples() -> impl Iterator<Item = &'static str> {
    EXAMPLES.iter().flat_map(|(_, examples)| *examples).copied()
}

/// Returns examples of a command, without the program's name in its path.
pub(super) fn examples(path: &[&str]) -> &'static [&'static str] {
    let of = |path: &[&str]| {
        let path = path.join(" ");
        EXAMPLES.iter().find(|(command, _)| *command == path)
    };
    // `image pull` and `system info` are `pull` and `info`.
    let found = of(path).or_else(|| of(path.get(1..)?));
    found.map_or(&[], |(_, examples)| examples)
}

/// Returns what values of `--filter` and `--format` a command knows.
fn keys(path: &[&str]) -> Option<&'static str> {
    let path = path.strip_prefix(&["image"]).unwrap_or(path).join(" ");
    KEYS.iter().find(|(commands, _)| commands.contains(&path.as_str())).map(|(_, keys)| *keys)
}

const KEYS: [(&[&str], &str); 9] = [
    (
        &["images", "ls"],
        "--filter: before, dangling, label, reference, since, until (as dangling=true)\n\
         --format: .ID .Repository .Tag .Digest .CreatedSince .CreatedAt .Size\n  \
         .SharedSize .UniqueSize .Containers",
    ),
    (&["history"], "--format: .ID .CreatedSince .CreatedAt .CreatedBy .Size .Comment"),
    (&["prune"], "--filter: keep-last, label, label!, max-size, reference, unused-for, until"),
    (
        &["search"],
        "--filter: is-automated, is-official, stars (at least so many)\n\
         --format: .Name .Description .StarCount .IsOfficial",
    ),
    (
        &["events", "system events"],
        "--filter: event, image, label, scope, type (as event=pull)\n\
         --format: .Type .Action .Actor .Scope .Time .TimeNano",
    ),
    (&["system df"], "--format: .Type .TotalCount .Active .Size .Reclaimable"),
    (&["registry tags"], "--format: .Repository .Tag"),
    (&["registry ls"], "--format: .Name"),
    (&["diff"], "--format: .Layer .DiffID .Added .Changed .Removed .CreatedBy"),
];

const EXAMPLES: [(&str, &[&str]); 53] = [
    ("man", &["longshore man /usr/local/share/man/man1", "longshore man ."]),
    (
        "pull",
        &[
            "longshore pull alpine:3.20",
            "longshore pull --platform linux/arm64 ghcr.io/owner/name:1.0",
            "longshore pull --all-platforms --referrers registry.example/app:2",
        ],
    ),
    (
        "push",
        &[
            "longshore tag app registry.example/team/app:1",
            "longshore push registry.example/team/app:1",
            "longshore push --all-tags registry.example/team/app",
        ],
    ),
    (
        "images",
        &[
            "longshore images",
            "longshore images --filter dangling=true --quiet",
            "longshore images --format '{{.Repository}}:{{.Tag}} {{.Size}}'",
        ],
    ),
    ("ls", &["longshore image ls --tree", "longshore image ls --digests alpine"]),
    (
        "inspect",
        &["longshore inspect alpine", "longshore inspect --format '{{.Config.Env}}' alpine"],
    ),
    ("history", &["longshore history alpine", "longshore history --no-trunc --format json alpine"]),
    (
        "tag",
        &[
            "longshore tag alpine:3.20 registry.example/alpine:3.20",
            "longshore tag 0584b370e957 app:old",
        ],
    ),
    ("rmi", &["longshore rmi alpine:3.20", "longshore rmi --force 0584b370e957"]),
    ("rm", &["longshore image rm alpine:3.20", "longshore image rm --force 0584b370e957"]),
    (
        "prune",
        &[
            "longshore prune",
            "longshore prune --all --dry-run",
            "longshore prune --all --force --filter unused-for=30d",
        ],
    ),
    (
        "save",
        &[
            "longshore save --output alpine.tar alpine:3.20",
            "longshore save app:1 app:2 | gzip > app.tar.gz",
        ],
    ),
    ("load", &["longshore load --input alpine.tar", "gzip -d < app.tar.gz | longshore load"]),
    (
        "import",
        &[
            "longshore import rootfs.tar.gz mine:1",
            "tar -c -C rootfs . | longshore import --change 'CMD [\"sh\"]' - mine:2",
        ],
    ),
    (
        "copy",
        &[
            "longshore copy alpine:3.20 registry.example/alpine:3.20",
            "longshore copy --all-tags quay.io/owner/name oci:/srv/name",
            "longshore copy oci-archive:image.tar docker-daemon:app:1",
        ],
    ),
    ("sync", &["longshore sync mirror.toml", "longshore sync --force mirror.yaml"]),
    ("diff", &["longshore image diff app:1 app:2", "longshore image diff app:2"]),
    (
        "manifest create",
        &[
            "longshore manifest create me/app:1 me/app:1-amd64 me/app:1-arm64",
            "longshore manifest create --amend me/app:1 me/app:1-riscv64",
        ],
    ),
    (
        "manifest annotate",
        &["longshore manifest annotate --arch arm --variant v7 me/app:1 me/app:1-armv7"],
    ),
    (
        "manifest inspect",
        &["longshore manifest inspect alpine", "longshore manifest inspect --verbose alpine"],
    ),
    ("manifest push", &["longshore manifest push --purge me/app:1"]),
    ("manifest rm", &["longshore manifest rm me/app:1"]),
    (
        "login",
        &[
            "longshore login registry.example",
            "longshore login --username me --password-stdin ghcr.io < token",
        ],
    ),
    ("logout", &["longshore logout registry.example", "longshore logout"]),
    (
        "search",
        &["longshore search nginx", "longshore search --filter is-official=true --limit 5 nginx"],
    ),
    ("registry ls", &["longshore registry ls registry.example"]),
    (
        "registry tags",
        &["longshore registry tags alpine", "longshore registry tags ghcr.io/owner/name"],
    ),
    (
        "registry inspect",
        &[
            "longshore registry inspect alpine:3.20",
            "longshore registry inspect --platform linux/arm64 --format json alpine",
        ],
    ),
    (
        "registry digest",
        &[
            "longshore registry digest alpine:3.20",
            "longshore registry digest --platform linux/arm64 alpine",
        ],
    ),
    ("registry tag", &["longshore registry tag registry.example/app:1.2.3 latest"]),
    (
        "registry rm",
        &[
            "longshore registry rm registry.example/app:old",
            "longshore registry rm registry.example/app@sha256:DIGEST",
        ],
    ),
    ("registry referrers", &["longshore registry referrers registry.example/app:1"]),
    (
        "registry check",
        &["longshore registry check alpine", "longshore registry check registry.example"],
    ),
    (
        "registry serve",
        &[
            "longshore registry serve --root /srv/registry",
            "longshore registry serve --root . --listen 127.0.0.1:5000",
        ],
    ),
    (
        "trust inspect",
        &[
            "longshore trust inspect registry.example/app:1",
            "longshore trust inspect --pretty registry.example/app",
        ],
    ),
    ("trust sign", &["longshore trust sign registry.example/app:1"]),
    ("trust revoke", &["longshore trust revoke registry.example/app:1"]),
    ("trust key generate", &["longshore trust key generate alice"]),
    ("trust key load", &["longshore trust key load --name alice key.pem"]),
    (
        "trust signer add",
        &["longshore trust signer add --key alice.pub alice registry.example/app"],
    ),
    ("trust signer remove", &["longshore trust signer remove alice registry.example/app"]),
    (
        "verify",
        &[
            "longshore verify registry.example/app:1",
            "longshore verify --key cosign.pub registry.example/app:1",
        ],
    ),
    ("mount", &["longshore mount alpine /mnt", "longshore mount"]),
    ("umount", &["longshore umount /mnt"]),
    ("unpack", &["longshore unpack alpine ./rootfs", "longshore unpack --bundle alpine ./bundle"]),
    (
        "daemon",
        &[
            "longshore daemon",
            "longshore daemon -H unix:///run/longshore.sock -H tcp://127.0.0.1:2375",
            "longshore daemon --config-file /etc/longshore/daemon.json --validate",
        ],
    ),
    ("system df", &["longshore system df", "longshore system df --verbose"]),
    ("system check", &["longshore system check", "longshore system check --deep --repair"]),
    (
        "doctor",
        &["longshore doctor", "longshore doctor --network", "longshore doctor --format json"],
    ),
    ("info", &["longshore info", "longshore info --format '{{.Driver}}'"]),
    (
        "events",
        &[
            "longshore -H unix:///run/longshore.sock events",
            "longshore -H unix:///run/longshore.sock events --since 1h --filter event=pull",
        ],
    ),
    ("version", &["longshore version", "longshore version --format json"]),
    (
        "completion",
        &[
            "longshore completion bash > /etc/bash_completion.d/longshore",
            "source <(longshore completion zsh)",
        ],
    ),
];
