//! Questions to registries, without anything being pulled or pushed.

mod check;
mod distribution;
mod login;
mod manifests;
mod search;

pub use distribution::DistributionImage;
pub use login::LoginOutcome;
pub use manifests::{InspectedManifest, InspectedManifests};
pub use search::SearchRequest;
