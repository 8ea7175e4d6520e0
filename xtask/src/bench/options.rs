//! The options of the benchmark.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::wan::Link;

const IMAGES: [&str; 5] = ["app", "app-zstd", "one", "many", "tenth"];

pub(super) const PEERS: [&str; 6] =
    ["longshore", "longshore-daemon", "dockerd", "containerd", "podman", "skopeo"];

/// Those that copy between registries; crane is in no package of Debian's.
pub(super) const COPIERS: [&str; 3] = ["longshore", "skopeo", "crane"];

/// Clients that pull one image at once.
pub(super) const CLIENTS: usize = 64;

/// Kind of task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Pull,
    Push,
    /// Pushes from a data root that a dockerd made.
    Rebuild,
    /// Lists, inspections and tags with a thousand images.
    List,
    /// Copies of many repositories between registries.
    Copy,
    /// Loads of an archive.
    Load,
    /// Saves to an archive.
    Save,
    /// Pulls of one image by many clients at once.
    Clients,
}

/// Those that are of one image each.
pub(super) const TRANSFERS: [Operation; 6] = [
    Operation::Pull,
    Operation::Push,
    Operation::Rebuild,
    Operation::Load,
    Operation::Save,
    Operation::Clients,
];

/// Tasks, images and programs to measure, and the scale of the images.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Options {
    /// Runs of each task; the table has medians.
    pub(super) runs: usize,
    /// Images of a tenth of their size: whether everything works, not how fast.
    pub(super) quick: bool,
    /// Take the release binary that is there, whatever it was built from.
    pub(super) built: bool,
    only: Option<Operation>,
    images: Vec<String>,
    peers: Vec<String>,
    /// Another build of Longshore, to be compared with this one.
    against: Option<PathBuf>,
    /// The link between the pulls and their registry.
    pub(super) wan: Option<Link>,
    /// Numbers of cores that everything has, the registries too; of `None` as many as there are.
    pub(super) cores: Vec<Option<usize>>,
}

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Options> {
        let mut options = Options {
            runs: 0,
            quick: false,
            built: false,
            only: None,
            images: Vec::new(),
            peers: Vec::new(),
            against: None,
            wan: None,
            cores: Vec::new(),
        };
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            let mut value = || rest.next().with_context(|| format!("`{option}` needs a value"));
            match option.as_str() {
                "--quick" => options.quick = true,
                "--built" => options.built = true,
                "--runs" => {
                    let runs = value()?;
                    options.runs =
                        runs.parse().ok().filter(|&runs| runs > 0).with_context(|| {
                            format!("`--runs` needs a number from 1 upwards, not `{runs}`")
                        })?;
                }
                "--only" => {
                    options.only = Some(match value()?.as_str() {
                        "pull" => Operation::Pull,
                        "push" => Operation::Push,
                        "rebuild" => Operation::Rebuild,
                        "list" => Operation::List,
                        "copy" => Operation::Copy,
                        "load" => Operation::Load,
                        "save" => Operation::Save,
                        "clients" => Operation::Clients,
                        other => bail!(
                            "`--only` is `pull`, `push`, `rebuild`, `list`, `copy`, `load`, `save` or \
                             `clients`, not `{other}`"
                        ),
                    });
                }
                "--image" => options.images.push(known(value()?, &IMAGES)?),
                "--peer" => options.peers.push(known(value()?, &[&PEERS[..], &COPIERS].concat())?),
                "--against" => options.against = Some(value()?.into()),
                "--wan" => options.wan = Some(Link::parse(value()?)?),
                "--cores" => options.cores = cores(value()?)?,
                other => bail!("`bench` has no option `{other}`"),
            }
        }
        if options.runs == 0 {
            options.runs = if options.quick { 1 } else { 5 };
        }
        if options.cores.is_empty() {
            options.cores.push(None);
        }
        Ok(options)
    }

    pub(super) fn includes(&self, operation: Operation) -> bool {
        self.only.is_none_or(|only| only == operation)
    }

    pub(super) fn includes_image(&self, name: &str) -> bool {
        self.images.is_empty() || self.images.iter().any(|image| image == name)
    }

    pub(super) fn against(&self) -> Option<&Path> {
        self.against.as_deref()
    }

    pub(super) fn includes_peer(&self, name: &str) -> bool {
        self.peers.is_empty() || self.peers.iter().any(|peer| peer == name)
    }
}

/// Reads a list as `1,2,all`.
fn cores(value: &str) -> Result<Vec<Option<usize>>> {
    let one = |text: &str| match text {
        "all" => Ok(None),
        number => match number.parse() {
            Ok(count @ 1..) => Ok(Some(count)),
            _ => bail!("`--cores` needs numbers from 1 upwards or `all`, not `{number}`"),
        },
    };
    value.split(',').map(one).collect()
}

fn known(value: &str, names: &[&str]) -> Result<String> {
    if !names.contains(&value) {
        bail!("`{value}` is none of {}", names.join(", "));
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parsing() {
        let parse = |text: &str| {
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            Options::parse(&words)
        };
        let all = parse("").unwrap();
        assert_eq!((all.runs, all.quick, all.built), (5, false, false));
        assert!(parse("--built").unwrap().built);
        assert!(all.includes(Operation::Push) && all.includes_image("app"));
        let some = parse("--quick --only pull --image app --image many --peer skopeo").unwrap();
        assert_eq!((some.runs, some.quick), (1, true));
        assert!(some.includes(Operation::Pull) && !some.includes(Operation::Push));
        assert!(some.includes_image("many") && !some.includes_image("one"));
        assert_eq!(some.against(), None);
        assert_eq!(parse("--against old").unwrap().against(), Some(Path::new("old")));
        assert!(some.includes_peer("skopeo") && !some.includes_peer("podman"));
        assert!(parse("--only rebuild").unwrap().includes(Operation::Rebuild));
        assert!(parse("--only list").unwrap().includes(Operation::List));
        for (name, operation) in
            [("load", Operation::Load), ("save", Operation::Save), ("clients", Operation::Clients)]
        {
            let one = parse(&format!("--only {name}")).unwrap();
            assert!(TRANSFERS.into_iter().all(|it| one.includes(it) == (it == operation)));
        }
        let copy = parse("--only copy --peer crane").unwrap();
        assert!(copy.includes(Operation::Copy) && !copy.includes(Operation::Pull));
        assert_eq!(parse("--quick --runs 3").unwrap().runs, 3);
        assert_eq!((all.wan, all.cores), (None, vec![None]));
        assert_eq!(parse("--cores 1,2,all").unwrap().cores, [Some(1), Some(2), None]);
        assert!(parse("--wan 20,25,200 --peer containerd").unwrap().wan.is_some());
        for wrong in [
            "--runs",
            "--runs 0",
            "--runs x",
            "--only unpack",
            "--image x",
            "--peer x",
            "--against",
            "--wan 20",
            "--cores 0",
            "--cores 1,,2",
            "y",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
