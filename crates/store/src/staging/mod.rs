//! Files and directories that a running operation prepares in `staging/`, under the name of its lease. Nobody else sees them; dropped
//! without a commit they are deleted, and should the process die, by the next start.

mod blob_writer;
mod file;
mod layer;

pub use self::blob_writer::BlobWriter;
pub use self::file::{StagedFile, StagedFileReader, StagedFileWriter};
pub use self::layer::StagedLayer;
