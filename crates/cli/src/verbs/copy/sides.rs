//! The two sides of a copy: credentials, authorities and insecure registries of each.

use std::path::PathBuf;

use copy::{Credentials, Place, RegistryConfig, Side};
use spec::Reference;

use crate::error::CliError;
use crate::session::Session;
use crate::{input, terminal};

/// Flags of the two sides.
#[derive(Debug, clap::Args)]
pub(crate) struct Sides {
    /// Log in at the source's registry with these credentials instead of those of `longshore login`
    #[arg(long, value_name = "USER[:PASSWORD]")]
    src_creds: Option<String>,
    /// Log in at the destination's registry with these credentials instead of those of `longshore login`
    #[arg(long, value_name = "USER[:PASSWORD]")]
    dest_creds: Option<String>,
    /// Look here first for the certificates and the hosts.toml of the source's registry, in a directory of its name
    #[arg(long, value_name = "directory")]
    src_certs_dir: Option<PathBuf>,
    /// Look here first for the certificates and the hosts.toml of the destination's registry, in a directory of its name
    #[arg(long, value_name = "directory")]
    dest_certs_dir: Option<PathBuf>,
    /// Reach the source's registry over plain HTTP or with any certificate
    #[arg(long)]
    src_insecure: bool,
    /// Reach the destination's registry over plain HTTP or with any certificate
    #[arg(long)]
    dest_insecure: bool,
    /// Insist on a good certificate of the source's registry; false means --src-insecure
    #[arg(long, hide = true)]
    src_tls_verify: Option<bool>,
    /// Insist on a good certificate of the destination's registry; false means --dest-insecure
    #[arg(long, hide = true)]
    dest_tls_verify: Option<bool>,
}

/// The flags of one side.
struct Flags<'a> {
    credentials: Option<&'a str>,
    certs_dir: Option<&'a PathBuf>,
    insecure: bool,
}

impl Sides {
    /// Makes both sides: one and the same where nothing tells them apart, so that they share connections.
    pub(crate) async fn open(
        &self,
        session: &Session,
        from: &Place,
        to: &Place,
    ) -> Result<(Side, Side), CliError> {
        let config = session.registries()?;
        let source = Flags {
            credentials: self.src_creds.as_deref(),
            certs_dir: self.src_certs_dir.as_ref(),
            insecure: self.src_insecure || self.src_tls_verify == Some(false),
        };
        let target = Flags {
            credentials: self.dest_creds.as_deref(),
            certs_dir: self.dest_certs_dir.as_ref(),
            insecure: self.dest_insecure || self.dest_tls_verify == Some(false),
        };
        let reading = source.side(&config, from).await?.trusting(session.trust()?);
        if !source.says_something() && !target.says_something() {
            return Ok((reading.clone(), reading));
        }
        Ok((reading, target.side(&config, to).await?))
    }
}

impl Sides {
    /// Returns the flags that give logins, with the repositories that they are for.
    pub(super) fn logins(&self, from: &Place, to: &Place) -> Vec<(Reference, &'static str)> {
        let given =
            [(from, &self.src_creds, "--src-creds"), (to, &self.dest_creds, "--dest-creds")];
        let mut logins = Vec::new();
        for (place, credentials, flag) in given {
            if let (Place::Registry(name), Some(_)) = (place, credentials) {
                logins.push((name.clone(), flag));
            }
        }
        logins
    }
}

impl Flags<'_> {
    fn says_something(&self) -> bool {
        self.credentials.is_some() || self.certs_dir.is_some() || self.insecure
    }

    async fn side(&self, config: &RegistryConfig, place: &Place) -> Result<Side, CliError> {
        let mut config = config.clone();
        config.certs_dirs.splice(0..0, self.certs_dir.cloned());
        config.insecure.extend(place.registry().filter(|_| self.insecure).map(str::to_owned));
        let credentials = match self.credentials {
            Some(text) => Some(credentials(text).await?),
            None => None,
        };
        Ok(Side::new(config, credentials, std::env::temp_dir())?)
    }
}

/// Reads `USER:PASSWORD`; asks for the password where it is missing.
async fn credentials(text: &str) -> Result<Credentials, CliError> {
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, password.to_owned()),
        None if !terminal::reads_terminal() => {
            let message =
                format!("no password of {text} is given, and there is no terminal to ask at");
            let hint =
                "write USER:PASSWORD, or log in by `longshore login --password-stdin` before"
                    .to_owned();
            return Err(CliError::Refused(message).advised(Some(hint)));
        }
        None => (text, input::ask_secretly(&format!("Password of {text}: ")).await?),
    };
    if user.is_empty() || password.is_empty() {
        let message = "credentials are written USER:PASSWORD, and neither may be empty";
        return Err(CliError::Refused(message.to_owned()));
    }
    Ok(Credentials::Basic { username: user.to_owned(), password })
}
