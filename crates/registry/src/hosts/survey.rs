//! A look over the directories with certificates and hosts of registries: what is in them, and what of it does nothing.

use std::path::{Path, PathBuf};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::file;
use crate::http::tls::{MAX_FILES, Material, Validity, without_certificate};

/// The most registries of one directory that are looked at.
const MAX_REGISTRIES: usize = 1024;

/// The findings in the directory of one registry.
#[derive(Clone, Debug)]
pub struct Surveyed {
    /// The directory, as it was looked at.
    pub directory: PathBuf,
    /// The registry that it is for, as images' names have it.
    pub registry: String,
    /// Faults, each of which names its file.
    pub faults: Vec<String>,
    /// Certificates, with their files.
    pub certificates: Vec<(PathBuf, Validity)>,
    /// True if there is a file with hosts.
    pub has_hosts: bool,
}

/// Looks over directories as `certs.d`. Blocking; asks nobody.
pub fn survey(directories: &[PathBuf]) -> Vec<Surveyed> {
    let mut found = Vec::new();
    for directory in directories {
        let Ok(entries) = std::fs::read_dir(directory) else { continue };
        let paths = entries.filter_map(Result::ok).map(|entry| entry.path());
        let mut registries: Vec<PathBuf> = paths.filter(|path| path.is_dir()).collect();
        registries.sort_unstable();
        let seen = registries.iter().take(MAX_REGISTRIES);
        found.extend(seen.filter_map(|path| one(directory, path)));
        if let (Some(more), Some(last)) =
            (registries.len().checked_sub(MAX_REGISTRIES + 1), found.last_mut())
        {
            let more = more + 1;
            last.faults.push(format!(
                "{}: {more} more directories of registries are not looked at",
                directory.display()
            ));
        }
    }
    found
}

fn one(directory: &Path, path: &Path) -> Option<Surveyed> {
    let name = path.file_name()?.to_str()?;
    let mut found = Surveyed {
        directory: path.to_owned(),
        // `host_port_` is another way to write `host:port`.
        registry: name
            .strip_suffix('_')
            .map_or_else(|| name.to_owned(), |name| name.replace('_', ":")),
        faults: Vec::new(),
        certificates: Vec::new(),
        has_hosts: false,
    };
    let mut material = match Material::load(&[directory.to_owned()], name) {
        Ok(material) => material,
        Err(fault) => {
            found.faults.push(fault.to_string());
            Material::default()
        }
    };
    match file::read(&path.join(file::NAME)) {
        Ok(None) => {}
        Ok(Some(hosts)) => {
            found.has_hosts = true;
            found.faults.extend(hosts.warnings.iter().cloned());
            for settings in hosts.settings() {
                if let Err(fault) = material.add(settings) {
                    found.faults.push(fault.to_string());
                }
            }
        }
        Err(fault) => found.faults.push(fault.to_string()),
    }
    let used: Vec<&Path> = material.files().map(|(path, _)| path).collect();
    found.faults.extend(unused(path, &used));
    for (path, pem) in material.files() {
        let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
        let dates: Vec<_> = certificates.filter_map(|der| Validity::of(&der)).collect();
        if dates.is_empty() {
            found.faults.push(without_certificate(path));
        }
        found.certificates.extend(dates.into_iter().map(|dates| (path.to_owned(), dates)));
    }
    Some(found)
}

/// Names the files of a registry's directory that hold certificates and have a name by which nobody reads them.
fn unused(directory: &Path, used: &[&Path]) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<PathBuf> =
        entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    names.sort_unstable();
    let mut faults = Vec::new();
    if names.len() > MAX_FILES {
        faults.push(format!(
            "{}: more than {MAX_FILES} files, of which some are passed over",
            directory.display()
        ));
    }
    for path in names.iter().take(MAX_FILES) {
        let has_name = path.extension().is_some_and(|end| end == "crt" || end == "cert");
        if !has_name && !used.contains(&path.as_path()) && holds_certificate(path) {
            faults.push(format!(
                "{}: nobody reads it, as an authority's file ends in .crt, and a client's in .cert",
                path.display()
            ));
        }
    }
    faults
}

/// Tells whether the first bytes of a file, as many as comments before it may take, hold the beginning of a certificate.
fn holds_certificate(path: &Path) -> bool {
    use std::io::Read as _;

    if !path.is_file() {
        return false;
    }
    let mut begin = Vec::new();
    let read =
        std::fs::File::open(path).and_then(|file| file.take(64 << 10).read_to_end(&mut begin));
    let mark = b"-----BEGIN CERTIFICATE-----";
    read.is_ok() && begin.windows(mark.len()).any(|window| window == mark)
}

#[cfg(test)]
mod tests {
    use test_support::scripted::Identity;

    use super::*;

    #[test]
    fn what_does_nothing_is_named_and_certificates_have_their_dates() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().to_owned();
        let identity = Identity::new(&["r.example"]).unwrap();
        for (path, text) in [
            ("a.example/ca.crt", identity.authority.as_str()),
            ("b.example_5000_/ca.crt", "hello"),
            (
                "b.example_5000_/hosts.toml",
                "[host.\"https://m\"]\nskip_verfy = true\nca = \"ca.crt\"",
            ),
            ("c.example/hosts.toml", "server = 1"),
            ("d.example/client.cert", "x"),
            ("e.example/ca.pem", identity.authority.as_str()),
            ("e.example/named.pem", identity.authority.as_str()),
            ("e.example/hosts.toml", "ca = \"named.pem\""),
            ("no-directory", ""),
        ] {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let found = survey(&[root.join("missing"), root]);
        let names: Vec<_> = found.iter().map(|one| one.registry.as_str()).collect();
        assert_eq!(names, ["a.example", "b.example:5000", "c.example", "d.example", "e.example"]);
        let ([a, b, c, d], pem) = (&found[..4], &found[4]) else { panic!("{found:?}") };
        let [(_, dates)] = a.certificates[..] else { panic!("{a:?}") };
        assert!(a.faults.is_empty() && dates.not_before < dates.not_after, "{a:?}");
        for (one, parts) in [
            (
                b,
                &[
                    "did you mean \"skip_verify\"",
                    "ca.crt: no certificate in this file",
                    "no certificate in this file",
                ][..],
            ),
            (c, &["hosts.toml`:1: `server` is not a string"]),
            (d, &["missing key client.key"]),
        ] {
            assert!(
                parts.iter().all(|part| one.faults.iter().any(|fault| fault.contains(part))),
                "{one:?}"
            );
        }
        assert!(b.has_hosts && !a.has_hosts);
        let [fault] = &pem.faults[..] else { panic!("{pem:?}") };
        assert!(
            fault.contains("ca.pem: nobody reads it") && pem.certificates.len() == 1,
            "{pem:?}"
        );
    }

    #[test]
    fn what_is_too_much_to_look_at_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for number in 0..=MAX_REGISTRIES {
            std::fs::create_dir(root.join(format!("r{number:04}"))).unwrap();
        }
        for number in 0..=MAX_FILES {
            std::fs::write(root.join(format!("r0000/{number}")), "").unwrap();
        }
        let found = survey(&[root.to_owned()]);
        assert_eq!(found.len(), MAX_REGISTRIES);
        let faults = |one: &Surveyed| one.faults.join(" ");
        assert!(faults(&found[0]).contains("more than 128 files"), "{:?}", found[0]);
        let last = faults(found.last().unwrap());
        assert!(last.contains(": 1 more directories of registries"), "{last}");
    }
}
