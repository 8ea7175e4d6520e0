//! Opening the engine that a configuration describes.

use engine::{Engine, EngineConfig, EngineError};

use crate::DaemonConfig;

/// Opens the data root of `config` for a Longshore of this `version`, which registries see in the user agent.
pub async fn open_engine(config: &DaemonConfig, version: &str) -> Result<Engine, EngineError> {
    Engine::open(EngineConfig {
        data_root: config.data_root.clone(),
        driver: config.storage_driver,
        keep_blobs: config.keep_blobs,
        registry: config.registry(version),
        limits: config.limits(),
    })
    .await
}
