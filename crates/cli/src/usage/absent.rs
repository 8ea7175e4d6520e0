//! The commands of docker that are not here, and who has them.

const CONTAINERS: &str = "Longshore keeps images and does not run containers: docker, podman or nerdctl do; `longshore unpack` and \
     `longshore mount` show the files of an image";
const BUILDS: &str = "Longshore keeps images and does not build them: docker buildx, buildah or kaniko do; `longshore load` and \
     `longshore copy` take what they build";
const NETWORKS: &str =
    "Longshore keeps images and does not manage networks: docker, podman or nerdctl do";
const VOLUMES: &str =
    "Longshore keeps images and does not manage volumes: docker, podman or nerdctl do";
const PLUGINS: &str = "Longshore does not support plugins: those of docker are for its own daemon";
const SWARM: &str = "Longshore keeps images and does not take part in a swarm: docker does";
const CONTEXTS: &str = "Longshore uses the contexts of docker (-c NAME, DOCKER_CONTEXT) and leaves making them to `docker context`";
const DIFF: &str = "Longshore does not run containers, whose changes docker's diff shows; it compares images: `longshore image diff`";
const LIST: &str = "`longshore images` lists images";
const SYSTEM_PRUNE: &str = "there is nothing to prune but images: `longshore prune`";

/// The commands without the program's name, and what is said of them.
const ABSENT: &[(&str, &[&str])] = &[
    (
        CONTAINERS,
        &[
            "run",
            "exec",
            "ps",
            "create",
            "start",
            "stop",
            "restart",
            "kill",
            "rm",
            "attach",
            "commit",
            "container",
            "compose",
            "cp",
            "export",
            "logs",
            "pause",
            "port",
            "rename",
            "stats",
            "top",
            "unpause",
            "update",
            "wait",
            "checkpoint",
        ],
    ),
    (BUILDS, &["build", "buildx", "builder", "image build"]),
    (NETWORKS, &["network"]),
    (VOLUMES, &["volume"]),
    (PLUGINS, &["plugin"]),
    (SWARM, &["swarm", "config", "node", "secret", "service", "stack"]),
    (CONTEXTS, &["context"]),
    (SYSTEM_PRUNE, &["system prune"]),
    (DIFF, &["diff"]),
    (LIST, &["ls", "list"]),
];

/// Says of a command of docker's that it is not here, and what to use.
pub(super) fn advice(group: &[String], name: &str) -> Option<String> {
    let command = group.iter().map(String::as_str).chain([name]).collect::<Vec<_>>().join(" ");
    let found = ABSENT.iter().find(|(_, commands)| commands.contains(&command.as_str()));
    found.map(|(said, _)| (*said).to_owned())
}
