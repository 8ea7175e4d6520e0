//! The results, as a table for people.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use super::images::Recipe;
use super::measure::{Sample, seconds};
use super::options::{CLIENTS, Operation, TRANSFERS};
use super::peers::Peer;

/// Program, as it is named in the table's head.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) operation: Operation,
    pub(super) image: &'static str,
    pub(super) peer: &'static str,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.operation, self.image, self.peer)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::Pull => "pull",
            Operation::Push => "push",
            Operation::Rebuild => "push from a dockerd's data root",
            Operation::List => "list",
            Operation::Copy => "copy",
            Operation::Load => "load",
            Operation::Save => "save",
            Operation::Clients => return write!(f, "pull by {CLIENTS} clients at once"),
        })
    }
}

/// Names and titles of the lists that were measured, and how many images they had.
pub(super) type Lists = (&'static [(&'static str, &'static str)], usize);

/// All results so far.
#[derive(Debug, Default)]
pub(super) struct Results {
    samples: BTreeMap<Key, Vec<Sample>>,
    failures: BTreeMap<Key, String>,
}

impl Results {
    pub(super) fn add(&mut self, key: Key, sample: Sample) {
        self.samples.entry(key).or_default().push(sample);
    }

    pub(super) fn fail(&mut self, key: Key, error: &anyhow::Error) {
        self.failures.insert(key, format!("{error:#}"));
    }

    pub(super) fn has_failed(&self, key: &Key) -> bool {
        self.failures.contains_key(key)
    }

    /// One table for each operation and image; within it one row for each peer, and how its median
    /// compares with that of the first.
    pub(super) fn markdown(
        &self,
        peers: &[Peer],
        recipes: &[Recipe],
        (lists, images): Lists,
    ) -> String {
        let names: Vec<&'static str> = peers.iter().map(Peer::name).collect();
        let mut text = String::from("# Benchmark\n\n");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let _ = writeln!(text, "- {cores} cores");
        for peer in peers {
            let version = peer.version().unwrap_or_else(|error| format!("{error:#}"));
            let _ = writeln!(text, "- {}: {}", peer.name(), version);
        }
        for (image, title) in lists {
            let title = format!("{title}, {images} images");
            self.write_table(&mut text, Operation::List, image, &title, &names);
        }
        for operation in TRANSFERS {
            for recipe in recipes {
                let title = format!("{operation} `{}` ({})", recipe.name, recipe.description);
                self.write_table(&mut text, operation, recipe.name, &title, &names);
            }
        }
        text
    }

    pub(super) fn write_table(
        &self,
        text: &mut String,
        operation: Operation,
        image: &'static str,
        title: &str,
        peers: &[&'static str],
    ) {
        let key = |peer| Key { operation, image, peer };
        let mut rows = Vec::new();
        let mut first = None;
        for peer in peers {
            if let Some(samples) = self.samples.get(&key(*peer)) {
                let wall = median(samples, |sample| sample.wall);
                rows.push(row(peer, samples, *first.get_or_insert(wall)));
            }
            if let Some(failure) = self.failures.get(&key(*peer)) {
                let failure = failure.replace(['|', '\n'], " ");
                rows.push(format!("| {peer} | failed: {failure} | | | | | | | | |"));
            }
        }
        if rows.is_empty() {
            return;
        }
        let _ = writeln!(
            text,
            "\n## {title}\n\n\
             | peer | runs | wall min s | **median s** | max s | × | cpu s | user s | sys s | \
             peak memory MB | store MB |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n{}",
            rows.join("\n")
        );
    }
}

fn row(peer: &str, samples: &[Sample], first: f64) -> String {
    let wall = median(samples, |sample| sample.wall);
    let bounds = |better: fn(f64, f64) -> f64| {
        samples.iter().map(|sample| sample.wall).reduce(better).unwrap_or_default()
    };
    let megabytes = |value: fn(&Sample) -> u64| {
        let mut values: Vec<u64> = samples.iter().map(value).collect();
        values.sort_unstable();
        values[values.len() / 2] / 1_000_000
    };
    format!(
        "| {peer} | {} | {} | **{}** | {} | {:.2} | {:.2} | {:.2} | {:.2} | {} | {} |",
        samples.len(),
        seconds(bounds(f64::min)),
        seconds(wall),
        seconds(bounds(f64::max)),
        wall / first,
        median(samples, Sample::cpu),
        median(samples, |sample| sample.user),
        median(samples, |sample| sample.system),
        megabytes(|sample| sample.memory),
        // A push stores nothing.
        Some(megabytes(|sample| sample.stored))
            .filter(|stored| *stored > 0)
            .map_or_else(String::new, |stored| stored.to_string()),
    )
}

/// The middle value, or the mean of the middle two.
fn median(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    let mut values: Vec<f64> = samples.iter().map(value).collect();
    values.sort_by(f64::total_cmp);
    let (low, high) = (values.len().saturating_sub(1) / 2, values.len() / 2);
    values.get(low).zip(values.get(high)).map_or(0.0, |(low, high)| f64::midpoint(*low, *high))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(walls: &[f64]) -> Vec<Sample> {
        walls.iter().map(|&wall| Sample { wall, ..Sample::default() }).collect()
    }

    #[test]
    fn medians() {
        for (walls, expected) in [
            (&[][..], 0.0),
            (&[3.0], 3.0),
            (&[3.0, 1.0], 2.0),
            (&[9.0, 1.0, 2.0], 2.0),
            (&[9.0, 1.0, 2.0, 4.0], 3.0),
        ] {
            let found = median(&samples(walls), |sample| sample.wall);
            assert!((found - expected).abs() < 1e-9, "{walls:?}: {found}");
        }
    }

    #[test]
    fn a_row_compares_with_the_first() {
        let row = row("skopeo", &samples(&[1.0, 2.0, 6.0]), 4.0);
        assert!(row.starts_with("| skopeo | 3 | 1.00 | **2.00** | 6.00 | 0.50 |"), "{row}");
    }

    #[test]
    fn short_times_are_told_to_the_millisecond() {
        assert_eq!([0.0094, 0.123_4, 1.0, 61.5].map(seconds), ["0.009", "0.123", "1.00", "61.50"]);
    }

    #[test]
    fn a_failure_has_a_row_too() {
        let mut results = Results::default();
        let key = Key { operation: Operation::Pull, image: "app", peer: "podman" };
        results.fail(key, &anyhow::anyhow!("no | such\nthing"));
        let mut text = String::new();
        results.write_table(&mut text, Operation::Pull, "app", "title", &["podman"]);
        assert!(text.contains("| podman | failed: no   such thing |"), "{text}");
        let mut none = String::new();
        results.write_table(&mut none, Operation::Push, "app", "title", &["podman"]);
        assert_eq!(none, "");
    }
}
