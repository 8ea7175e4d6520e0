//! Questions to registries, without anything being pulled or pushed.

mod changes;
mod check;
mod distribution;
mod inspect;
mod lists;
mod login;
mod manifests;
mod push_list;
mod search;
mod verify;
mod visit;

pub use distribution::DistributionImage;
pub use inspect::{ListedManifest, RegistryImage, RegistryObject};
pub use lists::FoundReferrers;
pub use login::LoginOutcome;
pub use manifests::{InspectedManifest, InspectedManifests};
pub use push_list::{ListPush, ListedImage};
pub use search::SearchRequest;
pub use visit::{RegistryDocument, Visit};
