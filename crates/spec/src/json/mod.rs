//! JSON as Go's `encoding/json` reads and writes it: what dockerd, podman and containerd take is taken, and what they write is written.

mod compact;
mod read;
mod value;
mod write;

pub(crate) use compact::{RawFields, write_fields};
pub(crate) use read::from_agreed_go_json;
pub use read::{from_first_go_json, from_go_json};
pub use write::to_go_json;
pub(crate) use write::to_pretty_go_json;
