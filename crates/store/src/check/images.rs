//! Configs and the notes beside them.

use bytes::Bytes;
use spec::{ChainId, ImageConfig, ImageId, MAX_CONFIG_SIZE, Raw};

use crate::{StoreError, files};

use super::{Check, Fix, Subject, Want};

impl Check<'_> {
    pub(super) fn images(&mut self) -> Result<(), StoreError> {
        for id in self.store.images()? {
            self.report.images += 1;
            match self.config(&id)? {
                Ok(layers) => _ = self.images.insert(id, layers),
                Err(problem) => {
                    self.blind = true;
                    // The image's content may have another copy.
                    let copy = self.store.read_blob(id.digest(), MAX_CONFIG_SIZE);
                    let fix = match copy {
                        Ok(Some(_)) => Fix::Config(id.clone()),
                        _ => Fix::Want(Want::Config(id.clone())),
                    };
                    self.found(Subject::Image(id), problem, fix);
                }
            }
        }
        let ids: Vec<ImageId> = self.images.keys().cloned().collect();
        for id in ids {
            if let Some(parent) = self.store.parent(&id)?
                && !files::exists(&self.store.paths().config(&parent))?
            {
                let problem = format!("the image {parent} that it was built on is not here");
                self.found(Subject::Image(id.clone()), problem, Fix::Parent(id));
            }
        }
        for name in files::names(&self.store.paths().image_notes())? {
            let Ok(id) = format!("sha256:{name}").parse::<ImageId>() else { continue };
            if !files::exists(&self.store.paths().config(&id))? {
                let path = self.relative(&self.store.paths().image_metadata(&id));
                let problem = "it belongs to no image";
                self.found(Subject::Path(path), problem, Fix::Metadata(id));
            }
        }
        Ok(())
    }

    /// Reads a config from the disk, whatever is in memory; returns its layers or what is wrong with it.
    fn config(&self, id: &ImageId) -> Result<Result<Vec<ChainId>, String>, StoreError> {
        let path = self.store.paths().config(id);
        let bytes = match files::read(&path, MAX_CONFIG_SIZE) {
            Ok(Some(bytes)) => Bytes::from(bytes),
            Ok(None) => return Ok(Err("its config is gone".to_owned())),
            Err(StoreError::TooLarge { .. }) => {
                return Ok(Err("its config is too large".to_owned()));
            }
            Err(error) => return Err(error),
        };
        Ok(match Raw::verify(bytes, id.digest(), ImageConfig::parse) {
            Ok(Some(config)) => Ok(ChainId::chain(&config.value().rootfs.diff_ids)),
            Ok(None) => Err("its config does not match its ID".to_owned()),
            Err(error) => Err(format!("its config cannot be read: {error}")),
        })
    }
}
