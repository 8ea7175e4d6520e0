//! Images as an OCI image layout, which `skopeo` and `podman` read as `oci:DIR:TAG`.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use super::{Blob, Image, Index};

impl Image {
    /// Writes the image into the layout `folder`, which may hold others, under `tag`.
    pub fn write_layout(&self, folder: &Path, tag: &str) -> io::Result<()> {
        write_image(folder, self)?;
        write_reference(folder, &self.manifest, tag)
    }
}

impl Index {
    /// Writes all images into the layout `folder`, which may hold others, under `tag`.
    pub fn write_layout(&self, folder: &Path, tag: &str) -> io::Result<()> {
        for image in &self.images {
            write_image(folder, image)?;
        }
        write_reference(folder, &self.manifest, tag)
    }
}

fn write_image(folder: &Path, image: &Image) -> io::Result<()> {
    image.blobs().chain([&image.manifest]).try_for_each(|blob| write_blob(folder, blob))
}

fn write_blob(folder: &Path, blob: &Blob) -> io::Result<()> {
    let blobs = folder.join("blobs").join(blob.digest.algorithm().as_str());
    fs::create_dir_all(&blobs)?;
    let mut file = File::create(blobs.join(blob.digest.hex()))?;
    io::copy(&mut blob.open()?, &mut file)?;
    Ok(())
}

fn write_reference(folder: &Path, manifest: &Blob, tag: &str) -> io::Result<()> {
    write_blob(folder, manifest)?;
    fs::write(folder.join("oci-layout"), json!({ "imageLayoutVersion": "1.0.0" }).to_string())?;
    let path = folder.join("index.json");
    let mut index: Value = match fs::read(&path) {
        Ok(bytes) => serde_json::from_slice(&bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            json!({ "schemaVersion": 2, "manifests": [] })
        }
        Err(error) => return Err(error),
    };
    let mut descriptor = manifest.descriptor();
    descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    if let Some(manifests) = index["manifests"].as_array_mut() {
        manifests.retain(|known| known["annotations"] != descriptor["annotations"]);
        manifests.push(descriptor);
    }
    fs::write(path, index.to_string())
}
