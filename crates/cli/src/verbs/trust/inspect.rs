//! `longshore trust inspect`

use std::collections::BTreeMap;

use go_template::{Listing, Value, json};
use serde::Serialize;
use spec::Reference;
use trust::{Repository, Role, RoleKeys, Target, TrustError};

use super::natural;
use super::notary::{Actions, Notary};
use crate::cells::{row, short_id};
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// The signer's name where only the repository's own key has signed.
const ADMINISTRATOR: &str = "Repo Admin";

/// Return low-level information about keys and signatures
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore trust inspect IMAGE[:TAG] [IMAGE[:TAG]...]")]
pub(crate) struct Arguments {
    /// Print the information in a human friendly format
    #[arg(long)]
    pretty: bool,
    #[arg(hide = true, required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// A repository's signatures and keys, in docker's document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Document<'a> {
    name: &'a str,
    signed_tags: Vec<SignedTag>,
    signers: Vec<Signer>,
    administrative_keys: Vec<Signer>,
}

/// A released tag, and who else has signed the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(in crate::verbs) struct SignedTag {
    #[serde(rename = "SignedTag")]
    pub(in crate::verbs) tag: String,
    pub(in crate::verbs) digest: String,
    pub(in crate::verbs) signers: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Signer {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    keys: Vec<Key>,
}

#[derive(Debug, Serialize)]
struct Key {
    #[serde(rename = "ID")]
    id: String,
}

/// The signatures and keys that are known of an image or a repository.
struct Found {
    tags: Vec<SignedTag>,
    administrators: [RoleKeys; 2],
    delegations: Vec<RoleKeys>,
}

/// Shows signatures and keys.
pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<(), CliError> {
    if arguments.pretty {
        for (at, image) in arguments.images.iter().enumerate() {
            if at > 0 {
                output::print("\n\n")?;
            }
            output::print(&pretty(image, look_up(image, session).await?)?)?;
        }
        return Ok(());
    }
    let (mut documents, mut errors) = (Vec::new(), Vec::new());
    for image in &arguments.images {
        match look_up(image, session).await {
            Ok(found) => documents.push(document(image, found)?),
            Err(error) => errors.push(error),
        }
    }
    let text = match documents.as_slice() {
        [] => "[]".to_owned(),
        documents => json::indent(&format!("[{}]", documents.join(","))),
    };
    output::print_line(&text)?;
    if errors.is_empty() { Ok(()) } else { Err(CliError::Several(errors)) }
}

async fn look_up(image: &str, session: &Session) -> Result<Found, CliError> {
    let reference = Reference::parse_familiar(image)?;
    let notary = Notary::open(session, reference.repository(), Actions::Read).await?;
    let inaccessible = |error: TrustError| {
        // Docker says no more; its reason is for who asks for it.
        tracing::debug!("{}", error.about(&notary.name));
        CliError::Trust(format!("no signatures or cannot access {image}"))
    };
    let repository = notary.update().await.map_err(inaccessible)?;
    let tag = reference.tag().filter(|_| reference.digest().is_none());
    let tags = match repository.all_targets(tag.map(spec::Tag::as_str)) {
        Ok(targets) => released(&targets),
        Err(TrustError::NoSuchTarget(_)) => Vec::new(),
        Err(error) => return Err(inaccessible(error)),
    };
    let delegations = delegations(&repository);
    Ok(Found { tags, administrators: repository.administrators(), delegations })
}

fn delegations(repository: &Repository) -> Vec<RoleKeys> {
    let roles = repository.delegations().unwrap_or_else(|error| {
        tracing::debug!(%error, "no delegation roles");
        Vec::new()
    });
    roles.into_iter().filter(|role| !role.name.is_released()).collect()
}

/// Returns the released tags, each with the signers who say the same of it.
pub(in crate::verbs) fn released(targets: &[Target]) -> Vec<SignedTag> {
    let key = |target: &Target| (target.name.clone(), target.meta.sha256().unwrap_or_default());
    let mut rows: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for target in targets.iter().filter(|target| target.role.is_released()) {
        rows.entry(key(target)).or_default();
    }
    for target in targets.iter().filter(|target| !target.role.is_released()) {
        if let Some(signers) = rows.get_mut(&key(target)) {
            signers.push(target.role.signer().to_owned());
        }
    }
    let row = |((tag, digest), signers)| SignedTag { tag, digest, signers };
    let mut rows: Vec<SignedTag> = rows.into_iter().map(row).collect();
    rows.sort_by(|left, right| natural::compare(&left.tag, &right.tag));
    rows
}

fn document(image: &str, found: Found) -> Result<String, CliError> {
    let signer = |name: &str, keys: Vec<String>| Signer {
        name: name.to_owned(),
        keys: keys.into_iter().map(|id| Key { id }).collect(),
    };
    let mut signed_tags = found.tags;
    for tag in &mut signed_tags {
        if tag.signers.is_empty() {
            tag.signers.push(ADMINISTRATOR.to_owned());
        }
    }
    let roles = found.delegations.into_iter();
    let mut signers: Vec<Signer> =
        roles.map(|role| signer(role.name.signer(), role.keys)).collect();
    signers.sort_by(|left, right| right.name.cmp(&left.name));
    let [root, targets] = found.administrators;
    let administrative_keys = vec![signer("Root", root.keys), signer("Repository", targets.keys)];
    let document = Document { name: image, signed_tags, signers, administrative_keys };
    serde_json::to_string(&document).map_err(CliError::AnswerJson)
}

fn pretty(image: &str, found: Found) -> Result<String, CliError> {
    let mut parts = if found.tags.is_empty() {
        vec![format!("\nNo signatures for {image}\n\n")]
    } else {
        vec![format!("\nSignatures for {image}\n\n"), signatures(found.tags)?]
    };
    if !found.delegations.is_empty() {
        parts.push(format!("\nList of signers and their keys for {image}\n\n"));
        parts.push(signers(found.delegations)?);
    }
    parts.push(format!("\nAdministrative keys for {image}\n\n"));
    let [root, targets] = found.administrators;
    for (name, mut role) in [("Repository Key", targets), ("Root Key", root)] {
        role.keys.sort_unstable();
        parts.push(format!("  {name}:\t{}\n", role.keys.join(", ")));
    }
    Ok(parts.concat())
}

fn signatures(tags: Vec<SignedTag>) -> Result<String, CliError> {
    const HEADERS: [(&str, &str); 3] =
        [("SignedTag", "SIGNED TAG"), ("Digest", "DIGEST"), ("Signers", "SIGNERS")];
    let rows = tags.into_iter().map(|mut tag| {
        if tag.signers.is_empty() {
            tag.signers.push(format!("({ADMINISTRATOR})"));
        }
        tag.signers.sort_unstable();
        let signers = tag.signers.join(", ");
        let fields = [("SignedTag", tag.tag), ("Digest", tag.digest), ("Signers", signers)];
        row("*trust.trustTagContext", fields)
    });
    let rows: Vec<Value> = rows.collect();
    let format = "table {{.SignedTag}}\t{{.Digest}}\t{{.Signers}}";
    Ok(Listing { format, headers: &HEADERS }.render(&rows)?)
}

fn signers(mut roles: Vec<RoleKeys>) -> Result<String, CliError> {
    const HEADERS: [(&str, &str); 2] = [("Signer", "SIGNER"), ("Keys", "KEYS")];
    let name = |role: &RoleKeys| Role::signer(&role.name).to_owned();
    roles.sort_by(|left, right| natural::compare(&name(left), &name(right)));
    let rows = roles.into_iter().map(|role| {
        let mut keys = role.keys.clone();
        keys.sort_unstable();
        let keys: Vec<String> = keys.iter().map(|key| short_id(key)).collect();
        row("*trust.signerInfoContext", [("Signer", name(&role)), ("Keys", keys.join(", "))])
    });
    let rows: Vec<Value> = rows.collect();
    Ok(Listing { format: "table {{.Signer}}\t{{.Keys}}", headers: &HEADERS }.render(&rows)?)
}
