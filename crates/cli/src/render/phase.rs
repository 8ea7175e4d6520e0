//! The phases of a layer, by the words that a daemon has for them.

use serde::Serialize;

/// State of a layer in an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Phase {
    /// It waits for its turn.
    Waiting,
    /// Its bytes come.
    Downloading,
    /// They are all here.
    Downloaded,
    /// It is being unpacked.
    Unpacking,
    /// It is read from an archive.
    Loading,
    /// It is written to one.
    Saving,
    /// An archive is on its way to the daemon, which is no layer's.
    Sending,
    /// Its bytes go.
    Uploading,
    /// Its bytes go from one place to another.
    Copying,
    /// An attempt failed; another will follow.
    Retrying,
    /// It is where it was to be.
    Done,
    /// It was there before.
    Present,
    /// Its registry took it from another repository of its own.
    Mounted,
    /// It is left out.
    Skipped,
    /// Something else: the words say what.
    Other,
}

impl Phase {
    /// Finds out what the words of a line about a layer mean.
    pub(crate) fn of(status: &str) -> Phase {
        match status {
            "Pulling fs layer" | "Waiting" | "Preparing" => Phase::Waiting,
            "Downloading" => Phase::Downloading,
            "Verifying Checksum" | "Download complete" => Phase::Downloaded,
            "Extracting" => Phase::Unpacking,
            "Loading layer" | "Importing" => Phase::Loading,
            "Saving" => Phase::Saving,
            "Sending" => Phase::Sending,
            "Pushing" => Phase::Uploading,
            "Copying" => Phase::Copying,
            "Pull complete" | "Pushed" | "Copied" => Phase::Done,
            "Already exists" | "Layer already exists" => Phase::Present,
            "Skipped foreign layer" | "Left to its own URLs" => Phase::Skipped,
            _ if status.starts_with("Mounted from ") => Phase::Mounted,
            _ if status.starts_with("Retrying in ") => Phase::Retrying,
            _ => Phase::Other,
        }
    }

    /// Says whether the counts of such a line are of bytes on their way.
    pub(crate) fn moves(self) -> bool {
        matches!(
            self,
            Phase::Downloading | Phase::Loading | Phase::Saving | Phase::Uploading | Phase::Copying
        )
    }

    /// Says whether nothing more is to be done.
    pub(crate) fn is_over(self) -> bool {
        matches!(self, Phase::Done | Phase::Present | Phase::Mounted | Phase::Skipped)
    }

    /// Says whether all bytes that had to be moved are.
    pub(crate) fn has_arrived(self) -> bool {
        self.is_over() || matches!(self, Phase::Downloaded | Phase::Unpacking)
    }
}
