//! A layer from its compressed bytes to its directory, in one pass and on three threads, or four with small files.
//!
//! # Flow
//! The first reads the source and decompresses it, the second hashes the tar, and the caller's parses the tar and writes files and
//! tar-split ([`relay`]). A layer that fits into one read of the source is not worth a thread and is done on the caller's.

use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::thread::{Builder, scope};

use crate::apply::Extractor;
use crate::codec::decoder;
use crate::merge::Stage;
use crate::options::{Applied, ApplyOptions, Unpacked};
use crate::relay::relay;
use crate::source::{Decoded, Inline, Input, Tally};
use crate::split::{SplitWriter, settle};
use crate::steps::Step;
use crate::tar::Chunks;
use crate::walk::{Repeats, Visitor, walk};
use crate::{ArchiveError, Compression};

/// Unpacks a compressed layer into the directory `root`, which must exist, and writes its tar-split, gzipped.
///
/// The compression is detected by the first bytes if none is given. `progress` is called with the number of compressed bytes
/// read so far, on another thread. The source is read to its end, so that one that hashes what it gives has hashed all; to
/// cancel, let it return an error. After an error `root` holds a part of the layer.
pub fn unpack<R: Read + Send, W: Write>(
    compressed: R,
    root: &Path,
    tar_split: W,
    compression: Option<Compression>,
    options: &ApplyOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked, ArchiveError> {
    let mut extractor = Extractor::open(root, options)?;
    let input = Input::new(compressed, progress);
    // Only in the end it is known which content is still where the tar-split says.
    let draft = extractor.anonymous_file()?;
    let source =
        Source { input, compression, limit: options.max_tar_size, repeats: Repeats::Refused };
    let mut unpacked = source.run(SplitWriter::new(&draft), &mut extractor)?;
    let (size, replaced) = extractor.finish()?;
    settle(draft, replaced, tar_split)?;
    unpacked.applied.size = size;
    Ok(unpacked)
}

/// Unpacks a layer on top of those that are in the directory `root` already, without a tar-split. The tree is what
/// overlayfs shows of the layers; `options` must have whiteouts removed.
///
/// The directory is given by a descriptor for reading, so that nobody can exchange it between two layers.
pub fn extract<R: Read + Send>(
    compressed: R,
    root: BorrowedFd<'_>,
    compression: Option<Compression>,
    options: &ApplyOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Unpacked, ArchiveError> {
    let stage = Stage::new(root)?;
    let mut extractor = Extractor::within(stage.directory(), options)?;
    let input = Input::new(compressed, progress);
    let source =
        Source { input, compression, limit: options.max_tar_size, repeats: Repeats::Taken };
    let mut unpacked = source.run(SplitWriter::disabled(), &mut extractor)?;
    extractor.wait()?;
    let marked = extractor.marked;
    stage.merge(options.owners, marked, &mut |path, name, errno| {
        extractor.leave_out(path, name, errno)
    })?;
    unpacked.applied.size = extractor.finish_in(root)?;
    Ok(unpacked)
}

/// Unpacks an uncompressed tar into the directory `root`, which must exist, and writes its tar-split, gzipped.
pub fn apply<R: Read + Send, W: Write>(
    tar: R,
    root: &Path,
    tar_split: W,
    options: &ApplyOptions,
) -> Result<Applied, ArchiveError> {
    Ok(unpack(tar, root, tar_split, Some(Compression::None), options, &|_| {})?.applied)
}

/// A compressed layer that is to be read.
pub(crate) struct Source<'a, R> {
    pub(crate) input: Input<'a, R>,
    /// Detected by the first bytes if `None`.
    pub(crate) compression: Option<Compression>,
    /// The most bytes of the tar.
    pub(crate) limit: Option<u64>,
    pub(crate) repeats: Repeats,
}

impl<R: Read + Send> Source<'_, R> {
    /// Runs the pipeline. The size is left to the caller, who knows the visitor.
    pub(crate) fn run<W: Write>(
        self,
        split: SplitWriter<W>,
        visitor: &mut impl Visitor,
    ) -> Result<Unpacked, ArchiveError> {
        let Self { mut input, compression, limit, repeats } = self;
        let is_whole = input.prefill()?;
        let compression = compression.unwrap_or_else(|| Compression::detect(input.buffered()));
        let tally = Tally::new(limit);
        let visit = Visit { split, visitor, repeats };
        let result = if is_whole {
            run_inline(&mut input, compression, tally, visit)
        } else {
            run_threaded(&mut input, compression, tally, visit)
        };
        let (entries, tally) = result.map_err(|error| input.classify(error))?;
        let (diff_id, tar_size) = tally.finish();
        Step::Inflate.count(input.size());
        Step::Hash.count(tar_size);
        Step::Apply.count(entries);
        let applied = Applied { diff_id, size: 0, tar_size, entries };
        Ok(Unpacked { compressed_size: input.size(), compression, applied })
    }
}

/// The work that is done with the entries.
struct Visit<'a, W: Write, V> {
    split: SplitWriter<W>,
    visitor: &'a mut V,
    repeats: Repeats,
}

impl<W: Write, V: Visitor> Visit<'_, W, V> {
    fn walk(self, chunks: impl Chunks) -> Result<u64, ArchiveError> {
        let _meter = Step::Apply.meter();
        walk(chunks, self.split, self.visitor, self.repeats)
    }
}

fn run_inline<R: Read + Send, W: Write>(
    input: &mut Input<'_, R>,
    compression: Compression,
    tally: Tally,
    visit: Visit<'_, W, impl Visitor>,
) -> Result<(u64, Tally), ArchiveError> {
    let decoded = Decoded::new(decoder(compression, input)?, compression);
    let mut inline = Inline::new(decoded, tally);
    let entries = visit.walk(&mut inline)?;
    Ok((entries, inline.tally))
}

fn run_threaded<R: Read + Send, W: Write>(
    input: &mut Input<'_, R>,
    compression: Compression,
    tally: Tally,
    visit: Visit<'_, W, impl Visitor>,
) -> Result<(u64, Tally), ArchiveError> {
    let mut decoded = Decoded::new(decoder(compression, input)?, compression);
    let (sending, received) = relay();
    let (hashing, received) = received.after_stage();
    scope(|scope| {
        let thread = |name: &str| Builder::new().name(name.to_owned());
        thread("decompress")
            .spawn_scoped(scope, move || {
                let _meter = Step::Inflate.meter();
                sending.run(|buffer| decoded.fill(buffer));
            })
            .map_err(ArchiveError::Read)?;
        let hasher = thread("hash")
            .spawn_scoped(scope, move || {
                let _meter = Step::Hash.meter();
                let mut tally = tally;
                hashing.run(|bytes| tally.add(bytes));
                tally
            })
            .map_err(ArchiveError::Read)?;
        let entries = visit.walk(received);
        // The channels are closed now, so the others end in any case.
        let tally = hasher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        entries.map(|entries| (entries, tally))
    })
}
