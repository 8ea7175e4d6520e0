//! The table of directives: the keys of `daemon.json`, most of which are also the daemon's flags.
//!
//! A directive is one row here. Beside it, `verbs/daemon.rs` of the command line decides on its flag (and does not compile before),
//! `docs/daemon.md` has its line (a test compares), and who uses the setting gets it from [`DaemonConfig`].
//!
//! The row has its key, the type in which it is written, the setting that is made of it with its default and its check, the place of
//! SIGHUP, and a line of documentation. The macro makes of the rows what is said ([`Directives`]), what holds ([`DaemonConfig`]), and
//! what a reload takes over. A row without its word on reloading does not compile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use api::ApiVersion;
use engine::Limits;
use policy::Verifiers;
use registry::RegistryConfig;
use serde::{Deserialize, Serialize};
use store::DriverKind;

use super::address::ListenAddress;
use super::error::ConfigError;
use super::proxies::Proxies;
use super::settings::{
    DEFAULT_GROUP, Defaults, Group, KeepBlobs, KeepBlobsDirective, LogFormat, PruneDirective,
    PruneSchedule, SHUTDOWN_TIMEOUT, TLS_AUTHORITY, TLS_CERTIFICATE, TLS_KEY, VerifiersDirective,
};
use super::values::{
    addresses, api_version, driver, features, graph, group, keep_blobs, labels, level, list,
    log_format, number, optional_path, optional_text, path, plugins, policy_file, remap, said,
    schedule, seconds, set, storage_options, switches, timeout, told_timeout, verifiers,
};

/// The effect of SIGHUP on a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// None: the setting is that of the start.
    Start,
    /// It is taken over.
    Taken,
    /// It is taken over, and told in the event of the reload, as dockerd does.
    Told,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Directive {
    field: &'static str,
    /// A line of documentation.
    pub doc: &'static str,
    /// The effect of SIGHUP.
    pub reload: Reload,
    /// A value in JSON that is not the default.
    pub example: &'static str,
}

impl Directive {
    /// The key in the file.
    pub fn key(&self) -> String {
        self.field.replace('_', "-")
    }
}

/// The value that holds after a reload.
macro_rules! reloaded {
    (Start, $old:expr, $new:expr) => {
        $old.clone()
    };
    (Taken, $old:expr, $new:expr) => {
        $new.clone()
    };
    (Told, $old:expr, $new:expr) => {
        $new.clone()
    };
}

/// Makes types of three kinds of rows:
///
/// - `settings`: directives with a setting of the same name;
/// - `parts`: directives that take part in other settings, or that are only checked;
/// - `others`: settings that no directive has the name of.
macro_rules! directives {
    (
        settings { $(
            $(#[doc = $doc:literal])+
            $name:ident: $said:ty => $setting:ty = $default:expr,
                $check:expr, $reload:ident $(($told:expr))?, $example:literal;
        )+ }
        parts { $(
            $(#[doc = $part_doc:literal])+
            $part:ident: $part_said:ty, $part_check:expr, $part_reload:ident, $part_example:literal;
        )+ }
        others { $(
            $(#[doc = $other_doc:literal])+
            $other:ident: $other_setting:ty = $other_default:expr, $other_reload:ident;
        )+ }
    ) => {
        /// Every directive that means something here, each set or not: what a file or a command line says.
        ///
        /// The names in the file are the fields' with hyphens.
        #[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub struct Directives {
            $(
                $(#[doc = $doc])+
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $name: Option<$said>,
            )+
            $(
                $(#[doc = $part_doc])+
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $part: Option<$part_said>,
            )+
        }

        /// A daemon's configuration, checked.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct DaemonConfig {
            $( $(#[doc = $doc])+ pub $name: $setting, )+
            $( $(#[doc = $other_doc])+ pub $other: $other_setting, )+
        }

        impl Directives {
            /// All directives.
            pub const TABLE: &[Directive] = &[
                $( Directive {
                    field: stringify!($name),
                    doc: concat!($($doc),+),
                    reload: Reload::$reload,
                    example: $example,
                }, )+
                $( Directive {
                    field: stringify!($part),
                    doc: concat!($($part_doc),+),
                    reload: Reload::$part_reload,
                    example: $part_example,
                }, )+
            ];
        }

        impl DaemonConfig {
            /// The configuration of an empty file and no flags.
            pub fn new(defaults: Defaults) -> Self {
                fn value<T>(default: fn(&Defaults) -> T, defaults: &Defaults) -> T {
                    default(defaults)
                }
                Self {
                    $( $name: value($default, &defaults), )+
                    $( $other: value($other_default, &defaults), )+
                }
            }

            /// Checks directives, and takes them over.
            pub(super) fn apply(&mut self, directives: &Directives) -> Result<(), ConfigError> {
                $( if let Some(said) = &directives.$name {
                    $check(said.clone(), &mut self.$name)?;
                } )+
                $( if let Some(said) = &directives.$part {
                    let check: fn($part_said, &Directives, &mut Self) -> Result<(), ConfigError> =
                        $part_check;
                    check(said.clone(), directives, self)?;
                } )+
                Ok(())
            }

            /// The configuration after a reload that found `new`: what SIGHUP does not change is as it was.
            #[must_use]
            pub(crate) fn reloaded(&self, new: &Self) -> Self {
                Self {
                    $( $name: reloaded!($reload, self.$name, new.$name), )+
                    $( $other: reloaded!($other_reload, self.$other, new.$other), )+
                }
            }

            /// The settings that the event of a reload tells.
            pub(crate) fn told(&self) -> BTreeMap<String, String> {
                let mut told = BTreeMap::new();
                $( $( told.insert(stringify!($name).replace('_', "-"), $told(&self.$name)); )? )+
                told
            }

            /// The names of the settings in which two configurations differ.
            #[cfg(test)]
            pub(crate) fn differences(&self, other: &Self) -> Vec<&'static str> {
                let differ = [
                    $( (stringify!($name), self.$name != other.$name), )+
                    $( (stringify!($other), self.$other != other.$other), )+
                ];
                differ.into_iter().filter(|(_, differ)| *differ).map(|(name, _)| name).collect()
            }
        }
    };
}

directives! {
    settings {
        /// Addresses to listen on: `unix:///path`, `tcp://host:port` or `fd://`.
        hosts: Vec<String> => Vec<ListenAddress> = |defaults| defaults.hosts.clone(),
            addresses, Start, r#"["tcp://127.0.0.1:2375"]"#;
        /// TLS for TCP.
        tls: bool => Option<bool> = |_| None, said, Start, "true";
        /// TLS for TCP, and whether clients must show a certificate.
        tlsverify: bool => Option<bool> = |_| None, said, Start, "true";
        /// Authority of clients' certificates, in PEM.
        tlscacert: String => PathBuf = |defaults| defaults.tls_dir.join(TLS_AUTHORITY),
            path, Start, r#""/ca""#;
        /// Certificate of the daemon and its chain, in PEM.
        tlscert: String => PathBuf = |defaults| defaults.tls_dir.join(TLS_CERTIFICATE),
            path, Start, r#""/cert""#;
        /// Key of the daemon, in PEM.
        tlskey: String => PathBuf = |defaults| defaults.tls_dir.join(TLS_KEY),
            path, Start, r#""/key""#;
        /// Permission to answer Longshore's own routes over TCP without TLS. Longshore's own.
        insecure_tcp_routes: bool => bool = |_| false, set, Taken, "true";
        /// File for the daemon's process ID.
        pidfile: String => Option<PathBuf> = |_| None, optional_path, Start, r#""/pid""#;
        /// Address of the metrics, `host:port`, over plain HTTP.
        metrics_addr: String => Option<String> = |_| None,
            optional_text, Start, r#""127.0.0.1:9323""#;
        /// Group that may use the unix socket, by name or number.
        group: String => Group = |_| Group { name: DEFAULT_GROUP.to_owned(), required: false },
            group, Start, r#""wheel""#;
        /// Directory that holds everything.
        data_root: String => PathBuf = |defaults| defaults.data_root.clone(),
            path, Start, r#""/d""#;
        /// Storage driver, `overlay2` or `packed`; else that of the data root, or the best that works.
        storage_driver: String => Option<DriverKind> = |_| None, driver, Start, r#""packed""#;
        /// Content kept of images that are unpacked: `all`, or `manifests` without their compressed layers. Longshore's own.
        keep_blobs: KeepBlobsDirective => KeepBlobs = |_| KeepBlobs::All,
            keep_blobs, Start, r#""manifests""#;
        /// Prunes by the clock, each `interval`, of what `keep-last`, `unused-for`, `max-size`, `reference` and `filter` leave.
        /// Longshore's own.
        prune: PruneDirective => Option<PruneSchedule> = |_| None, schedule, Taken,
            r#"{"interval": "7d", "keep-last": 3, "reference": ["ci/*"]}"#;
        /// Policy that images are pulled by, a `policy.json` of containers/image; all are allowed without one. Longshore's own.
        image_policy: String => Option<PathBuf> = |_| None, policy_file, Taken,
            r#""/etc/containers/policy.json""#;
        /// Programs that are asked of each image that is pulled: each file of `directory`, for `timeout`, with `credentials` or
        /// without. Longshore's own.
        image_verifiers: VerifiersDirective => Option<Verifiers> = |_| None, verifiers, Taken,
            r#"{"directory": "/opt/verifiers", "timeout": "5s"}"#;
        /// URLs of mirrors of Docker Hub, asked first and in this order.
        registry_mirrors: Vec<String> => Vec<String> = |_| Vec::new(),
            set, Told(list), r#"["https://mirror.example"]"#;
        /// Names or networks of registries that may be reached over plain HTTP or without a valid certificate.
        insecure_registries: Vec<String> => Vec<String> = |_| Vec::new(),
            set, Told(list), r#"["10.0.0.0/8"]"#;
        /// Names or networks of registries that layers may be pushed to although they are not to be redistributed, and
        /// that such layers may be fetched from although their addresses are not public.
        allow_nondistributable_artifacts: Vec<String> => Vec<String> = |_| Vec::new(),
            set, Told(list), r#"["registry.example"]"#;
        /// Permission to pull images of schema 1, and to push such to registries that take no other. Longshore's own; the variable
        /// `DOCKER_ENABLE_DEPRECATED_PULL_SCHEMA_1_IMAGE` is the same.
        allow_schema1: bool => bool = |defaults| defaults.allow_schema1, set, Taken, "true";
        /// Layers downloaded at the same time.
        max_concurrent_downloads: i64 => usize = |_| Limits::default().downloads,
            number("max concurrent downloads"), Told(usize::to_string), "7";
        /// Layers uploaded at the same time.
        max_concurrent_uploads: i64 => usize = |_| Limits::default().uploads,
            number("max concurrent uploads"), Told(usize::to_string), "7";
        /// Attempts at one layer before a pull fails.
        max_download_attempts: i64 => u32 = |_| Limits::default().attempts,
            number("max download attempts"), Told(u32::to_string), "7";
        /// Seconds with less than 1 KiB after which a transfer is tried again. Longshore's own.
        stall_timeout: i64 => Duration = |_| RegistryConfig::default().stall_timeout,
            seconds("stall timeout"), Taken, "7";
        /// Seconds that running requests get when the daemon stops; without end if negative.
        shutdown_timeout: i64 => Option<Duration> = |_| Some(SHUTDOWN_TIMEOUT),
            timeout, Told(told_timeout), "-1";
        /// Debug messages in the log, whatever `log-level` says.
        debug: bool => bool = |_| false, set, Told(bool::to_string), "true";
        /// Least important messages to log: `debug`, `info`, `warn`, `error` or `fatal`.
        log_level: String => tracing::Level = |_| tracing::Level::INFO, level, Taken, r#""warn""#;
        /// Format of the log, `text` or `json`.
        log_format: String => LogFormat = |_| LogFormat::default(), log_format, Start, r#""json""#;
        /// Labels of the daemon, `name=value`.
        labels: Vec<String> => Vec<String> = |_| Vec::new(), labels, Told(list), r#"["a=1"]"#;
        /// Switches of dockerd's, by name. None changes anything here.
        features: BTreeMap<String, bool> => BTreeMap<String, bool> = |_| BTreeMap::new(),
            features, Told(switches), r#"{"x": true}"#;
        /// Oldest version of the API that is answered.
        min_api_version: String => ApiVersion = |_| ApiVersion::MINIMUM,
            api_version, Start, r#""1.40""#;
    }
    parts {
        /// Old name of `data-root`.
        graph: String,
            |said, directives, config| {
                let is_alone = directives.data_root.is_none();
                graph(said, is_alone, &mut config.data_root, &mut config.warnings)
            },
            Start, r#""/g""#;
        /// Options of the storage driver, `name=value`. None changes anything here.
        storage_opts: Vec<String>, |said, _, config| storage_options(said, &mut config.warnings),
            Start, r#"["overlay2.size=10G"]"#;
        /// Proxy for plain HTTP.
        http_proxy: String, |said, _, config| optional_text(said, &mut config.proxies.http),
            Taken, r#""http://proxy""#;
        /// Proxy for HTTPS.
        https_proxy: String, |said, _, config| optional_text(said, &mut config.proxies.https),
            Taken, r#""http://proxy""#;
        /// Hosts that are reached without a proxy.
        no_proxy: String, |said, _, config| optional_text(said, &mut config.proxies.no_proxy),
            Taken, r#""localhost""#;
        /// Log without colours, which is always so.
        raw_logs: bool, |_, _, _| Ok(()), Start, "true";
        /// Plugins that judge each request: there are none here, so that a daemon that should ask one does not start.
        authorization_plugins: Vec<String>, |said, _, _| plugins(&said), Start, "[]";
        /// User whose subordinate IDs own the files of images: nothing is shifted here, so that a daemon that should do so
        /// does not start.
        userns_remap: String, |said, _, _| remap(&said), Start, r#""""#;
    }
    others {
        /// Proxies to registries.
        proxies: Proxies = |defaults| defaults.proxies.clone(), Taken;
        /// Directories with certificates of registries.
        certs_dirs: Vec<PathBuf> = |defaults| defaults.certs_dirs.clone(), Start;
        /// Sentences for the log that the user should know of the file.
        warnings: Vec<String> = |_| Vec::new(), Start;
    }
}

impl Directives {
    /// Says whether `key` is a directive's.
    pub(super) fn has(key: &str) -> bool {
        Self::TABLE.iter().any(|directive| directive.key() == key)
    }

    /// Returns the directive that may have been meant.
    pub(super) fn nearest(key: &str) -> Option<String> {
        let keys: Vec<_> = Self::TABLE.iter().map(Directive::key).collect();
        spec::nearest(key, keys.iter().map(String::as_str)).map(str::to_owned)
    }
}
