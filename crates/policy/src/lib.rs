//! The judges of images, and those who vouch for them: `policy.json`, signatures at registries, and verifier programs.
//!
//! ```text
//! Settings ─ guard() ─► Guard ─ admit(image) ─► Judgement
//!   which policy,        for one repository        allowed, or why not
//!   which verifiers
//! ```
//!
//! # Rooms
//!
//! - `document`: `policy.json` as containers/image reads it, and the requirements that hold for an image
//! - `signature`: what cosign puts beside an image at its registry, and what it takes to believe it
//! - `key`: public keys, private keys as cosign and openssl write them
//! - `verifiers`: programs by containerd's contract
//! - `guard`: both together, for whoever takes images in; `judgement`: what came of it
//! - `sign`: signatures of our own
//!
//! # Trust
//!
//! Nothing here is allowed by mistake: a policy that cannot be read, a requirement that is not understood, a verifier that fails, a
//! registry that does not answer, all refuse. An image is judged under the name that was asked for, whatever mirror it comes from,
//! and by the digest that the name led to. What a signature says of an image is read when a trusted key has vouched for its bytes, and
//! not before.
//!
//! # Limits
//!
//! Files, signatures, their number, and what a verifier says are bounded; each constant says why it has its value.
//!
//! # Cancellation
//!
//! Every future may be dropped at any await; a verifier that runs is killed then.

mod blocking;
mod document;
mod error;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod guard;
mod judgement;
mod key;
mod object;
mod sign;
mod signature;
#[cfg(test)]
mod testing;
mod verifiers;

pub use document::{
    Policy, PolicyFault, identity::IdentityFault, name::ImageName, name::ScopeFault,
};
pub use error::{Refusal, TrustError};
pub use guard::{Guard, Settings};
pub use judgement::{Finding, Form, Judgement, Requirement, Signer, Vouched};
pub use key::{KeyFault, private::PrivateKey, private_fault::PrivateKeyFault};
pub use sign::{SignError, sign};
pub use verifiers::{VerifierFault, Verifiers};
