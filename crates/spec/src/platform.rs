//! Platforms, and which of an index's entries runs on one: the rules of containerd's `platforms` package, as dockerd uses them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Operating system and processor that an image runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// CPU architecture in Go's words: `amd64`, `arm64`, `arm`, `386` …
    #[serde(default)]
    pub architecture: String,
    /// Operating system in Go's words: `linux`, `windows` …
    #[serde(default)]
    pub os: String,
    /// Version of the operating system; Windows only.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Features that the operating system must have.
    #[serde(rename = "os.features", default, skip_serializing_if = "Vec::is_empty")]
    pub os_features: Vec<String>,
    /// Variant of the CPU: `v7` of `arm`, `v3` of `amd64` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A fault of a text that is no platform, in containerd's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlatformError {
    /// A word between the slashes has a foreign character, or is empty.
    #[error(
        "\"{component}\" is an invalid component of \"{input}\": platform specifier component must match \"{pattern}\": invalid argument"
    )]
    Component {
        /// The word.
        component: String,
        /// Text that the user typed.
        input: String,
        /// The pattern that the word does not match.
        pattern: &'static str,
    },
    /// The first word has a foreign character, or is empty.
    #[error(
        "\"{component}\" is an invalid OS component of \"{input}\": OSAndVersion specifier component must match \"{OS_PATTERN}\": invalid argument"
    )]
    Os {
        /// The word.
        component: String,
        /// Text that the user typed.
        input: String,
    },
    /// A single word that names neither an operating system nor an architecture.
    #[error("\"{0}\": unknown operating system or architecture: invalid argument")]
    Unknown(String),
    /// An asterisk.
    #[error("\"{0}\": wildcards not yet supported: invalid argument")]
    Wildcard(String),
    /// More than three words.
    #[error("\"{0}\": cannot parse platform specifier: invalid argument")]
    TooMany(String),
}

/// Pattern that the first word must match, as Go quotes it.
const OS_PATTERN: &str = r"^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.-]*)((?:\\+[A-Za-z0-9_.-]+)*)\\))?$";
const PATTERN: &str = "^[A-Za-z0-9_-]+$";

impl Platform {
    /// Parses `os`, `architecture`, `os/architecture` or `os/architecture/variant`; what is not said is the host's. After the
    /// operating system its version and features may stand: `windows(10.0.17763.9+win32k)/amd64`.
    pub fn parse(input: &str) -> Result<Self, PlatformError> {
        if input.contains('*') {
            return Err(PlatformError::Wildcard(input.to_owned()));
        }
        let (first, rest) = match input.split_once('/') {
            Some((first, rest)) => (first, Some(rest)),
            None => (input, None),
        };
        let (os, os_version, os_features) = split_os(first).ok_or_else(|| PlatformError::Os {
            component: first.to_owned(),
            input: input.to_owned(),
        })?;
        let rest: Vec<&str> = rest.into_iter().flat_map(|rest| rest.split('/')).collect();
        if let Some(word) = rest.iter().find(|word| !is_word(word)) {
            return Err(PlatformError::Component {
                component: (*word).to_owned(),
                input: input.to_owned(),
                pattern: PATTERN,
            });
        }
        let platform = match *rest.as_slice() {
            [] if is_known_os(&os.to_lowercase()) => Self::of(os, &Self::host().architecture, None),
            [] => {
                let platform = Self::of(&Self::host().os, first, None).normalized();
                if !is_known_architecture(&platform.architecture) {
                    return Err(PlatformError::Unknown(input.to_owned()));
                }
                platform
            }
            [architecture] => Self::of(os, architecture, None),
            [architecture, variant] => Self::of(os, architecture, Some(variant)),
            _ => return Err(PlatformError::TooMany(input.to_owned())),
        };
        Ok(Self { os_version, os_features, ..platform }.normalized())
    }

    fn of(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        Self {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
            ..Self::default()
        }
    }

    /// Returns the platform of this machine. Images for other systems are not run here, so the system is always Linux.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", None),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        Self::of("linux", architecture, variant)
    }

    /// Returns the one spelling of what has several: `x86_64` is `amd64`, `linux/aarch64/v8` is `linux/arm64`.
    #[must_use]
    pub fn normalized(mut self) -> Self {
        self.os = match self.os.to_lowercase().as_str() {
            "macos" => "darwin".to_owned(),
            os => os.to_owned(),
        };
        let variant = self.variant.take().unwrap_or_default().to_lowercase();
        let (architecture, variant) =
            match (self.architecture.to_lowercase().as_str(), variant.as_str()) {
                ("i386", _) => ("386".to_owned(), String::new()),
                ("x86_64" | "x86-64" | "amd64", "" | "v1") => ("amd64".to_owned(), String::new()),
                ("x86_64" | "x86-64" | "amd64", variant) => {
                    ("amd64".to_owned(), variant.to_owned())
                }
                ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64".to_owned(), String::new()),
                ("aarch64" | "arm64", variant) => ("arm64".to_owned(), variant.to_owned()),
                ("armhf", _) | ("arm", "" | "7") => ("arm".to_owned(), "v7".to_owned()),
                ("armel", _) => ("arm".to_owned(), "v6".to_owned()),
                ("arm", variant @ ("5" | "6" | "8")) => ("arm".to_owned(), format!("v{variant}")),
                (architecture, variant) => (architecture.to_owned(), variant.to_owned()),
            };
        self.architecture = architecture;
        self.variant = (!variant.is_empty()).then_some(variant);
        self
    }

    /// Returns how well an image for `offered` runs on this platform: 0 is best, `None` means that it does not.
    ///
    /// An `arm` of a higher version runs lower ones, `arm64` runs 32-bit `arm`, `amd64` runs its lower versions and `386`.
    pub fn preference(&self, offered: &Self) -> Option<usize> {
        let offered = offered.clone().normalized();
        let matches = |wanted: &Self| {
            wanted.os == offered.os
                && wanted.architecture == offered.architecture
                && wanted.variant == offered.variant
                && wanted.suits_version(&offered)
                && wanted.os_features.iter().all(|feature| offered.os_features.contains(feature))
        };
        self.clone().normalized().runs().iter().position(matches)
    }

    /// Says whether an image for `offered` is for this very platform: [`preference`](Self::preference) also takes what would run there.
    /// Configs often lack the variant that goes without saying.
    pub fn is_exactly(&self, offered: &Self) -> bool {
        let (wanted, offered) = (self.clone().normalized(), offered.clone().normalized());
        wanted.os == offered.os
            && wanted.architecture == offered.architecture
            && wanted.variant == offered.variant
            && wanted.suits_version(&offered)
    }

    /// Compares versions of the operating system, which a platform need not say. Of Windows the build decides, not what it was
    /// patched to.
    pub fn suits_version(&self, offered: &Self) -> bool {
        let version = |platform: &Self| platform.os_version.clone().filter(|text| !text.is_empty());
        let (Some(wanted), offered) = (version(self), version(offered)) else { return true };
        if self.os != "windows" {
            return offered.as_ref() == Some(&wanted);
        }
        offered.is_none_or(|offered| wanted.split('.').take(3).eq(offered.split('.').take(3)))
    }

    /// Returns the platform in the form that [`Platform::parse`] takes, with the version and features of the operating system.
    pub fn specifier(&self) -> String {
        let version = self.os_version.as_deref().unwrap_or_default();
        let features: String = self.os_features.iter().flat_map(|name| ["+", name]).collect();
        let text = self.to_string();
        match text.split_once('/') {
            Some((os, rest)) if !(version.is_empty() && features.is_empty()) => {
                format!("{os}({version}{features})/{rest}")
            }
            _ => text,
        }
    }

    /// Lists the specifiers of those platforms that there are, for words that another one is not among them.
    pub fn list_offered(specifiers: impl IntoIterator<Item = String>) -> String {
        let specifiers: Vec<String> = specifiers.into_iter().collect();
        if specifiers.is_empty() { "none that it names".to_owned() } else { specifiers.join(", ") }
    }

    /// Lists what runs on this (normalised) platform, the best first.
    fn runs(&self) -> Vec<Self> {
        let version = |default: u8| {
            let variant = self.variant.as_deref().unwrap_or_default();
            variant.strip_prefix('v').unwrap_or(variant).parse().unwrap_or(default)
        };
        let like = |architecture: &str, variant: Option<String>| {
            Self { architecture: architecture.to_owned(), variant, ..self.clone() }.normalized()
        };
        let mut runs = vec![self.clone()];
        match self.architecture.as_str() {
            "amd64" => {
                runs.extend((1..version(1)).rev().map(|v| like("amd64", Some(format!("v{v}")))));
                runs.push(like("386", None));
            }
            "arm" => runs.extend((5..version(7)).rev().map(|v| like("arm", Some(format!("v{v}"))))),
            "arm64" => {
                if self.variant.is_some() {
                    runs.push(like("arm64", None));
                }
                runs.extend((5..=8).rev().map(|v| like("arm", Some(format!("v{v}")))));
            }
            _ => {}
        }
        runs
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown =
            |word: &str| if word.is_empty() { "unknown".to_owned() } else { word.to_owned() };
        write!(f, "{}/{}", or_unknown(&self.os), or_unknown(&self.architecture))?;
        match &self.variant {
            Some(variant) if !variant.is_empty() => write!(f, "/{variant}"),
            _ => Ok(()),
        }
    }
}

fn is_word(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// Splits `windows(10.0.17763.9+win32k)` into the system, its version and its features.
fn split_os(word: &str) -> Option<(&str, Option<String>, Vec<String>)> {
    let Some((os, rest)) = word.split_once('(') else {
        return is_word(word).then(|| (word, None, Vec::new()));
    };
    let mut options = rest.strip_suffix(')')?.split('+');
    let is_option = |text: &str| {
        text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
    };
    let version = options.next()?;
    let features: Vec<String> = options.map(str::to_owned).collect();
    let valid = is_word(os)
        && is_option(version)
        && features.iter().all(|feature| !feature.is_empty() && is_option(feature));
    valid.then(|| (os, Some(version.to_owned()).filter(|text| !text.is_empty()), features))
}

fn is_known_os(os: &str) -> bool {
    matches!(
        os,
        "aix"
            | "android"
            | "darwin"
            | "dragonfly"
            | "freebsd"
            | "hurd"
            | "illumos"
            | "ios"
            | "js"
            | "linux"
            | "macos"
            | "nacl"
            | "netbsd"
            | "openbsd"
            | "plan9"
            | "solaris"
            | "wasip1"
            | "windows"
            | "zos"
    )
}

fn is_known_architecture(architecture: &str) -> bool {
    matches!(
        architecture,
        "386"
            | "amd64"
            | "amd64p32"
            | "arm"
            | "armbe"
            | "arm64"
            | "arm64be"
            | "loong64"
            | "mips"
            | "mips64"
            | "mips64le"
            | "mips64p32"
            | "mips64p32le"
            | "mipsle"
            | "ppc"
            | "ppc64"
            | "ppc64le"
            | "riscv"
            | "riscv64"
            | "s390"
            | "s390x"
            | "sparc"
            | "sparc64"
            | "wasm"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        Platform::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn has_one_spelling_for_each_platform() {
        let host = Platform::host().architecture;
        for (input, printed) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/arm/6", "linux/arm/v6"),
            ("windows/amd64", "windows/amd64"),
            ("linux", &format!("linux/{host}")),
        ] {
            assert_eq!(platform(input).to_string(), printed, "{input}");
        }
    }

    #[test]
    fn the_version_and_features_of_a_system_are_read_and_compared() {
        for (input, version, features, specifier) in [
            (
                "windows(10.0.17763.9)/amd64",
                Some("10.0.17763.9"),
                &[][..],
                "windows(10.0.17763.9)/amd64",
            ),
            ("Windows()/x86_64", None, &[], "windows/amd64"),
            (
                "windows(10.0+win32k+b)/amd64/v2",
                Some("10.0"),
                &["win32k", "b"],
                "windows(10.0+win32k+b)/amd64/v2",
            ),
            ("macos(+a)/arm64", None, &["a"], "darwin(+a)/arm64"),
            ("linux(_.-)/arm", Some("_.-"), &[], "linux(_.-)/arm/v7"),
        ] {
            let platform = platform(input);
            assert_eq!(platform.os_version.as_deref(), version, "{input}");
            assert_eq!(platform.os_features, features, "{input}");
            assert_eq!(platform.specifier(), specifier);
            assert_eq!(Platform::parse(specifier).unwrap(), platform);
        }
        let alone = platform("windows(10.0)");
        assert_eq!((&*alone.os, alone.os_version.as_deref()), ("windows", Some("10.0")));
        for (wanted, offered, suits) in [
            ("windows(10.0.17763.9)/amd64", "windows(10.0.17763.4010)/amd64", true),
            ("windows(10.0.17763.9)/amd64", "windows(10.0.20348.9)/amd64", false),
            ("windows(10.0.17763.9)/amd64", "windows/amd64", true),
            ("windows/amd64", "windows(10.0.20348.9)/amd64", true),
            ("linux(1.2.3.4)/amd64", "linux(1.2.3.5)/amd64", false),
            ("linux(1)/amd64", "linux/amd64", false),
            ("windows(+win32k)/amd64", "windows/amd64", false),
            ("windows(+win32k)/amd64", "windows(10+b+win32k)/amd64", true),
        ] {
            let found = platform(wanted).preference(&platform(offered));
            assert_eq!(found.is_some(), suits, "{wanted} {offered}");
        }
    }

    #[test]
    fn refuses_with_containerds_sentences() {
        for (input, part) in [
            ("foobar", "\"foobar\": unknown operating system or architecture: invalid argument"),
            (
                "",
                "\"\" is an invalid OS component of \"\": OSAndVersion specifier component must match \"^([A-Za-z0-9_-]+)(?:\\\\((",
            ),
            ("linux/", "\"\" is an invalid component of \"linux/\""),
            (
                "linux/a.b",
                "\"a.b\" is an invalid component of \"linux/a.b\": platform specifier component must match \"^[A-Za-z0-9_-]+$\"",
            ),
            ("a/b/c/d", "cannot parse platform specifier"),
            ("linux/*", "\"linux/*\": wildcards not yet supported: invalid argument"),
            ("windows(10", "\"windows(10\" is an invalid OS component of \"windows(10\""),
            ("windows(10)x/amd64", "\"windows(10)x\" is an invalid OS component"),
            ("windows(10+)/amd64", "\"windows(10+)\" is an invalid OS component"),
            ("windows(1(2))/amd64", "is an invalid OS component"),
            ("(10)/amd64", "\"(10)\" is an invalid OS component"),
            ("windows/amd64(1)", "\"amd64(1)\" is an invalid component"),
            ("amd64(1)", "\"amd64(1)\": unknown operating system or architecture"),
        ] {
            let error = Platform::parse(input).expect_err(input).to_string();
            assert!(error.contains(part), "{input}: {error}");
        }
    }

    #[test]
    fn prefers_the_nearest_that_runs() {
        for (host, offers, best) in [
            ("linux/amd64", &["linux/arm64", "linux/amd64"][..], Some("linux/amd64")),
            ("linux/amd64", &["linux/386"], Some("linux/386")),
            ("linux/amd64", &["linux/386", "linux/amd64"], Some("linux/amd64")),
            ("linux/amd64", &["linux/amd64/v2"], None),
            ("linux/amd64/v3", &["linux/amd64", "linux/amd64/v2"], Some("linux/amd64/v2")),
            ("linux/arm/v7", &["linux/arm/v5", "linux/arm/v6"], Some("linux/arm/v6")),
            ("linux/arm/v6", &["linux/arm/v7"], None),
            ("linux/arm64", &["linux/arm/v6", "linux/arm/v7"], Some("linux/arm/v7")),
            ("linux/arm/v7", &["linux/arm64"], None),
            ("linux/s390x", &["linux/amd64", "windows/s390x"], None),
        ] {
            let host = platform(host);
            let found = offers
                .iter()
                .filter_map(|offer| Some((host.preference(&platform(offer))?, *offer)))
                .min()
                .map(|(_, offer)| offer);
            assert_eq!(found, best, "{host} {offers:?}");
        }
        let unknown = Platform {
            os: "unknown".into(),
            architecture: "unknown".into(),
            ..Platform::default()
        };
        assert_eq!(Platform::host().preference(&unknown), None);
    }
}
