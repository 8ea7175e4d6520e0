//! The registries that something is configured for, and their mirrors, asked as a pull would ask them.

use std::collections::BTreeSet;

use api::Query;
use api::registry::{Endpoint, RegistryCheck};

use super::checks::{Check, Patient, failed};
use super::finding::Finding;
use crate::client::{Call, Client};
use crate::credentials::{ConfigFile, Store, ambient, ambient_entries, host_of, key_of_domain};
use crate::error::CliError;
use crate::hints::{self, Subject};
use crate::verbs::registry::check::outcome;

/// The registry of names without a host.
const HUB: &str = "docker.io";

impl Check {
    /// Asks each registry that something is configured for.
    pub(super) async fn network(self, patient: &Patient) -> Vec<Finding> {
        let client = match patient.session.in_process_quietly() {
            Ok(client) => client,
            Err(error) => return vec![failed(self.name(), &error)],
        };
        // What is wrong with the file, or with the logins of the environment, is told above.
        let folder = patient.session.config_directory();
        let store = Store::open_quietly(folder).unwrap_or_else(|_| Store::empty(folder));
        let (mut answered, mut found) = (Vec::new(), Vec::new());
        for host in hosts(patient) {
            match ask(&client, &store, &host).await {
                Ok(check) => answered.push((host, check)),
                Err(error) => found.push(failed(self.name(), &error)),
            }
        }
        client.close().await;
        // A mirror with a folder of its own is asked as a registry, too, and told of once.
        let endpoints = answered.iter().flat_map(|(_, check)| &check.endpoints);
        let mirrors: BTreeSet<String> = endpoints
            .filter(|endpoint| endpoint.mirror)
            .map(|endpoint| host_of(&endpoint.url).to_owned())
            .collect();
        let told = answered.iter().filter(|(host, _)| !mirrors.contains(host));
        found.extend(told.flat_map(|(host, check)| self.answers(host, check)));
        found
    }

    fn answers(self, host: &str, check: &RegistryCheck) -> Vec<Finding> {
        // A registry that may be asked over plain HTTP is tried by TLS first, which is no fault.
        let works = check.endpoints.iter().any(|endpoint| !endpoint.mirror && endpoint.works);
        let counts = |endpoint: &&Endpoint| endpoint.mirror || endpoint.works || !works;
        check.endpoints.iter().filter(counts).map(|endpoint| self.answer(host, endpoint)).collect()
    }

    fn answer(self, host: &str, endpoint: &Endpoint) -> Finding {
        let said = if endpoint.mirror {
            format!("{}, for {host}", endpoint.url)
        } else {
            endpoint.url.clone()
        };
        if endpoint.works {
            return self.well(format!("{said}: answers"));
        }
        let asked = if endpoint.mirror { host_of(&endpoint.url) } else { host };
        let all = || format!("`longshore registry check {host}` shows each step");
        let Some(last) = endpoint.requests.last() else {
            return self.bad(format!("{said}: it was not asked"), all());
        };
        let fault = last.error.clone().unwrap_or_else(|| outcome(last, asked));
        let subject = Subject::registry(Some(asked)).with_ambient(ambient());
        let advice = hints::of_answer(&fault, last.status, &subject);
        self.bad(format!("{said}: {fault}"), advice.unwrap_or_else(all))
    }
}

/// Returns the registries that something is configured for, and Docker Hub.
fn hosts(patient: &Patient) -> BTreeSet<String> {
    let file = ConfigFile::load(patient.session.config_directory());
    let servers = file.map(|file| file.servers()).unwrap_or_default();
    let ambient = ambient_entries().unwrap_or_default();
    let ambient = ambient.iter().map(|entry| host_of(&entry.serveraddress).to_owned());
    let of_files = patient.surveyed.iter().map(|one| one.registry.clone());
    let all = of_files.filter(|name| name != "_default").chain(servers).chain(ambient);
    let others = all.filter(|host| key_of_domain(host) != key_of_domain(HUB));
    others.chain([HUB.to_owned()]).collect()
}

async fn ask(client: &Client, store: &Store, host: &str) -> Result<RegistryCheck, CliError> {
    let auth = store.get_or_warn(key_of_domain(host)).await;
    let query = Query::new().with("name", format!("{host}/"));
    let call = Call { query, registry_auth: Some(auth.encode()), ..Call::default() };
    client.get("/longshore/registry/check", call).await?.json().await
}
