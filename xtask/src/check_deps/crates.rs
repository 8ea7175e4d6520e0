//! The arrows between the crates.

use crate::workspace::{Dependency, Package};

/// Permitted dependencies of each crate: the picture in ARCHITECTURE.md.
const ARROWS: [(&str, &[&str]); 16] = [
    (
        "longshore",
        &[
            "longshore-api",
            // To send a directory as a tar.
            "longshore-archive",
            "longshore-copy",
            "longshore-daemon",
            "longshore-go-template",
            "longshore-registry-server",
            "longshore-spec",
            "longshore-trust",
        ],
    ),
    (
        "longshore-daemon",
        &[
            "longshore-api",
            "longshore-engine",
            // For the types of its configuration.
            "longshore-policy",
            "longshore-registry",
            "longshore-store",
            "longshore-spec",
        ],
    ),
    (
        "longshore-copy",
        &["longshore-archive", "longshore-policy", "longshore-registry", "longshore-spec"],
    ),
    (
        "longshore-engine",
        &[
            "longshore-archive",
            "longshore-policy",
            "longshore-registry",
            "longshore-store",
            "longshore-spec",
        ],
    ),
    ("longshore-trust", &["longshore-registry", "longshore-spec"]),
    ("longshore-policy", &["longshore-registry", "longshore-spec"]),
    ("longshore-store", &["longshore-spec"]),
    ("longshore-registry", &["longshore-spec"]),
    ("longshore-archive", &["longshore-spec"]),
    ("longshore-api", &["longshore-spec"]),
    ("longshore-go-template", &["longshore-spec"]),
    ("longshore-registry-server", &["longshore-spec"]),
    ("longshore-spec", &[]),
    // For development only.
    (TEST_SUPPORT, &["longshore-registry-server", "longshore-spec"]),
    (
        "longshore-fuzz",
        &[
            "longshore-api",
            "longshore-archive",
            "longshore-copy",
            "longshore-daemon",
            "longshore-engine",
            "longshore-go-template",
            "longshore-policy",
            "longshore-registry",
            "longshore-spec",
            "longshore-store",
            "longshore-trust",
        ],
    ),
    ("xtask", &[TEST_SUPPORT, "longshore-spec"]),
];

/// The one crate that the tests of every other may use beside its own dependencies.
const TEST_SUPPORT: &str = "longshore-test-support";

/// The dependencies of a crate that the picture does not have.
pub(super) fn problems(package: &Package) -> Vec<String> {
    let name = &package.name;
    let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| known == name) else {
        return vec![format!(
            "{name} is not in the picture: add it to `ARROWS` and to the picture"
        )];
    };
    let is_wrong = |dependency: &&Dependency| {
        let of_tests = dependency.kind.as_deref() == Some("dev") && dependency.name == TEST_SUPPORT;
        dependency.path.is_some() && !of_tests && !allowed.contains(&dependency.name.as_str())
    };
    let wrong = package.dependencies.iter().filter(is_wrong);
    wrong.map(|dependency| format!("{name} -> {}", dependency.name)).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn arrows() {
        for (from, to, kind, allowed) in [
            ("longshore", "longshore-daemon", None, true),
            ("longshore", "longshore-engine", None, false),
            ("longshore", "longshore-engine", Some("dev"), false),
            ("longshore-engine", TEST_SUPPORT, Some("dev"), true),
            ("longshore-engine", TEST_SUPPORT, None, false),
            ("longshore-spec", "longshore-archive", None, false),
            ("longshore-archive", "longshore-store", Some("build"), false),
            ("newcomer", "longshore-spec", None, false),
        ] {
            let dependency = Dependency {
                name: to.to_owned(),
                kind: kind.map(str::to_owned),
                path: Some(PathBuf::new()),
            };
            let name = from.to_owned();
            let dependencies = vec![dependency];
            let package = Package { name, dependencies, ..Package::default() };
            assert_eq!(problems(&package).is_empty(), allowed, "{from} -> {to} ({kind:?})");
        }
    }

    #[test]
    fn no_arrow_leads_back() {
        for (from, allowed) in ARROWS {
            for to in allowed {
                let (_, next) = ARROWS.iter().find(|(name, _)| name == to).unwrap();
                assert!(!next.contains(&from), "{from} <-> {to}");
            }
        }
    }
}
