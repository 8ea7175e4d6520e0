//! Opening the engine that a configuration describes.

use std::sync::Arc;

use engine::{Engine, EngineConfig, EngineError};
use registry::{CredentialSource, RegistryConfig};

use crate::DaemonConfig;

/// Opens the data root of `config` for a Longshore of this `version`, which registries see in the user agent.
/// `credentials` knows what mirrors of registries are shown.
pub async fn open_engine(
    config: &DaemonConfig,
    version: &str,
    credentials: Option<Arc<dyn CredentialSource>>,
) -> Result<Engine, EngineError> {
    Engine::open(EngineConfig {
        data_root: config.data_root.clone(),
        driver: config.storage_driver,
        keep_blobs: config.keep_blobs,
        registry: RegistryConfig { credentials, ..config.registry(version) },
        limits: config.limits(),
    })
    .await
}
