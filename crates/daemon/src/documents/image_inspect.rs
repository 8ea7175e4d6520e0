//! The document of `GET /images/{name}/json`, for clients of each version of the API.
//!
//! Newer versions leave out what is empty; older ones printed it, and their clients rely on it. The steps are those of
//! dockerd 29: API 1.44, 1.45, 1.50 and 1.52.

use api::ApiVersion;
use api::image::{GraphDriver, ImageInspect, Metadata, RootFs, ZERO_TIME};
use engine::ImageDetails;
use serde_json::{Map, Value, json};

/// The fields of a container config that an image's config can have. The rest of what Docker once wrote into images,
/// such as `Hostname`, says nothing about the image.
const CONFIG_FIELDS: [&str; 13] = [
    "ArgsEscaped",
    "Cmd",
    "Entrypoint",
    "Env",
    "ExposedPorts",
    "Healthcheck",
    "Labels",
    "OnBuild",
    "Shell",
    "StopSignal",
    "User",
    "Volumes",
    "WorkingDir",
];

/// The document for a client that speaks `version`.
pub(crate) fn document(details: ImageDetails, version: ApiVersion) -> ImageInspect {
    shape(complete(details), version)
}

/// The document with everything that is known.
fn complete(details: ImageDetails) -> ImageInspect {
    ImageInspect {
        architecture: details.platform.architecture,
        author: details.author,
        comment: Some(details.comment),
        config: details.config,
        container: None,
        container_config: None,
        created: details.created,
        descriptor: details.descriptor,
        docker_version: details.docker_version,
        graph_driver: Some(GraphDriver {
            data: Some(details.graph_driver.data),
            name: details.graph_driver.name,
        }),
        id: details.id.to_string(),
        identity: super::identity::identity(details.verified),
        manifests: details
            .manifests
            .map(|manifests| manifests.into_iter().map(super::images::manifest).collect()),
        metadata: details
            .last_tag_time
            .map_or_else(Metadata::default, |last_tag_time| Metadata { last_tag_time }),
        os: details.platform.os,
        os_version: details.platform.os_version,
        parent: details.parent.map(|parent| parent.to_string()),
        repo_digests: details.repo_digests,
        repo_tags: details.repo_tags,
        root_fs: RootFs {
            layers: details.layers.iter().map(ToString::to_string).collect(),
            kind: "layers".to_owned(),
        },
        size: details.size,
        variant: details.platform.variant,
        virtual_size: None,
    }
}

/// Adds and leaves out what a client that speaks `version` expects.
fn shape(document: ImageInspect, version: ApiVersion) -> ImageInspect {
    let old = |minor: u32| !version.at_least(minor);
    let given = |value: Option<String>| value.filter(|value| !value.is_empty());
    // Printed empty up to 1.51, left out when empty from then on.
    let text = |value| given(value).or_else(|| old(52).then(String::new));
    ImageInspect {
        author: text(document.author),
        comment: text(document.comment),
        config: Some(config(document.config, version)),
        container: old(45).then(String::new),
        container_config: old(45).then(|| Value::Object(legacy_fields(ApiVersion::MINIMUM))),
        created: given(document.created).or_else(|| old(44).then(|| ZERO_TIME.to_owned())),
        docker_version: text(document.docker_version),
        os_version: given(document.os_version),
        parent: text(document.parent),
        variant: given(document.variant),
        virtual_size: old(44).then_some(document.size),
        ..document
    }
}

/// The config that a client of `version` expects: known fields, and those that it expects even when empty.
fn config(config: Option<Value>, version: ApiVersion) -> Value {
    let given = match config {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let mut shown = legacy_fields(version);
    for (name, value) in given {
        if CONFIG_FIELDS.contains(&name.as_str()) && !is_empty(&value) {
            shown.insert(name, value);
        }
    }
    Value::Object(shown)
}

/// The fields that clients of `version` get even when the image does not have them.
fn legacy_fields(version: ApiVersion) -> Map<String, Value> {
    let fields = if version.at_least(52) {
        json!({})
    } else if version.at_least(50) {
        json!({
            "Cmd": null, "Entrypoint": null, "Env": null, "Labels": null, "OnBuild": null, "User": "",
            "Volumes": null, "WorkingDir": "",
        })
    } else {
        json!({
            "AttachStderr": false, "AttachStdin": false, "AttachStdout": false, "Cmd": null, "Domainname": "",
            "Entrypoint": null, "Env": null, "Hostname": "", "Image": "", "Labels": null, "OnBuild": null,
            "OpenStdin": false, "StdinOnce": false, "Tty": false, "User": "", "Volumes": null, "WorkingDir": "",
        })
    };
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

/// True for a value that Go leaves out under `omitempty`.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nginx() -> ImageInspect {
        ImageInspect {
            id: "sha256:2de1".into(),
            repo_tags: vec!["nginx:latest".into()],
            comment: Some(String::new()),
            config: Some(json!({
                "Cmd": ["nginx"], "Hostname": "a1b2", "Entrypoint": [], "ExposedPorts": {"80/tcp": {}},
                "Image": "sha256:old", "User": "",
            })),
            graph_driver: Some(GraphDriver { name: "overlay2".into(), data: None }),
            size: 2_665_277,
            ..ImageInspect::default()
        }
    }

    fn shaped(version: &str) -> Map<String, Value> {
        let document = shape(nginx(), version.parse().unwrap());
        serde_json::to_value(document).unwrap().as_object().unwrap().clone()
    }

    #[test]
    fn the_current_version_leaves_out_what_is_empty() {
        let document = shaped("1.55");
        let names: Vec<_> = document.keys().map(String::as_str).collect();
        let expected = [
            "Architecture",
            "Config",
            "GraphDriver",
            "Id",
            "Metadata",
            "Os",
            "RepoDigests",
            "RepoTags",
            "RootFS",
            "Size",
        ];
        assert_eq!(names, expected);
        assert_eq!(document["Config"], json!({"Cmd": ["nginx"], "ExposedPorts": {"80/tcp": {}}}));
        assert_eq!(document["Metadata"], json!({"LastTagTime": "0001-01-01T00:00:00Z"}));
        assert_eq!(document["RepoDigests"], json!([]));
    }

    #[test]
    fn api_1_50_is_as_recorded() {
        let document = shaped("1.50");
        for name in ["Author", "Comment", "DockerVersion", "Parent"] {
            assert_eq!(document[name], "", "{name}");
        }
        let expected = json!({
            "Cmd": ["nginx"], "Entrypoint": null, "Env": null, "ExposedPorts": {"80/tcp": {}}, "Labels": null,
            "OnBuild": null, "User": "", "Volumes": null, "WorkingDir": "",
        });
        assert_eq!(document["Config"], expected);
        for name in ["VirtualSize", "Container", "ContainerConfig", "Created"] {
            assert!(!document.contains_key(name), "{name}");
        }
    }

    #[test]
    fn each_older_version_prints_more() {
        assert_eq!(shaped("1.49")["Config"]["Hostname"], "");
        assert_eq!(shaped("1.44")["Container"], "");
        assert_eq!(shaped("1.44")["ContainerConfig"]["Tty"], false);
        assert!(!shaped("1.44").contains_key("VirtualSize"));
        let oldest = shaped("1.12");
        assert_eq!(oldest["VirtualSize"], 2_665_277);
        assert_eq!(oldest["Created"], ZERO_TIME);
    }

    #[test]
    fn who_vouches_for_an_image_is_told_in_all_versions_and_nothing_where_nobody_does() {
        let vouched = serde_json::from_value(json!([{
            "repository": "r.example/app",
            "signatures": [
                {
                    "digest": format!("sha256:{}", "0".repeat(64)), "name": "r.example/app:1",
                    "key": format!("sha256:{}", "1".repeat(64)), "form": "simple",
                },
                {
                    "digest": format!("sha256:{}", "0".repeat(64)), "name": "", "form": "envelope",
                    "key": format!("sha256:{}", "2".repeat(64)), "logged": 1_704_196_800,
                    "signer": {"names": "ann@r.example", "issuer": "https://i.example", "authority": "CN=a,O=b"},
                },
            ],
        }]));
        let identity = super::super::identity::identity(vouched.unwrap());
        let expected = json!({
            "Signature": [
                {
                    "Name": format!("Key (sha256:{})", "1".repeat(64)),
                    "DockerReference": "r.example/app:1",
                    "SignatureType": "simplesigning-v1",
                },
                {
                    "Name": "Certificate (ann@r.example)",
                    "Timestamps": [{"Type": "Tlog", "URI": "", "Timestamp": "2024-01-02T12:00:00Z"}],
                    "Signer": {
                        "CertificateIssuer": "CN=a,O=b",
                        "SubjectAlternativeName": "ann@r.example",
                        "Issuer": "https://i.example",
                    },
                    "SignatureType": "bundle-v0.3",
                },
            ],
            "Pull": [{"Repository": "r.example/app"}],
        });
        for version in ["1.12", "1.50", "1.55"] {
            let document = ImageInspect { identity: identity.clone(), ..nginx() };
            let document = serde_json::to_value(shape(document, version.parse().unwrap())).unwrap();
            assert_eq!(document["Identity"], expected, "{version}");
        }
        assert_eq!(super::super::identity::identity(Vec::new()), None);
    }

    #[test]
    fn an_image_without_a_config_has_an_empty_one() {
        for broken in [None, Some(Value::Null), Some(json!([1]))] {
            let document = ImageInspect { config: broken, ..nginx() };
            assert_eq!(shape(document, ApiVersion::CURRENT).config, Some(json!({})));
        }
    }
}
