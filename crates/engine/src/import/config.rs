//! The config of an imported image, as dockerd writes it.

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use spec::{DiffId, Platform, RootFs};

use super::changes::ContainerConfig;
use crate::error::Defect;
use crate::{EngineError, Result};

/// dockerd sorts the fields by name.
#[derive(Debug, Serialize)]
struct Document<'a> {
    architecture: &'a str,
    comment: &'a str,
    config: ContainerConfig,
    /// The container that the image was made of: none.
    container_config: ContainerConfig,
    created: String,
    history: [Step<'a>; 1],
    os: &'a str,
    rootfs: RootFs,
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct Step<'a> {
    created: String,
    comment: &'a str,
}

/// Returns the config of an image with one layer.
pub(super) fn document(
    platform: &Platform,
    message: &str,
    config: ContainerConfig,
    layer: &DiffId,
    now: Timestamp,
) -> Result<Bytes> {
    let created = now.to_string();
    let document = Document {
        architecture: &platform.architecture,
        comment: message,
        config,
        container_config: ContainerConfig::default(),
        created: created.clone(),
        history: [Step { created, comment: message }],
        os: &platform.os,
        rootfs: RootFs { kind: "layers".to_owned(), diff_ids: vec![layer.clone()] },
        variant: platform.variant.as_deref(),
    };
    let text = spec::to_go_json(&document);
    Ok(text.map_err(|error| EngineError::Internal(Defect::Encode(error)))?.into())
}

#[cfg(test)]
mod tests {
    use spec::Digest;

    use super::super::changes;
    use super::*;

    #[test]
    fn a_config_is_written_as_dockerd_writes_it() {
        // What dockerd 20.10 wrote, but for its `docker_version`, which 29 leaves out.
        let expected = r#"{"architecture":"amd64","comment":"\u003ca\u003e \u0026 b","config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":["A=b"],"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"Labels":null},"container_config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"Labels":null},"created":"2026-11-21T22:12:04.362202333Z","history":[{"created":"2026-11-21T22:12:04.362202333Z","comment":"\u003ca\u003e \u0026 b"}],"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:6b890615aa566f80c42916dd6a30842785aebb718e748e25b8e9b81fd90b6432"]}}"#;
        let platform = Platform::parse("linux/amd64").unwrap();
        let digest: Digest =
            "sha256:6b890615aa566f80c42916dd6a30842785aebb718e748e25b8e9b81fd90b6432"
                .parse()
                .unwrap();
        let config = changes::apply(&["ENV A=b".to_owned()]).unwrap();
        let now = "2026-11-21T22:12:04.362202333Z".parse().unwrap();
        let written = document(&platform, "<a> & b", config, &DiffId::new(digest), now).unwrap();
        assert_eq!(std::str::from_utf8(&written).unwrap(), expected);
        spec::ImageConfig::parse(&written).unwrap();
    }
}
